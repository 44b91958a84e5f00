"""Say where the worker is: what the asked files hold, which versions are there, how much memory it took.

Stands alone beside worker.py. What the texts mean is read where the job came from.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np

MOST_TEXT_BYTES = 1 << 16  # /proc/cpuinfo is the longest
STATUS, PEAK = "/proc/self/status", "VmHWM:"


def environment(patterns: list[str]) -> dict[str, str]:
    """What the files that fit hold, by their paths, and what no file says; the unreadable is left out."""
    paths = (path for pattern in patterns for path in sorted(Path("/").glob(pattern.lstrip("/"))))
    texts = {str(path): _read(path) for path in paths}
    own = {"machine": os.uname().machine, "kernel": os.uname().release, "cores": str(_cores())}
    versions = {"python": sys.version.split()[0], "numpy": np.__version__}
    return {**own, **versions, **{path: text for path, text in texts.items() if text}}


def versions(packages: dict[str, str]) -> dict[str, str]:
    """The version of each package whose module is there: {"ai-edge-litert": "2.3.0"}."""
    found = {}
    for package, module in packages.items():
        if find_spec(module) is not None:
            try:
                found[package] = metadata.version(package)
            except metadata.PackageNotFoundError:  # copied there, not installed
                found[package] = "of unknown version"
    return found


def peak_bytes() -> int | None:
    """The most memory that this process ever held; None where the system does not tell."""
    lines = (line.split() for line in _read(Path(STATUS)).splitlines())
    return next((int(line[1]) * 1024 for line in lines if line and line[0] == PEAK), None)


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MOST_TEXT_BYTES).decode("utf-8", "replace").strip("\0 \n\t")
    except OSError:
        return ""
