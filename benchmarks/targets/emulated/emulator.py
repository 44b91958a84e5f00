"""Describe the emulated ARM processors, find their sysroot, and read the counts of QEMU's plugin.

"make arm" builds the sysroot with tests/tools/arm_sysroot.py, which runs without third-party libraries.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermpack.errors import InputError
from dermpack.storage.files import format_json, read_json, sha256_file, sha256_of
from dermpack.storage.regular_files import open_regular
from dermpack.storage.shared_folders import cache_folder

CORES = 4  # of both Raspberry Pis; one is used
ARM_LIMITED = "0x41"

SCHEMA = 1
STAMP = "sysroot.json"
EMULATOR = "qemu-aarch64"
SOURCES = Path(__file__).with_name("arm")  # what the sysroot is built from
APT_TEMPLATE, WHEELS, COUNTER_SOURCE = SOURCES / "apt.conf", SOURCES / "wheels.txt", SOURCES / "counter.c"
PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")
PYTHON, COUNTER = "base/usr/bin/python3.11", "counter.so"
MAKE_ARM = '"make arm" in a clone of dermpack.'
PREPARE = f"Run {MAKE_ARM}"
WHEEL = re.compile(r"^([\w.-]+)==([\w.]+) --hash=sha256:([0-9a-f]{64})$", re.MULTILINE)

# In the order of benchmarks/targets/emulated/arm/counter.c.
KINDS = ("dot products of int8", "other vectors and floats", "loads and stores", "everything else")
BEGIN, END = "begin", "end"
MOST_COUNTS_BYTES, MOST_DIGITS = 1 << 20, 18  # of the lines of the plugin, and of one total


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """One processor; `part`, `variant` and `revision` are those of QEMU's model, not of a board's."""

    name: str  # for QEMU's -cpu
    board: str
    part: str
    variant: str
    revision: str
    # The kernel's names for the bits of AT_HWCAP; one that QEMU lacks would be an illegal instruction.
    features: str


ARMV8 = "fp asimd aes pmull sha1 sha2 crc32"
CORTEX_A72 = Cpu(
    name="cortex-a72",
    board="Raspberry Pi 4",
    part="0xd08",
    variant="0x0",
    revision="3",
    features=f"{ARMV8} cpuid",
)
CORTEX_A76 = Cpu(
    name="cortex-a76",
    board="Raspberry Pi 5",
    part="0xd0b",
    variant="0x4",
    revision="1",
    features=f"{ARMV8} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
)
CPUS = (CORTEX_A72, CORTEX_A76)
TARGET_NAMES = tuple(f"qemu:{cpu.name}" for cpu in CPUS)  # for --on
WRONG_CPUS = {"max": "the emulated processor computes int8 incorrectly"}


def find_cpu(name: str) -> Cpu:
    """Return the processor of that name; raise InputError with the allowed names if there is none."""
    target = f"qemu:{name}"
    if target not in TARGET_NAMES:
        what = WRONG_CPUS.get(name, "this processor cannot be emulated")
        hint = f"Give {' or '.join(TARGET_NAMES)}."
        raise InputError(target, what, hint, code="target-not-supported")
    return CPUS[TARGET_NAMES.index(target)]


def system_files(cpu: Cpu) -> Mapping[str, str]:
    """Return the path and text of the files by which libraries choose their kernels.

    Without them, QEMU shows the host's. system_files(CORTEX_A72)["sys/devices/system/cpu/possible"] → "0-3"
    """
    fields = {
        "BogoMIPS\t": "108.00",
        "Features\t": cpu.features,
        "CPU implementer\t": ARM_LIMITED,
        "CPU architecture": "8",
        "CPU variant\t": cpu.variant,
        "CPU part\t": cpu.part,
        "CPU revision\t": cpu.revision,
    }
    block = "".join(f"{name}: {text}\n" for name, text in fields.items())
    cpuinfo = "\n".join(f"processor\t: {number}\n{block}" for number in range(CORES))
    cores = f"0-{CORES - 1}\n"
    texts = {f"sys/devices/system/cpu/{name}": cores for name in ("possible", "present", "online")}
    texts["sys/devices/system/cpu/kernel_max"] = f"{CORES - 1}\n"
    return {"proc/cpuinfo": cpuinfo, **texts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysroot:
    """A folder with ARM's libraries, Python and runtimes, and the stamp that lists what it was built from."""

    folder: Path
    stamp: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """The hash of every package's and wheel's name, version and content."""
        return sha256_of(format_json({name: self.stamp[name] for name in ("packages", "wheels")}).encode())

    def command(self, cpu: Cpu, *, counts: Path | None = None) -> list[str]:
        """Return the command that starts ARM's Python; the plugin writes its counts to `counts`."""
        command = [find_emulator(), "-cpu", cpu.name, "-L", str(self.folder / "cpus" / cpu.name)]
        if counts is not None:
            plugin = str(self.folder / COUNTER).replace(",", ",,")  # QEMU's escape for a comma
            command += ["-plugin", plugin, "-d", "plugin", "-D", str(counts)]
        # Without site, which would read the host's /etc.
        return [*command, str(self.folder / PYTHON), "-s", "-S"]

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the emulated program: counts only repeat if it does."""
        return {
            "LC_ALL": "C.UTF-8",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(self.folder / "wheels"),
        }


def locate_sysroot() -> Path:
    """Return the sysroot's place among the caches: $DERMPACK_CACHE/arm."""
    return cache_folder() / "arm"


