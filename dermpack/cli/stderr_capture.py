"""Keep TensorFlow's start-up messages off the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, TextIO, cast


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Discard what is written to stderr within the block, also by C++; exceptions pass.

    TensorFlow's start-up messages come before any log level can be set, so the file descriptor is replaced.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@contextmanager
def python_stderr_only() -> Iterator[None]:
    """Discard what C++ writes to stderr within the block; what Python writes is shown."""
    if not _is_file_descriptor_2():
        with silenced_stderr():
            yield
        return
    sys.stderr.flush()
    with (
        os.fdopen(os.dup(2), "w", buffering=1) as own,
        silenced_stderr(),
        redirect_stderr(cast("TextIO", _TemporaryStderr(own))),
    ):
        yield


class _TemporaryStderr:
    """The file as long as it is open, and after that whatever sys.stderr is.

    A logging handler that a library creates within the block keeps this object as its stream.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr if self._file.closed else self._file, name)


def _is_file_descriptor_2() -> bool:
    """Return whether Python and C++ write to the same stderr; in a test they may not."""
    try:
        return sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        return False
