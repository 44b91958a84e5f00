"""The emulated ARM that `make arm` prepared, for tests; without it they are skipped, and say so."""

from __future__ import annotations

import pytest

from benchmarks.targets.emulated.sysroot import Sysroot, emulator, find_sysroot, sysroot_folder
from dermpack.errors import DermpackError

FOLDER = sysroot_folder()  # before the suite gives itself an empty cache


def prepared_sysroot() -> Sysroot:
    try:
        emulator()
        return find_sysroot(FOLDER)
    except DermpackError as error:
        pytest.skip(str(error))
