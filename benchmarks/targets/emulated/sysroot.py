"""Find what `make arm` prepared: ARM's libraries, Python, interpreters, and the plugin that counts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.targets.emulated.processors import CPUS, Cpu, system_files
from dermpack.errors import InputError
from dermpack.storage.cache_folders import cache_folder
from dermpack.storage.files import json_text, read_json, sha256_file, sha256_of

SCHEMA = 1
STAMP = "sysroot.json"
EMULATOR = "qemu-aarch64"
PARTS = Path(__file__).with_name("arm")  # what the sysroot is made from
APT_TEMPLATE, WHEELS, COUNTER_SOURCE = PARTS / "apt.conf", PARTS / "wheels.txt", PARTS / "counter.c"
PACKAGES = ("python3.11-minimal", "libpython3.11-stdlib", "libstdc++6")
PYTHON, COUNTER = "base/usr/bin/python3.11", "counter.so"
MAKE_ARM = '"make arm" in a clone of dermpack.'
PREPARE = f"Run {MAKE_ARM}"
WHEEL = re.compile(r"^([\w.-]+)==([\w.]+) --hash=sha256:([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysroot:
    """A whole folder of ours, and the stamp that says of what it was made."""

    folder: Path
    stamp: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """Of every package's and wheel's name, version and content."""
        return sha256_of(json_text({name: self.stamp[name] for name in ("packages", "wheels")}).encode())

    def command(self, cpu: Cpu, *, counts: Path | None = None) -> list[str]:
        """What runs ARM's Python; the totals of what it counts go to `counts`."""
        command = [emulator(), "-cpu", cpu.name, "-L", str(self.folder / "cpus" / cpu.name)]
        if counts is not None:
            plugin = str(self.folder / COUNTER).replace(",", ",,")  # QEMU's way to say a comma
            command += ["-plugin", plugin, "-d", "plugin", "-D", str(counts)]
        return [
            *command,
            str(self.folder / PYTHON),
            "-s",
            "-S",
        ]  # without site: it would read the host's /etc

    def environment(self) -> dict[str, str]:
        """All of the environment that the emulated program sees: counts repeat where it repeats."""
        return {
            "LC_ALL": "C.UTF-8",
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": str(self.folder / "wheels"),
        }


def sysroot_folder() -> Path:
    """Among the caches: $DERMPACK_CACHE/arm."""
    return cache_folder() / "arm"


def find_sysroot(folder: Path) -> Sysroot:
    """What stands there; an error that names `make arm` where nothing does, or what another version made."""
    if not (folder / STAMP).is_file():
        what = "the emulator is not prepared on this machine"
        raise InputError("emulated ARM", what, PREPARE, code="emulator-not-prepared")
    stamp = read_json(folder / STAMP)
    if stamp.get("schema") != SCHEMA or stamp.get("recipe") != recipe_sha256():
        what = "prepared by another version of dermpack"
        raise InputError(folder, what, PREPARE, code="emulator-not-prepared")
    if not (folder / PYTHON).is_file() or stamp.get("counter") != _sha256(folder / COUNTER):
        hint = f"Remove the folder, then run {MAKE_ARM}"
        raise InputError(folder, "the folder is incomplete", hint, code="emulator-not-prepared")
    return Sysroot(folder=folder, stamp=stamp)


def recipe_sha256() -> str:
    """Of everything here that says what a sysroot is made from."""
    parts = {path.name: sha256_file(path) for path in (APT_TEMPLATE, WHEELS, COUNTER_SOURCE)}
    systems = {cpu.name: dict(system_files(cpu)) for cpu in CPUS}
    whole = {"schema": SCHEMA, "parts": parts, "packages": PACKAGES, "systems": systems}
    return sha256_of(json_text(whole).encode())


def pinned_wheels() -> dict[str, dict[str, str]]:
    """{"numpy": {"version": "1.26.4", "sha256": "7ab5…"}, …}"""
    lines = WHEEL.findall(WHEELS.read_text(encoding="utf-8"))
    return {name: {"version": version, "sha256": sha256} for name, version, sha256 in lines}


def emulator() -> str:
    found = shutil.which(EMULATOR)
    if found is None:
        raise InputError(EMULATOR, "not installed", PREPARE, code="missing-tool")
    return found


def _sha256(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None
