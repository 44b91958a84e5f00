"""Keep the folder of prepared pictures within its bound: what was least recently used goes first.

Whoever reads or writes a file in it holds a shared lock, which ends with its process; a file is removed by
whoever can lock it alone. Where the file system has no locks, nothing is removed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from dermpack.errors import OutputError
from dermpack.storage.cache_folders import CACHE_VARIABLE, GB

LOCK_FILE = ".dermpack.lock"
ROWS = re.compile(r"[0-9a-f]{40}\.npy")
ABANDONED = re.compile(r"\.[0-9a-f]{40}\.npy\.\d+\.[0-9a-f]{8}\.partial")
SEAL = re.compile(rb"[0-9a-f]{64}\n")
SEAL_BYTES = 65


def make_room(path: Path, *, needed_bytes: int, bound_bytes: int) -> None:
    """Remove from the path's folder what is in nobody's use, until the path fits the bound and the disk.

    What is in use stays, even above the bound; a disk that is too small is said before the work.
    """
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder) as is_alone:
        if is_alone:
            _remove_abandoned(folder)
            _remove_oldest(folder, needed_bytes=needed_bytes, bound_bytes=bound_bytes)
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        what = f"needs {needed_bytes / GB:.2f} GB, but only {free / GB:.2f} GB are free"
        hint = f"Free some space, or set {CACHE_VARIABLE} to a folder on another disk."
        raise OutputError(path, what, hint, code="disk-full")


def open_held(path: Path, mode: Literal["rb", "w+b"]) -> BinaryIO:
    """Open a file that nobody removes for as long as it, or a map of it, is open."""
    while True:
        file = path.open(mode)
        with suppress(OSError):  # no locks here
            fcntl.flock(file, fcntl.LOCK_SH)
        if _is_at(file, path):
            return file
        file.close()  # it was removed in between


@contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Wait for the others; False where the folder knows no locks, or may not be written."""
    with ExitStack() as stack:
        try:
            fcntl.flock(stack.enter_context((folder / LOCK_FILE).open("a")), fcntl.LOCK_EX)
            is_alone = True
        except OSError:
            is_alone = False
        yield is_alone


def seal_of(path: Path) -> Path:
    """The file beside it that holds its sha256; its time is that of the last use."""
    return path.with_suffix(".sha256")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class _Kept:
    """In the order of last use."""

    used_ns: int
    path: Path
    size_bytes: int


def _remove_oldest(folder: Path, *, needed_bytes: int, bound_bytes: int) -> None:
    kept = sorted(_kept(folder))
    whole = sum(one.size_bytes for one in kept)
    above, lacking = whole + needed_bytes - bound_bytes, needed_bytes - shutil.disk_usage(folder).free
    if lacking > whole:
        lacking = 0  # removing all of it would be in vain
    for one in kept:
        if max(above, lacking) <= 0:
            return
        if _remove(one.path):
            seal_of(one.path).unlink(missing_ok=True)
            above, lacking = above - one.size_bytes, lacking - one.size_bytes


def _kept(folder: Path) -> Iterator[_Kept]:
    """What we made here, whoever else keeps files in the folder."""
    for path in folder.glob("*.npy"):
        with suppress(OSError):
            if ROWS.fullmatch(path.name) and _is_sealed(path):
                used_ns = seal_of(path).stat().st_mtime_ns
                yield _Kept(path=path, size_bytes=path.stat().st_size, used_ns=used_ns)


def _is_sealed(path: Path) -> bool:
    seal = seal_of(path)
    if not (_is_plain(path) and _is_plain(seal)):
        return False
    with seal.open("rb") as file:
        return SEAL.fullmatch(file.read(SEAL_BYTES + 1)) is not None


def _remove_abandoned(folder: Path) -> None:
    """What a killed process was writing."""
    for path in folder.glob(".*.partial"):
        if ABANDONED.fullmatch(path.name) and _is_plain(path):
            _remove(path)


def _remove(path: Path) -> bool:
    """Unless somebody has it open."""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False
    return True


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
