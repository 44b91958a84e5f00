"""Atomic files and folders, canonical JSON, TOML, and SHA-256 digests."""

from __future__ import annotations

import csv
import ctypes
import errno
import hashlib
import io
import json
import math
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dermpack.errors import DermpackError, OutputError, TableError

CHUNK_BYTES = 1 << 20
MAX_JSON_BYTES = 64 << 20  # parsed objects can take 30 times the memory of their text
MAX_TOML_BYTES = 1 << 20
MAX_DIGITS = 30  # of an integer in JSON: all of ours fit into 64 bits
AGAIN = "Create the file again."
EXISTS, EXISTS_HINT = "the output exists already", "Choose another output, or add --overwrite."
RENAME_EXCHANGE, AT_FDCWD = 2, -100  # linux/fs.h, fcntl.h


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of the bytes in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file without reading all of it into memory."""
    with path.open("rb") as file:
        return sha256_remaining(file)


def sha256_remaining(file: BinaryIO) -> str:
    """Return the SHA-256 of an open file from its position to its end."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def format_json(value: object) -> str:
    """Return the JSON form of every artifact: sorted keys, two spaces, a final newline, NaN is an error."""
    return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def format_csv(rows: Iterable[Sequence[object]]) -> str:
    """Return the CSV form of every table: commas, a newline after each row."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def read_bytes(path: Path, *, most: int, hint: str) -> bytes:
    """Return the content of a regular file of at most `most` bytes, or raise TableError."""
    try:
        # Opening a pipe or reading a device could block or never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise TableError(path, "not a regular file", "Give the path of a file.", code="not-a-file")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise read_error(path, error) from error
    if len(data) > most:
        raise TableError(path, f"larger than {most >> 20} MiB", hint, code="file-too-large")
    return data


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file, or raise TableError with the position of a syntax error."""
    data = read_bytes(path, most=MAX_JSON_BYTES, hint=AGAIN)
    try:
        value = parse_json(data)
    except (ValueError, RecursionError) as error:
        raise TableError(path, f"not valid JSON ({error})", AGAIN, code="invalid-json") from error
    if not isinstance(value, dict):
        raise TableError(path, "not a JSON object", AGAIN, code="invalid-json")
    return value


def parse_json(data: bytes) -> Any:
    """Return the JSON value; raise ValueError or RecursionError for what no artifact of ours contains."""
    text = data.decode("utf-8")
    return json.loads(text, parse_int=_parse_integer, parse_float=_parse_float, parse_constant=_parse_float)


def _parse_integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # NaN, Infinity, and numbers such as 1e999
        raise ValueError(f"{text[:MAX_DIGITS]} is not a finite number")
    return number


def read_toml(path: Path) -> dict[str, Any]:
    """Return the values of a TOML file; raise TableError with the position of a syntax error."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # of an extra: not at the top

    try:
        if path.stat().st_size > MAX_TOML_BYTES:
            raise TableError(path, "larger than 1 MiB", "Check the path.", code="file-too-large")
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise read_error(path, error) from error
    except ValueError as error:  # of tomllib, or of a file that is not UTF-8
        what = f"not valid TOML ({error})"
        raise TableError(path, what, "Correct the syntax.", code="invalid-toml") from error


def format_toml(values: Mapping[str, Any], *, comment: str = "") -> str:
    """Return one line per key: format_toml({"size": 160, "dense": [8]}) → "size = 160\\ndense = [8]\\n"."""
    lines = [f"# {line}" for line in comment.splitlines()]
    return "\n".join([*lines, *(f"{key} = {_format_value(value)}" for key, value in values.items())]) + "\n"


def _format_value(value: Any) -> str:
    match value:
        case str() | int() | float():
            # They are written as in JSON, but TOML also requires DEL to be escaped.
            return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
        case list() | tuple():
            return f"[{', '.join(map(_format_value, value))}]"
        case Mapping():
            pairs = (f"{_format_value(str(key))} = {_format_value(item)}" for key, item in value.items())
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
    raise TypeError(f"{value!r} cannot be written as TOML")


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step: a reader sees the old content or the new, never a part of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            # The data must reach the disk before the name does, or a crash could leave an empty file.
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with suppress(OSError):  # it does not exist after success, or if it could not be created
            partial.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a file of UTF-8 text in one step."""
    write_bytes(path, text.encode("utf-8"))


def parse_relative_path(text: str) -> PurePosixPath | None:
    """Return the path if it stays below the folder it is joined to: parse_relative_path("../x") → None."""
    # A backslash would be a separator on Windows, where the same dataset may be read.
    path = PurePosixPath(text)
    is_below = bool(path.parts) and not path.is_absolute() and ".." not in path.parts
    return path if is_below and "\0" not in text and "\\" not in text else None