def find_sysroot(folder: Path) -> Sysroot:
    """Return the sysroot in the folder; raise InputError if it is missing, incomplete or outdated."""
    if not (folder / STAMP).is_file():
        what = "the emulator is not prepared on this machine"
        raise InputError("emulated ARM", what, PREPARE, code="emulator-not-prepared")
    stamp, counter = read_json(folder / STAMP), folder / COUNTER
    if stamp.get("schema") != SCHEMA or stamp.get("recipe") != hash_recipe():
        what = "prepared by another version of dermpack"
        raise InputError(folder, what, PREPARE, code="emulator-not-prepared")
    has_counter = counter.is_file() and stamp.get("counter") == sha256_file(counter)
    if not has_counter or not (folder / PYTHON).is_file():
        hint = f"Remove the folder, then run {MAKE_ARM}"
        raise InputError(folder, "the folder is incomplete", hint, code="emulator-not-prepared")
    return Sysroot(folder=folder, stamp=stamp)


def hash_recipe() -> str:
    """Return the hash of everything in this package that determines the content of a sysroot."""
    parts = {path.name: sha256_file(path) for path in (APT_TEMPLATE, WHEELS, COUNTER_SOURCE)}
    systems = {cpu.name: dict(system_files(cpu)) for cpu in CPUS}
    whole = {"schema": SCHEMA, "parts": parts, "packages": PACKAGES, "systems": systems}
    return sha256_of(format_json(whole).encode())


def read_pinned_wheels() -> dict[str, dict[str, str]]:
    """Return {"numpy": {"version": "1.26.4", "sha256": "7ab5…"}, …}."""
    lines = WHEEL.findall(WHEELS.read_text(encoding="utf-8"))
    return {name: {"version": version, "sha256": sha256} for name, version, sha256 in lines}


def find_emulator() -> str:
    program = shutil.which(EMULATOR)
    if program is None:
        raise InputError(EMULATOR, "not installed", PREPARE, code="missing-tool")
    return program


class InvalidCountsError(ValueError):
    """The lines of the plugin are missing or incomplete."""


def read_counts(path: Path) -> list[tuple[int, ...]]:
    """Return each inference's instructions by KINDS, in order; one that failed has only a begin line."""
    try:
        with open_regular(path) as file:
            text = file.read(MOST_COUNTS_BYTES + 1)
        lines = text.decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidCountsError("the QEMU plugin wrote no counts") from error
    if len(text) > MOST_COUNTS_BYTES:
        raise InvalidCountsError("the QEMU plugin wrote too many counts")
    inferences = []
    before: tuple[int, ...] | None = None
    for line in lines:
        word, *numbers = line.split() or [""]
        are_numbers = all(number.isdecimal() and len(number) <= MOST_DIGITS for number in numbers)
        if len(numbers) != len(KINDS) or not are_numbers:
            raise InvalidCountsError("the totals of the QEMU plugin are truncated")
        # The plugin writes totals since its start: an inference is the difference of two lines.
        totals = tuple(map(int, numbers))
        if word == BEGIN:
            before = totals
        elif word == END and before is not None:
            inferences.append(tuple(after - begin for begin, after in zip(before, totals, strict=True)))
            if min(inferences[-1]) < 0:
                raise InvalidCountsError("the totals of the QEMU plugin decrease")
            before = None
        else:
            raise InvalidCountsError(f"the QEMU plugin wrote {word} without a begin line")
    return inferences
