"""Files that appear whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dermpack.errors import DermpackError, OutputError, TableError

CHUNK_BYTES = 1 << 20
MAX_JSON_BYTES = 64 << 20  # a hostile file must not fill the memory: an object may take 30 times as much
MAX_DIGITS = 30  # of a whole number in JSON: every one of ours fits into 64 bits
AGAIN = "Create the file again."
EXISTS, EXISTS_HINT = "the output exists already", "Choose another output, or add --overwrite."
RENAME_EXCHANGE, AT_FDCWD = 2, -100  # linux/fs.h, fcntl.h


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    with path.open("rb") as file:
        return sha256_rest(file)


def sha256_rest(file: BinaryIO) -> str:
    """From where it stands to its end."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def json_text(value: object) -> str:
    """The one JSON form of every artifact: sorted keys, two spaces, a final newline, no NaN."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def read_bytes(path: Path, *, most: int, hint: str) -> bytes:
    """The bytes of a regular file that is not larger than `most`; a pipe or a device could be without end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TableError(path, "not a regular file", "Give the path of a file.", code="not-a-file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise cannot_read(path, error) from error
    if len(data) > most:
        raise TableError(path, f"larger than {most >> 20} MiB", hint, code="file-too-large")
    return data


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or an error that says where it is broken."""
    data = read_bytes(path, most=MAX_JSON_BYTES, hint=AGAIN)
    try:
        value = parsed_json(data)
    except (ValueError, RecursionError) as error:
        raise TableError(path, f"not valid JSON ({error})", AGAIN, code="invalid-json") from error
    if not isinstance(value, dict):
        raise TableError(path, "not a JSON object", AGAIN, code="invalid-json")
    return value


def parsed_json(data: bytes) -> Any:
    """The value; ValueError, or RecursionError, where it is none that an artifact of ours could hold."""
    return json.loads(data.decode("utf-8"), parse_int=_whole, parse_float=_finite, parse_constant=_finite)


def _whole(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    """No artifact holds NaN or an infinity, and 1e999 would be one."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:MAX_DIGITS]} is not a finite number")
    return number


def write_bytes(path: Path, data: bytes) -> None:
    """Write beside, flush to the disk, rename: a reader sees the old file or the new one."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):  # where it could not be made, it cannot be removed
            beside.unlink()


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def safe_relative(text: str) -> PurePosixPath | None:
    """The path if it stays below where it is joined to, else None: safe_relative("../x") → None."""
    path = PurePosixPath(text)
    inside = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    return path if inside and "\0" not in text and "\\" not in text else None


def is_there(path: Path) -> bool:
    """A file or a folder; where the name is too long for any, there is none."""
    try:
        return path.exists()
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False


@lru_cache(maxsize=8)
def tidy(path: Path) -> Path:
    """tidy("sets/moved/../pictures") → "sets/pictures", unless a link on the way makes it another place."""
    short = Path(os.path.normpath(path))
    return short if os.path.realpath(short) == os.path.realpath(path) else path


@contextmanager
def new_folder(path: Path, *, marker: str, overwrite: bool = False) -> Iterator[Path]:
    """Yield a folder beside `path` that takes its place when the block ends well, and vanishes otherwise.

    `marker` is the file that says "one of ours": nothing else is ever overwritten.
    """
    path = path.absolute()
    refuse_existing(path, marker=marker, overwrite=overwrite)
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        beside.mkdir()
        yield beside
        refuse_existing(path, marker=marker, overwrite=overwrite)  # another process may have been quicker
        _take_place(beside, path)
    except OSError as error:
        if not _is_about(error, path.parent):
            raise
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def refuse_existing(path: Path, *, marker: str, overwrite: bool) -> None:
    """Say early, before long work, that a result cannot go where it was asked to go."""
    try:
        mode = path.lstat().st_mode
        is_empty = stat.S_ISDIR(mode) and not any(path.iterdir())
        is_ours = stat.S_ISDIR(mode) and (path / marker).is_file()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise cannot_write(path, error) from error
    if not is_empty and not is_ours:
        what = f"the output exists and has no {marker}"
        raise OutputError(path, what, "Choose another output.", code="output-exists")
    if not overwrite and not is_empty:
        raise OutputError(path, EXISTS, EXISTS_HINT, code="output-exists")


def refuse_file(path: Path, *, overwrite: bool) -> None:
    """The same of a single file; its folder must be there."""
    try:
        has_folder = path.absolute().parent.is_dir()
        is_there, is_file = os.path.lexists(path), path.is_file()
    except OSError as error:
        raise cannot_write(path, error) from error
    if not has_folder:
        what = "the folder of the output does not exist"
        raise OutputError(path, what, "Create the folder first.", code="folder-not-found")
    if is_there and not is_file:
        raise OutputError(path, "not a regular file", "Give the path of a file.", code="not-a-file")
    if is_there and not overwrite:
        raise OutputError(path, EXISTS, EXISTS_HINT, code="output-exists")


def _take_place(beside: Path, path: Path) -> None:
    """Swap old and new in one step where the system can (the old one is then removed as `beside`)."""
    if not path.exists():
        beside.rename(path)
    elif not _exchange(beside, path):
        old = beside.with_suffix(".old")
        path.rename(old)
        beside.rename(path)
        shutil.rmtree(old)


def _exchange(first: Path, second: Path) -> bool:
    renameat2 = getattr(ctypes.CDLL(None), "renameat2", None)
    arguments = (AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), RENAME_EXCHANGE)
    return renameat2 is not None and renameat2(*arguments) == 0


def _remove_abandoned(path: Path) -> None:
    """Remove what a killed process of the same output left beside it."""
    for beside in path.parent.glob(f".{path.name}.*.partial"):
        pid = beside.name.split(".")[-2]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(beside, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _is_about(error: OSError, folder: Path) -> bool:
    """Whether making the folder or writing below it failed, and not something else that the block did."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    named = Path(os.fsdecode(error.filename)) if error.filename is not None else None
    return named is not None and (named.is_relative_to(folder) or folder.is_relative_to(named))


def cannot_write(
    path: Path, error: OSError, *, hint: str = "Check the folder and the free space."
) -> DermpackError:
    """What the system said of a place that is to be written."""
    return OutputError(path, f"cannot be written ({error.strerror or error})", hint, code="cannot-write")


def cannot_read(path: Path, error: OSError | ValueError) -> DermpackError:
    """What the system said of a file that is to be read; ValueError: a NUL in the path."""
    if isinstance(error, FileNotFoundError):
        return TableError(path, "the file does not exist", "Check the path.", code="file-not-found")
    why = getattr(error, "strerror", None) or str(error)
    return TableError(path, f"cannot be read ({why})", "Check the path.", code="cannot-read")
