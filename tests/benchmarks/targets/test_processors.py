"""The processors that are emulated, and what they say of themselves."""

from __future__ import annotations

import ctypes
import subprocess

import pytest

from benchmarks.targets.emulated.emulator import (
    CORTEX_A72,
    CORTEX_A76,
    CPUS,
    Cpu,
    Sysroot,
    find_cpu,
    system_files,
)
from tests.support.errors import raises_code
from tests.support.prepared_arm import prepared_sysroot

# The kernel's names of the bits of AT_HWCAP on aarch64, from the lowest.
HWCAP = (
    *("fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp", "asimdhp"),
    *("cpuid", "asimdrdm", "jscvt", "fcma", "lrcpc", "dcpop", "sha3", "sm3", "sm4", "asimddp"),
)
PRINT_HWCAP = """
import ctypes
c = ctypes.CDLL(None)
c.getauxval.restype = ctypes.c_ulong
print(c.getauxval(ctypes.c_ulong(16)))
"""


@pytest.fixture(scope="module")
def sysroot() -> Sysroot:
    return prepared_sysroot()


@pytest.mark.parametrize("name", ["", "max", "cortex-a53", "Cortex-A72", "host", "../cortex-a72"])
def test_another_processor_is_refused_with_the_names_that_are_allowed(name: str) -> None:
    with raises_code("target-not-supported", f"qemu:{name}: ", "qemu:cortex-a72", "qemu:cortex-a76"):
        find_cpu(name)


def test_the_one_that_computes_wrongly_is_refused_with_the_reason() -> None:
    with raises_code("target-not-supported", "qemu:max: ", "int8"):
        find_cpu("max")


def test_a_processor_is_found_by_the_name_that_the_emulator_gives_it() -> None:
    assert [find_cpu(cpu.name) for cpu in CPUS] == list(CPUS)


def test_only_the_younger_one_has_dot_products() -> None:
    assert "asimddp" in CORTEX_A76.features.split()
    assert "asimddp" not in CORTEX_A72.features.split()


@pytest.mark.parametrize("cpu", CPUS, ids=lambda cpu: cpu.name)
def test_every_core_is_described(cpu: Cpu) -> None:
    blocks = system_files(cpu)["proc/cpuinfo"].strip().split("\n\n")
    assert len(blocks) == 4
    assert blocks[2].splitlines()[0] == "processor\t: 2"
    assert f"CPU part\t: {cpu.part}" in blocks[2].splitlines()


def test_the_cores_are_as_many_in_every_file() -> None:
    files = system_files(CORTEX_A72)
    assert files["sys/devices/system/cpu/possible"] == "0-3\n"
    assert files["sys/devices/system/cpu/kernel_max"] == "3\n"


@pytest.mark.arm
@pytest.mark.parametrize("cpu", CPUS, ids=lambda cpu: cpu.name)
def test_a_processor_lists_the_features_of_the_emulator(cpu: Cpu, sysroot: Sysroot) -> None:
    reply = subprocess.run(
        [*sysroot.command(cpu), "-B", "-c", PRINT_HWCAP],
        env=sysroot.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    bits = ctypes.c_ulong(int(reply.stdout)).value
    names = [HWCAP[index] for index in range(bits.bit_length()) if bits >> index & 1]
    assert names == cpu.features.split()
