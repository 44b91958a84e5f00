"""What tests on emulated ARM share."""

from __future__ import annotations

import pytest

from benchmarks.sysroot import Sysroot, emulator, find_sysroot, sysroot_folder
from dermpack.errors import DermpackError


@pytest.fixture(scope="session")
def sysroot() -> Sysroot:
    """What `make arm` prepared, or a skip that says so."""
    try:
        emulator()
        return find_sysroot(sysroot_folder())
    except DermpackError as error:
        pytest.skip(f"emulated ARM: {error}")
