"""Compile the Java of a bundle, where a JDK is there; Android's classes are stood in for."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from dermpack.bundle.java_sources import HOME
from dermpack.bundle.zip_archive import zipped
from dermpack.errors import InputError

STAND_INS = HOME / "standin"
SECONDS = 120
HINT = "Install a JDK (javac), or use --format module."


def classes_jar(sources: Mapping[str, bytes]) -> bytes:
    """The classes of Java 8, the same for the same compiler."""
    javac = shutil.which("javac")
    if javac is None:
        raise InputError("javac", "not found on the PATH", HINT, code="missing-tool")
    with TemporaryDirectory(prefix="dermpack-javac-") as folder:
        at = Path(folder)
        for name, source in sources.items():
            path = at / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(source)
        _compile(javac, sorted(STAND_INS.glob("*.java")), into=at / "standin", using=None)
        _compile(javac, sorted((at / "source").rglob("*.java")), into=at / "classes", using=at / "standin")
        found = sorted((at / "classes").rglob("*.class"))
        return zipped({of.relative_to(at / "classes").as_posix(): of.read_bytes() for of in found})


def _compile(javac: str, files: list[Path], *, into: Path, using: Path | None) -> None:
    path = ["-classpath", str(using)] if using else []
    command = [javac, "--release", "8", "-Xlint:-options", "-encoding", "UTF-8", "-d", str(into), *path]
    try:
        done = subprocess.run(
            [*command, *map(str, files)], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(javac, f"cannot be run ({error})", HINT, code="tool-failed") from error
    if done.returncode:
        line = next(iter((done.stderr or done.stdout).splitlines()), "no output")
        what = f"cannot compile the Java sources of the bundle ({line[:200]})"
        raise InputError(javac, what, HINT, code="tool-failed")
