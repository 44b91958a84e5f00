"""Prepare emulated ARM from Debian's packages and the interpreters' wheels; the host stays as it is."""

from __future__ import annotations

import os
import shutil
import string
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from benchmarks.targets.emulated.instruction_counts import UncountedError, read_counts
from benchmarks.targets.emulated.processors import CPUS, Cpu, system_files
from benchmarks.targets.emulated.sysroot import (
    APT_TEMPLATE,
    COUNTER,
    COUNTER_SOURCE,
    EMULATOR,
    PACKAGES,
    SCHEMA,
    STAMP,
    WHEELS,
    Sysroot,
    emulator,
    find_sysroot,
    pinned_wheels,
    recipe_sha256,
)
from dermpack.errors import DermpackError, InputError, OutputError
from dermpack.storage.files import json_text, new_folder, sha256_file, write_text

OS_RELEASE = Path("/etc/os-release")
DEBIAN_12 = ("ID=debian", "VERSION_CODENAME=bookworm")  # its Python and its QEMU are the ones that were tried
PATIENCE_SECONDS = 900.0  # for one step over a slow line
# What of the host's ways to fetch is not about fetching, or is said anew.
NOT_COPIED = tuple(f"Acquire::{name}" for name in ("IndexTargets", "Changelogs", "Languages", "cdrom"))
# The first tag is the one that tflite-runtime needs, the second is ai-edge-litert's.
PLATFORMS = ("manylinux_2_34_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64")
COMPILE = ("gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden")
# It imports what the worker does, so that the emulated Python keeps them compiled.
TRIAL = """
import base64, gc, importlib.metadata, json, os, pathlib, resource, signal
import ai_edge_litert.interpreter, numpy, tflite_runtime.interpreter
for mark in (0x7E570001, 0x7E570002):
    try:
        os.getsid(mark)
    except ProcessLookupError:
        pass
"""


def prepare(folder: Path, *, os_release: Path = OS_RELEASE) -> Iterator[str]:
    """Make the sysroot, whole or not at all; each step is named before it is taken. None where it stands."""
    with suppress(DermpackError):
        find_sysroot(folder)
        return
    _check_system(os_release)
    emulator()
    with new_folder(folder, marker=STAMP, overwrite=True) as beside:
        stamp: dict[str, object] = {"schema": SCHEMA, "recipe": recipe_sha256(), "wheels": pinned_wheels()}
        yield "Downloading ARM's Python and libraries (16 MB, and 9 MB of lists)"
        archives = _download(beside / "apt")
        yield "Unpacking them"
        stamp["packages"] = _unpack(archives, beside / "base")
        shutil.rmtree(beside / "apt")
        yield "Installing " + ", ".join(f"{name} {of['version']}" for name, of in pinned_wheels().items())
        _install_wheels(beside / "wheels")
        yield "Compiling the plugin that counts instructions"
        stamp["counter"] = _compile(COUNTER_SOURCE, beside / COUNTER)
        for cpu in CPUS:
            yield f"Trying the {cpu.title}"
            _lay_out_cpu(cpu, beside / "cpus" / cpu.name)
            _try(Sysroot(folder=beside, stamp=stamp), cpu)
        write_text(beside / STAMP, json_text(stamp))


def _check_system(os_release: Path) -> None:
    lines = os_release.read_text(encoding="utf-8").splitlines() if os_release.is_file() else []
    if not set(DEBIAN_12) <= set(lines):
        hint = "Prepare the emulator on Debian 12 or in a Debian 12 container."
        raise InputError("this machine", "not Debian 12", hint, code="unsupported-system")


def _download(apt: Path) -> list[Path]:
    """Archives of the packages and of all that they need, fetched and verified by an apt of our own."""
    for name in ("state/lists/partial", "cache/archives/partial", "log"):
        (apt / name).mkdir(parents=True)
    (apt / "state" / "status").touch()
    configuration = string.Template(APT_TEMPLATE.read_text(encoding="utf-8")).substitute(folder=apt)
    (apt / "apt.conf").write_text(configuration + _ways_to_fetch(), encoding="utf-8")
    alone = {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C"}
    _run(["apt-get", "update", "-qq"], environment=alone)
    _run(["apt-get", "install", "-qq", "--yes", "--download-only", *PACKAGES], environment=alone)
    return sorted((apt / "cache" / "archives").glob("*.deb"))


def _ways_to_fetch() -> str:
    """The host's proxies and the like, in apt's own form."""
    lines = _run(["apt-config", "dump", "Acquire"]).splitlines()
    return "".join(f"{line}\n" for line in lines if not line.startswith(NOT_COPIED))


def _unpack(archives: Sequence[Path], base: Path) -> dict[str, dict[str, str]]:
    """Their names, versions and sha256: libc6_2.36-9_arm64.deb → {"libc6": {"version": "2.36-9", …}}"""
    found = {}
    for archive in archives:
        _run(["dpkg-deb", "--extract", str(archive), str(base)])
        name, version, _ = unquote(archive.name).split("_")
        found[name] = {"version": version, "sha256": sha256_file(archive)}
    return found


def _install_wheels(wheels: Path) -> None:
    """By hash; without their other dependencies, which an interpreter does not import."""
    kinds = [word for platform in PLATFORMS for word in ("--platform", platform)]
    kinds += ["--implementation", "cp", "--python-version", "3.11", "--only-binary=:all:", "--no-compile"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, "--require-hashes", "--target", str(wheels), *kinds, "--requirement", str(WHEELS)])


def _compile(source: Path, plugin: Path) -> str:
    _run([*COMPILE, "-o", str(plugin), str(source)])
    return sha256_file(plugin)


def _lay_out_cpu(cpu: Cpu, root: Path) -> None:
    """What the emulator shows as the file system: the base, and the processor's own description."""
    for path, text in system_files(cpu).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="ascii")
    for name in ("bin", "etc", "lib", "usr"):
        (root / name).symlink_to(Path("../../base") / name)


def _try(sysroot: Sysroot, cpu: Cpu) -> None:
    """Count the instructions between two marks with both interpreters loaded."""
    counts = sysroot.folder / "counts.txt"
    _run([*sysroot.command(cpu, counts=counts), "-c", TRIAL], environment=sysroot.environment())
    try:
        is_counted = [inference.instructions > 0 for inference in read_counts(counts)] == [True]
    except UncountedError:
        is_counted = False
    if not is_counted:
        hint = "Install the package qemu-user (7.2) of Debian 12."
        raise InputError(EMULATOR, "plugins are not supported", hint, code="missing-tool")
    counts.unlink()


def _run(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints; its last line where it fails."""
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except OSError as error:
        what = f"cannot be run ({error.strerror})"
        raise InputError(name, what, 'Run "make arm".', code="missing-tool") from error
    except subprocess.TimeoutExpired as error:
        what = f"not finished after {PATIENCE_SECONDS:g} s"
        raise OutputError(name, what, "Try again.", code="tool-failed") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        hint = 'Fix the reported problem, then run "make arm" again.'
        raise OutputError(name, f"failed ({last})", hint, code="tool-failed")
    return done.stdout
