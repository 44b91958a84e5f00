"""The processors that are emulated, and what a system with one says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dermpack.errors import InputError

CORES = 4  # of both Raspberry Pis; one is used
ARM_LIMITED = "0x41"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """One processor; `part`, `variant` and `revision` are those of QEMU's, not of one board's."""

    name: str  # as QEMU's -cpu takes it
    title: str
    board: str
    part: str
    variant: str
    revision: str
    features: (
        str  # the kernel's names for the bits of AT_HWCAP: what QEMU lacks would be an illegal instruction
    )


ARMV8 = "fp asimd aes pmull sha1 sha2 crc32"
CORTEX_A72 = Cpu(
    name="cortex-a72",
    title="Cortex-A72",
    board="Raspberry Pi 4",
    part="0xd08",
    variant="0x0",
    revision="3",
    features=f"{ARMV8} cpuid",
)
CORTEX_A76 = Cpu(
    name="cortex-a76",
    title="Cortex-A76",
    board="Raspberry Pi 5",
    part="0xd0b",
    variant="0x4",
    revision="1",
    features=f"{ARMV8} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
)
CPUS = (CORTEX_A72, CORTEX_A76)
WRONG = {"max": "the emulated processor computes int8 incorrectly"}


def cpu_named(name: str) -> Cpu:
    """One of CPUS, or an error that names them."""
    for cpu in CPUS:
        if cpu.name == name:
            return cpu
    allowed = " or ".join(f"qemu:{cpu.name}" for cpu in CPUS)
    what = WRONG.get(name, "this processor cannot be emulated")
    raise InputError(f"qemu:{name}", what, f"Give {allowed}.", code="target-not-supported")


def system_files(cpu: Cpu) -> Mapping[str, str]:
    """Path and text of what libraries read to choose their kernels: QEMU would show them the host's.

    system_files(CORTEX_A72)["sys/devices/system/cpu/possible"] → "0-3"
    """
    cores = f"0-{CORES - 1}\n"
    texts = {f"sys/devices/system/cpu/{name}": cores for name in ("possible", "present", "online")}
    texts["sys/devices/system/cpu/kernel_max"] = f"{CORES - 1}\n"
    return {"proc/cpuinfo": "\n".join(_core(cpu, number) for number in range(CORES)), **texts}


def _core(cpu: Cpu, number: int) -> str:
    fields = {
        "processor\t": str(number),
        "BogoMIPS\t": "108.00",
        "Features\t": cpu.features,
        "CPU implementer\t": ARM_LIMITED,
        "CPU architecture": "8",
        "CPU variant\t": cpu.variant,
        "CPU part\t": cpu.part,
        "CPU revision\t": cpu.revision,
    }
    return "".join(f"{name}: {text}\n" for name, text in fields.items())