def path_exists(path: Path) -> bool:
    """Return whether a file or folder exists; False for a name that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):  # too long; a NUL in the path
        return False


@lru_cache(maxsize=8)
def normalize_path(path: Path) -> Path:
    """Return the shorter path to the same place: "sets/moved/../pictures" → "sets/pictures".

    The path stays as it is if "moved" is a link, because ".." then leads to another folder.
    """
    short = Path(os.path.normpath(path))
    return short if os.path.realpath(short) == os.path.realpath(path) else path


@contextmanager
def new_folder(path: Path, *, marker: str, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder that replaces `path` if the block succeeds and is removed otherwise.

    `marker` is the file that every result of this kind contains: no other folder is ever overwritten.
    """
    path = path.absolute()
    check_output_folder(path, marker=marker, overwrite=overwrite)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(path)
        partial.mkdir()
        yield partial
        # Another process may have finished the same result in the meantime.
        check_output_folder(path, marker=marker, overwrite=overwrite)
        _replace_folder(partial, path)
    except OSError as error:
        if not _is_about(error, path.parent):
            raise
        raise write_error(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_output_folder(path: Path, *, marker: str, overwrite: bool) -> None:
    """Raise OutputError if the result cannot be written to `path`; call it before long work."""
    try:
        mode = path.lstat().st_mode
        is_empty = stat.S_ISDIR(mode) and not any(path.iterdir())
        is_ours = stat.S_ISDIR(mode) and (path / marker).is_file()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise write_error(path, error) from error
    # Overwriting removes the old folder: a folder without the marker may be the user's own.
    if not is_empty and not is_ours:
        what = f"the output exists and has no {marker}"
        raise OutputError(path, what, "Choose another output.", code="output-exists")
    if not overwrite and not is_empty:
        raise OutputError(path, EXISTS, EXISTS_HINT, code="output-exists")


def check_output_file(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError if a file cannot be written to `path`; its folder must exist."""
    try:
        has_folder = path.absolute().parent.is_dir()
        exists, is_file = os.path.lexists(path), path.is_file()
    except OSError as error:
        raise write_error(path, error) from error
    if not has_folder:
        what = "the folder of the output does not exist"
        raise OutputError(path, what, "Create the folder first.", code="folder-not-found")
    if exists and not is_file:
        raise OutputError(path, "not a regular file", "Give the path of a file.", code="not-a-file")
    if exists and not overwrite:
        raise OutputError(path, EXISTS, EXISTS_HINT, code="output-exists")


def _remove_abandoned(path: Path) -> None:
    """Remove the temporary folders of this output whose processes were killed."""
    # The name contains the process id, so the folder of a process that still works is kept.
    for partial in path.parent.glob(f".{path.name}.*.partial"):
        pid = partial.name.split(".")[-2]
        if not pid.isdigit():
            continue
        try:
            os.kill(int(pid), 0)  # signal 0 only checks that the process exists
        except ProcessLookupError:
            shutil.rmtree(partial, ignore_errors=True)
        except PermissionError:  # a process of another user
            continue


def _replace_folder(partial: Path, path: Path) -> None:
    """Move the new folder to `path`; an old folder there ends up as `partial`, which the caller removes."""
    if not path.exists():
        partial.rename(path)
        return
    # rename() cannot replace a folder that has content. Linux can swap two folders in one step.
    swap = getattr(ctypes.CDLL(None), "renameat2", None)
    places = (AT_FDCWD, os.fsencode(partial), AT_FDCWD, os.fsencode(path))
    if swap is not None and swap(*places, RENAME_EXCHANGE) == 0:
        return
    old = partial.with_suffix(".old")
    path.rename(old)
    partial.rename(path)
    shutil.rmtree(old)


def _is_about(error: OSError, folder: Path) -> bool:
    """Return whether creating the folder or writing below it failed, not another file of the block."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):  # these errors may name no file
        return True
    named = Path(os.fsdecode(error.filename)) if error.filename is not None else None
    return named is not None and (named.is_relative_to(folder) or folder.is_relative_to(named))


def write_error(
    path: Path, error: OSError, *, hint: str = "Check the folder and the free space."
) -> DermpackError:
    """Return the OutputError for a place that the system cannot write."""
    return OutputError(path, f"cannot be written ({error.strerror or error})", hint, code="cannot-write")


def read_error(path: Path, error: OSError | ValueError) -> DermpackError:
    """Return the TableError for a file that the system cannot read; ValueError is a NUL in the path."""
    if isinstance(error, FileNotFoundError):
        return TableError(path, "the file does not exist", "Check the path.", code="file-not-found")
    why = getattr(error, "strerror", None) or str(error)
    return TableError(path, f"cannot be read ({why})", "Check the path.", code="cannot-read")
