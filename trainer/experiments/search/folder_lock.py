"""What only one worker of a folder does at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKERS = "workers"  # the folder of locks


@contextmanager
def turn(folder: Path, *, of: str = "turn") -> Iterator[None]:
    """Wait for the others; a worker that dies within frees its turn."""
    path = folder / WORKERS / f"{of}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
