"""Hold a folder that grows over several calls: one process works in it at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermpack.errors import OutputError
from dermpack.files import cannot_write, refuse_existing

STATE = "state"  # what lets the next call go on; the lock is in it


@contextmanager
def held(folder: Path, *, marker: str) -> Iterator[None]:
    """New, or one that the marker says is ours; it is free again when we end, in whatever way."""
    if not (folder / marker).is_file():
        refuse_existing(folder, marker=marker, overwrite=False)
    try:
        with _locked(folder):
            yield
    except OSError as error:
        if error.filename is None or not Path(str(error.filename)).is_relative_to(folder):
            raise
        raise cannot_write(folder, error) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    (folder / STATE).mkdir(parents=True, exist_ok=True)
    with (folder / STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(folder, "is being worked in by another process", "wait for it") from None
        yield
