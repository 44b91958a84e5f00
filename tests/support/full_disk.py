"""Run a piece of work with a full disk at each place where it creates, syncs or renames a file."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.support.paths import REPOSITORY

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
RENAMES = ("os.rename", "os.link", "os.symlink")
_visit: list[Callable[[str, str], None]] = []  # of the block that is watched
_is_hooked: list[bool] = []  # Python cannot remove an audit hook


def write_sites(work: Callable[[], object], *, below: Path) -> list[str]:
    """Run the work and return every place that writes below the folder: the calls that led there."""
    sites: dict[str, None] = {}
    with _watch(lambda site, _: sites.setdefault(site), below):
        work()
    return list(sites)


def run_with_full_disk(work: Callable[[], int], *, site: str, below: Path) -> int:
    """Run the work with a full disk at the first visit of the site, and return its result."""
    left = [site]

    def fail(found: str, path: str) -> None:
        if left == [found]:
            left.clear()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    with _watch(fail, below):
        result = work()
    assert left == [], f"never visited: {site}"
    return result


@contextmanager
def _watch(visit: Callable[[str, str], object], below: Path) -> Iterator[None]:
    if not _is_hooked:
        sys.addaudithook(_notice)
        _is_hooked.append(True)

    def visit_below(event: str, path: str) -> None:
        is_new = event != "os.mkdir" or not Path(path).is_dir()
        if is_new and path.startswith(f"{below}/"):
            _visit.clear()  # what happens meanwhile is not part of the work
            try:
                visit(f"{event} {_find_calls()}", path)
            finally:
                _visit.append(visit_below)

    def sync(descriptor: int) -> None:
        visit_below("os.fsync", str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        original(descriptor)

    original = os.fsync
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        _visit.append(visit_below)
        try:
            yield
        finally:
            _visit.clear()


def _notice(event: str, arguments: tuple[Any, ...]) -> None:
    if not _visit:
        return
    path: object = None
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        path = arguments[0]
    elif event in RENAMES:
        path = arguments[1]
    elif event == "os.mkdir":
        path = arguments[0]
    if isinstance(path, str | bytes | os.PathLike):
        _visit[-1](event, os.path.abspath(os.fsdecode(path)))  # noqa: PTH100 - no access to the disk


def _find_calls() -> str:
    """Return the lines of our own code that led here, the innermost first."""
    lines: list[str] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(f"{REPOSITORY}/") and "/tests/" not in name and "/.venv/" not in name:
            lines.append(f"{name[len(str(REPOSITORY)) + 1 :]}:{frame.f_lineno}")
        frame = frame.f_back
    return " < ".join(lines)
