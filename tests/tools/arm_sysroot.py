"""Build the sysroot for emulated ARM: `python -m tests.tools.arm_sysroot`, which `make arm` runs.

This module and its imports need only the standard library, because `make arm` runs it in an empty
environment. It is not in a package, because it works in a clone only.
"""

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

from benchmarks.targets.emulated.emulator import (
    APT_TEMPLATE,
    COUNTER,
    COUNTER_SOURCE,
    CPUS,
    EMULATOR,
    PACKAGES,
    SCHEMA,
    STAMP,
    WHEELS,
    Cpu,
    InvalidCountsError,
    Sysroot,
    find_emulator,
    find_sysroot,
    hash_recipe,
    locate_sysroot,
    read_counts,
    read_pinned_wheels,
    system_files,
)
from dermpack.errors import DermpackError, InputError, OutputError
from dermpack.storage.files import format_json, new_folder, sha256_file, write_text

OS_RELEASE = Path("/etc/os-release")
DEBIAN_12 = ("ID=debian", "VERSION_CODENAME=bookworm")  # its Python and its QEMU were tested
PATIENCE_SECONDS = 900.0  # for one step over a slow connection
# Settings of the host's apt that do not concern fetching, or that our template sets.
NOT_COPIED = tuple(f"Acquire::{name}" for name in ("IndexTargets", "Changelogs", "Languages", "cdrom"))
# The first tag is the one that tflite-runtime needs, the second is ai-edge-litert's.
PLATFORMS = ("manylinux_2_34_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64")
PIP_INSTALL = (
    *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"),
    *(word for platform in PLATFORMS for word in ("--platform", platform)),
    *("--implementation", "cp", "--python-version", "3.11", "--only-binary=:all:", "--no-compile"),
    "--require-hashes",
)
COMPILE = ("gcc", "-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden")
# It imports what the worker imports, so that the emulated Python keeps the compiled modules.
TRIAL = """
import base64, gc, importlib.metadata, json, os, pathlib, resource, signal
import ai_edge_litert.interpreter, numpy, tflite_runtime.interpreter
for mark in (0x7E570001, 0x7E570002):
    try:
        os.getsid(mark)
    except ProcessLookupError:
        pass
"""


def main() -> None:
    """Build the sysroot in the cache folder, or report why that is impossible."""
    try:
        for step in prepare_sysroot(locate_sysroot()):
            sys.stderr.write(f"{step} ...\n")
        sys.stderr.write(f"Emulated ARM is ready in {find_sysroot(locate_sysroot()).folder}\n")
    except DermpackError as error:
        sys.exit(f"error: {error}")


def prepare_sysroot(folder: Path, *, os_release: Path = OS_RELEASE) -> Iterator[str]:
    """Build the sysroot atomically, and yield each step before it starts; none if it exists."""
    with suppress(DermpackError):
        find_sysroot(folder)
        return
    lines = os_release.read_text(encoding="utf-8").splitlines() if os_release.is_file() else []
    if not set(DEBIAN_12) <= set(lines):
        hint = "Prepare the emulator on Debian 12 or in a Debian 12 container."
        raise InputError("this machine", "not Debian 12", hint, code="unsupported-system")
    find_emulator()
    wheels = read_pinned_wheels()
    with new_folder(folder, marker=STAMP, overwrite=True) as partial:
        stamp: dict[str, object] = {"schema": SCHEMA, "recipe": hash_recipe(), "wheels": wheels}
        yield "Downloading ARM's Python and libraries (16 MB, and 9 MB of package lists)"
        archives = _download(partial / "apt")
        yield "Unpacking them"
        stamp["packages"] = _unpack(archives, partial / "base")
        shutil.rmtree(partial / "apt")
        yield "Installing " + ", ".join(f"{name} {wheel['version']}" for name, wheel in wheels.items())
        # By hash, and without dependencies, which an interpreter does not import.
        _run([*PIP_INSTALL, "--target", str(partial / "wheels"), "--requirement", str(WHEELS)])
        yield "Compiling the plugin that counts instructions"
        _run([*COMPILE, "-o", str(partial / COUNTER), str(COUNTER_SOURCE)])
        stamp["counter"] = sha256_file(partial / COUNTER)
        for cpu in CPUS:
            yield f"Testing the {cpu.name.title()}"
            root = partial / "cpus" / cpu.name
            # What the emulator shows as the file system: the base and the processor's own description.
            for path, text in system_files(cpu).items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="ascii")
            for name in ("bin", "etc", "lib", "usr"):
                (root / name).symlink_to(Path("../../base") / name)
            _test_counting(Sysroot(folder=partial, stamp=stamp), cpu)
        write_text(partial / STAMP, format_json(stamp))


def _download(apt: Path) -> list[Path]:
    """Download the packages and their dependencies, which apt verifies, with an apt state of our own."""
    for name in ("state/lists/partial", "cache/archives/partial", "log"):
        (apt / name).mkdir(parents=True)
    (apt / "state" / "status").touch()
    configuration = string.Template(APT_TEMPLATE.read_text(encoding="utf-8")).substitute(folder=apt)
    # The host's proxies and the like also apply here.
    lines = _run(["apt-config", "dump", "Acquire"]).splitlines()
    configuration += "".join(f"{line}\n" for line in lines if not line.startswith(NOT_COPIED))
    (apt / "apt.conf").write_text(configuration, encoding="utf-8")
    environment = {**os.environ, "APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C"}
    _run(["apt-get", "update", "-qq"], environment=environment)
    _run(["apt-get", "install", "-qq", "--yes", "--download-only", *PACKAGES], environment=environment)
    return sorted((apt / "cache" / "archives").glob("*.deb"))


def _unpack(archives: Sequence[Path], base: Path) -> dict[str, dict[str, str]]:
    """Unpack and list archives: libc6_2.36-9_arm64.deb → {"libc6": {"version": "2.36-9", "sha256": …}}."""
    packages = {}
    for archive in archives:
        _run(["dpkg-deb", "--extract", str(archive), str(base)])
        name, version, _ = unquote(archive.name).split("_")
        packages[name] = {"version": version, "sha256": sha256_file(archive)}
    return packages


def _test_counting(sysroot: Sysroot, cpu: Cpu) -> None:
    """Load both interpreters and check that the instructions between two marks are counted."""
    counts = sysroot.folder / "counts.txt"
    _run([*sysroot.command(cpu, counts=counts), "-c", TRIAL], environment=sysroot.environment())
    try:
        is_counted = [sum(kinds) > 0 for kinds in read_counts(counts)] == [True]
    except InvalidCountsError:
        is_counted = False
    if not is_counted:
        hint = "Install the package qemu-user (7.2) of Debian 12."
        raise InputError(EMULATOR, "plugins are not supported", hint, code="missing-tool")
    counts.unlink()


def _run(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> str:
    """Run a command and return what it prints; raise OutputError with its last line if it fails."""
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


if __name__ == "__main__":
    main()
