"""Hold a folder that grows over several calls: one process works in it at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dermpack.storage.files import cannot_write, refuse_existing
from dermpack.storage.locks import locked

STATE = "state"  # what lets the next call go on; the lock is in it


@contextmanager
def held(folder: Path, *, marker: str) -> Iterator[None]:
    """New, or one that the marker says is ours; it is free again when we end, in whatever way."""
    if not (folder / marker).is_file():
        refuse_existing(folder, marker=marker, overwrite=False)
    try:
        with locked(folder / STATE / "lock", where=folder):
            yield
    except OSError as error:
        if error.filename is None or not Path(str(error.filename)).is_relative_to(folder):
            raise
        raise cannot_write(folder, error) from error
