"""Keep TensorFlow's start-up remarks off the terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any, TextIO, cast


@contextmanager
def hushed() -> Iterator[None]:
    """Within the block what C++ writes to stderr is lost; exceptions are not.

    The remarks come before any log level can be set.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def python_alone() -> Iterator[None]:
    """Within the block Python still speaks on stderr, and C++ does not."""
    if not _is_the_terminals():
        with hushed():
            yield
        return
    sys.stderr.flush()
    with os.fdopen(os.dup(2), "w", buffering=1) as own, hushed(), redirect_stderr(cast("TextIO", _Lent(own))):
        yield


class _Lent:
    """A way to the terminal as long as the file is open, then whatever stderr is.

    A logging handler that a library makes within the block keeps what it then finds as stderr.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr if self._file.closed else self._file, name)


def _is_the_terminals() -> bool:
    """Whether Python's stderr is the one that C++ knows; a test's is not."""
    try:
        return sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        return False
