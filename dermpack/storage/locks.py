"""File locks between processes: fail at once, or wait for the turn.

The system releases a lock when its process ends, whatever ends it; the file of the lock stays.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermpack.errors import OutputError
from dermpack.storage.files import check_output_folder, write_error

STATE_FOLDER = "state"  # in a folder that grows over several calls: what the next call resumes from
WORKERS_FOLDER = "workers"  # in a folder with several workers: their locks


@contextmanager
def exclusive_lock(path: Path, *, where: Path, what: str = "in use") -> Iterator[None]:
    """Lock the file for the block; raise OutputError at `where` if another process has locked it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise write_error(where, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "Wait until the other process has ended."
            raise OutputError(where, f"{what} by another process", hint, code="in-use") from None
        yield


@contextmanager
def lock_folder(folder: Path, *, marker: str) -> Iterator[None]:
    """Lock a folder that grows over several calls: a new one, or one that contains the marker file."""
    if not (folder / marker).is_file():
        check_output_folder(folder, marker=marker, overwrite=False)
    try:
        with exclusive_lock(folder / STATE_FOLDER / "lock", where=folder):
            yield
    except OSError as error:
        # The block may also read other files; their errors are not about this folder.
        if error.filename is None or not Path(str(error.filename)).is_relative_to(folder):
            raise
        raise write_error(folder, error) from error


@contextmanager
def wait_for_turn(folder: Path, *, name: str = "turn") -> Iterator[None]:
    """Wait until no other worker of the folder is inside a block of this name, then enter it."""
    path = folder / WORKERS_FOLDER / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
