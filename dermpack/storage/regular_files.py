"""Open files of unknown origin: the one place that opens a path which a user, a table or a record names.

A path can lead to a pipe, which blocks whoever opens it, or to a device, which can be read without end. A
check before the opening would not help, because the path can change in between: so the file is opened in a
way that never blocks, and what was opened is checked.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

# O_NONBLOCK: a pipe without a writer opens at once. O_NOCTTY: a terminal does not become the program's own.
READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class NotRegularFileError(OSError):
    """The path is a folder, a pipe, a socket or a device."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; raise OSError otherwise, and ValueError for a NUL in the path."""
    try:
        descriptor = os.open(path, READ_FLAGS)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device without a driver
            raise _not_regular(path) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise _not_regular(path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        with suppress(OSError):  # closed already if fdopen failed
            os.close(descriptor)
        raise


def read_beginning(path: Path, size_bytes: int) -> bytes:
    """Return the first bytes of a regular file, or b"" if it cannot be read."""
    with suppress(OSError, ValueError), open_regular(path) as file:
        return file.read(size_bytes)
    return b""


def _not_regular(path: Path) -> NotRegularFileError:
    return NotRegularFileError(errno.EINVAL, "not a regular file", str(path))
