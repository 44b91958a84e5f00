"""Turn errors of the system into one line: a full disk, a forbidden folder, no memory, no descriptors.

The commands check what they read and write, and raise errors that name it. What no check can exclude ends
here: a disk that fills up during the work, a permission that is withdrawn, a path through a loop of links.
An error about a path that the user did not name, as of a file of the program itself, is a bug and keeps its
traceback.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import dermpack
from dermpack.errors import DermpackError, InputError, OutputError, find_missing_extra
from dermpack.storage.regular_files import NotRegularFileError

# The machine lacks something, whatever file is concerned.
FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
BROKEN_DISK = frozenset({errno.EROFS, errno.EIO})  # mounted read-only, perhaps after an error
FEW_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
OUT_OF_MEMORY = "out-of-memory"
# What the names and permissions of a path can cause. Any other number is a bug, even with such a path.
ABOUT_PATHS = frozenset(
    (
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG),
        *(errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENODEV, errno.ESTALE, errno.EBUSY),
        *(errno.EXDEV, errno.ENOTSUP),
    )
)
# Folders that the user sets up, without naming them in each command.
ENVIRONMENT = ("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "DERMPACK_CACHE", "KERAS_HOME", "MPLCONFIGDIR")
HOME_FOLDERS = (".cache", ".config", ".keras")
OWN_FOLDERS = (Path(dermpack.__file__).parent, Path(sys.prefix))  # a missing file of these is a bug
LOOP = "Symlink loop from "  # how pathlib's RuntimeError begins before Python 3.13
# Python's ValueError about a path with a NUL; newer versions name the function: "stat: embedded null …".
NUL = re.compile(r"(\w+: )?embedded null ")
# How the dynamic loader and the threads report too little memory, without an error number.
MEMORY_MESSAGES = ("failed to map segment", "cannot allocate memory", "can't start new thread")
MEMORY_HINT = "Close other programs, or raise the memory limit (ulimit -v)."
DESCRIPTORS_HINT = "Raise the limit (ulimit -n 1024), or lower --jobs or --threads."
SPACE_HINT = "Free disk space, also in the folder for temporary files (TMPDIR)."


def find_system_error(error: Exception, arguments: Sequence[str]) -> DermpackError | None:
    """Return the error to print for an exception that the machine or a path of the user caused, or None."""
    message = str(error)
    if any(map(_is_about_memory, _causes(error))):
        return InputError("memory", "not enough memory", MEMORY_HINT, code=OUT_OF_MEMORY)
    if isinstance(error, ModuleNotFoundError):
        return find_missing_extra(error)
    if isinstance(error, ValueError) and NUL.match(message):
        return InputError("a path", "contains a NUL character", "Check the arguments.", code="cannot-read")
    if isinstance(error, RuntimeError) and message.startswith(LOOP):
        where, what = message.removeprefix(LOOP).strip("'"), "a loop of symbolic links"
        return InputError(where, what, "Check the path.", code="cannot-access")
    return _find_os_error(error, arguments) if isinstance(error, OSError) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and its causes, because numpy hides why it cannot be loaded."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _is_about_memory(error: BaseException) -> bool:
    is_refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or is_refused or any(t in str(error) for t in MEMORY_MESSAGES)


def _find_os_error(error: OSError, arguments: Sequence[str]) -> DermpackError | None:
    where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    number = error.errno
    if isinstance(error, NotRegularFileError) and where is not None:
        what, hint = "not a regular file", "Give the path of a file."
        return InputError(where, what, hint, code="not-a-file")
    if number in FEW_DESCRIPTORS:
        what = "too many open files"
        return InputError(where or "this process", what, DESCRIPTORS_HINT, code="too-many-open-files")
    if number == errno.EAGAIN and isinstance(error, BlockingIOError):
        what, hint = "no further process can be started", "End other programs, or raise ulimit -u."
        return InputError("this process", what, hint, code="too-many-processes")
    if number in FULL_DISK:
        what = f"cannot be written ({error.strerror})"
        return OutputError(where or _temporary_folder(), what, SPACE_HINT, code="cannot-write")
    if number in BROKEN_DISK:
        what, hint = f"cannot be accessed ({error.strerror})", "Check the disk and how it is mounted."
        return InputError(where or "a file", what, hint, code="cannot-access")
    if where is None:
        is_temporary = isinstance(error, FileNotFoundError) and "temporary directory" in str(error)
        what, hint = "no folder for temporary files can be written", "Set TMPDIR to a folder with free space."
        return OutputError("TMPDIR", what, hint, code="cannot-write") if is_temporary else None
    is_ours = any(_contains(folder, where) for folder in OWN_FOLDERS)
    if is_ours or number not in ABOUT_PATHS:
        return None
    if not any(_contains(path, where) or _contains(where, path) for path in _user_paths(arguments)):
        return None
    if number == errno.ENOENT:
        return InputError(where, "does not exist", "Check the path.", code="file-not-found")
    what, hint = f"the system refuses access ({error.strerror})", "Check the path and its permissions."
    return InputError(where, what, hint, code="cannot-access")


def _user_paths(arguments: Sequence[str]) -> Iterator[Path]:
    """Yield the paths that the arguments can name, and the folders that the environment names."""
    for argument in arguments:
        yield Path(argument)
        if argument.startswith("-") and "=" in argument:  # --labels=FILE
            yield Path(argument.partition("=")[2])
    for name in ENVIRONMENT:
        if value := os.environ.get(name):
            yield Path(value)
    with suppress(RuntimeError):  # without HOME and an entry for the user, there is no home folder
        yield from (Path.home() / folder for folder in HOME_FOLDERS)
    yield Path(_temporary_folder())


def _contains(folder: Path, path: Path) -> bool:
    """Return whether the path is the folder or below it; neither has to exist."""
    return Path(os.path.abspath(path)).is_relative_to(os.path.abspath(folder))  # noqa: PTH100 - removes ".."


def _temporary_folder() -> str:
    return os.environ.get("TMPDIR") or "/tmp"  # only named in a message
