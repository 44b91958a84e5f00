"""Folders that several processes use: locks of folders that grow, and the folder of caches.

The system releases a lock when its process ends, whatever ends it; the file of the lock stays. A cache
contains only what can be computed again, so nothing in it is part of an artifact.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermpack.errors import InputError, OutputError
from dermpack.storage.files import check_output_folder, report_write_errors, write_error

STATE_FOLDER = "state"  # in a folder that grows over several calls: what the next call resumes from
WORKERS_FOLDER = "workers"  # in a folder with several workers: their locks
CACHE_VARIABLE = "DERMPACK_CACHE"
BOUND_VARIABLE = "DERMPACK_CACHE_GB"
BOUND_GB = 50  # enough for 300,000 prepared pictures of 224 px
GB = 10**9


@contextmanager
def exclusive_lock(path: Path, *, where: Path, what: str = "in use") -> Iterator[None]:
    """Lock the file for the block; raise OutputError at `where` if another process has locked it."""
    with report_write_errors(where):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "Wait until the other process has ended."
            raise OutputError(where, f"{what} by another process", hint, code="in-use") from None
        yield


@contextmanager
def lock_folder(folder: Path, *, marker: str) -> Iterator[None]:
    """Lock a folder that grows over several calls: a new one, or one that contains the marker file.

    A call that ended before it wrote the marker left the lock alone, and such a folder is as good as new.
    """
    lock = folder / STATE_FOLDER / "lock"
    if not (folder / marker).is_file() and not _has_only_lock(folder, lock, marker=marker):
        check_output_folder(folder, marker=marker, overwrite=False)
    try:
        with exclusive_lock(lock, where=folder):
            yield
    except OSError as error:
        # The block may also read other files; their errors are not about this folder.
        if error.filename is None or not Path(str(error.filename)).is_relative_to(folder):
            raise
        raise write_error(folder, error) from error


def _has_only_lock(folder: Path, lock: Path, *, marker: str) -> bool:
    """Return whether the folder has no file except the lock and the marker half-written; no lock will do."""
    half = f".{Path(marker).name}.*.partial"
    plain = not folder.is_symlink() and (lock.is_file() or lock.parent.is_dir())
    return plain and all(
        path == lock or (path.is_dir() and not path.is_symlink()) or path.match(half)
        for path in folder.rglob("*")
    )


@contextmanager
def wait_for_turn(folder: Path, *, name: str = "turn") -> Iterator[None]:
    """Wait until no other worker of the folder is inside a block of this name, then enter it."""
    path = folder / WORKERS_FOLDER / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_folder() -> Path:
    """Return $DERMPACK_CACHE, or else "dermpack" in the cache folder of the user."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).absolute()
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen).absolute() / "dermpack"
    try:
        home = Path.home()
    except RuntimeError:  # neither HOME nor an entry for the user, as in some containers
        home = Path("/")  # what container runtimes set HOME to; callers expect that it cannot be written
    return home.absolute() / ".cache" / "dermpack"


def cache_bound_bytes() -> int:
    """Return the size limit of a cache from $DERMPACK_CACHE_GB, or else 50 GB."""
    chosen = os.environ.get(BOUND_VARIABLE) or str(BOUND_GB)
    try:
        bound = int(float(chosen) * GB)
    except (ValueError, OverflowError):  # not a number; nan; inf
        bound = -1
    if bound < 0:
        where, what = f"{BOUND_VARIABLE}={chosen}", "must be a number of gigabytes of at least 0"
        hint = f"Set it to a number, for example {BOUND_GB}."
        raise InputError(where, what, hint, code="invalid-option")
    return bound
