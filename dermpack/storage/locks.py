"""Let one process at a time work; whatever ends it frees the lock."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermpack.errors import OutputError
from dermpack.storage.files import cannot_write


@contextmanager
def locked(path: Path, *, where: Path, what: str = "in use") -> Iterator[None]:
    """Hold the file, which stays; where another process holds it, raise OutputError at `where`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError as error:
        raise cannot_write(where, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            hint = "Wait until the other process has ended."
            raise OutputError(where, f"{what} by another process", hint, code="in-use") from None
        yield
