"""Find the sysroot that `make arm` prepared; tests that need it are skipped without one."""

from __future__ import annotations

import pytest

from benchmarks.targets.emulated.emulator import Sysroot, find_emulator, find_sysroot, locate_sysroot
from dermpack.errors import DermpackError

FOLDER = locate_sysroot()  # before the suite sets an empty cache folder


def prepared_sysroot() -> Sysroot:
    try:
        find_emulator()
        return find_sysroot(FOLDER)
    except DermpackError as error:
        pytest.skip(str(error))
