"""Read the bytes of a picture file, or say why not."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from dermpack.imaging.rejection import DecodingLimits, Reason, refusal

# A link is refused by the same call that opens the file; a pipe must not block.
OPEN_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


def read_source(source: Path | bytes, *, limits: DecodingLimits) -> bytes:
    """The bytes of a regular file that is no link and not too heavy."""
    data = source if isinstance(source, bytes) else _read_file(source, limits)
    where = name_of(source)
    if not data:
        raise refusal(where, Reason.EMPTY, "empty file")
    if len(data) > limits.max_bytes:
        raise _too_heavy(where, len(data), limits)
    return data


def name_of(source: Path | bytes) -> str:
    return "(bytes)" if isinstance(source, bytes) else str(source)


def _read_file(path: Path, limits: DecodingLimits) -> bytes:
    try:
        descriptor = os.open(path, OPEN_FLAGS)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _cannot_open(path, error) from error
    try:
        return _read_regular(path, descriptor, limits)
    except OSError as error:
        raise _cannot_open(path, error) from error
    finally:
        os.close(descriptor)


def _read_regular(path: Path, descriptor: int, limits: DecodingLimits) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise refusal(path, Reason.NOT_A_FILE, "not a regular file")
    if status.st_size > limits.max_bytes:
        raise _too_heavy(path, status.st_size, limits)
    if not status.st_size:
        return b""  # also what /proc holds: it has no size, and no end
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        return file.readall()


def _cannot_open(path: Path, error: OSError | ValueError) -> Exception:
    number = getattr(error, "errno", None)
    if number in (errno.ELOOP, errno.EMLINK):  # EMLINK: what FreeBSD says of a link
        return refusal(path, Reason.LINK, "a symbolic link")
    what = getattr(error, "strerror", None) or str(error)
    return refusal(path, Reason.UNREADABLE, f"cannot be read ({what})")


def _too_heavy(where: object, size_bytes: int, limits: DecodingLimits) -> Exception:
    what = f"{size_bytes:,} bytes, but at most {limits.max_bytes:,} are allowed"
    return refusal(where, Reason.TOO_HEAVY, what)
