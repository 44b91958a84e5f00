"""Atomic files and folders, canonical JSON, CSV that spreadsheets cannot run, and SHA-256 digests."""

from __future__ import annotations

import csv
import ctypes
import errno
import glob
import hashlib
import io
import json
import math
import os
import re
import shutil
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from dermpack.errors import DermpackError, OutputError, TableError
from dermpack.storage.disk_sync import sync_folder, sync_tree
from dermpack.storage.regular_files import NotRegularFileError, open_regular

CHUNK_BYTES = 1 << 20
MAX_JSON_BYTES = 64 << 20  # parsed objects can take 30 times the memory of their text
MAX_KEY_CHARACTERS = 30  # of a key in a message
MAX_DIGITS = 30  # of an integer in JSON: all of ours fit into 64 bits
AGAIN = "Create the file again."
WRITE_HINT = "Check the folder and the free space."
EXISTS, EXISTS_HINT = "the output exists already", "Choose another output, or add --overwrite."
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # a spreadsheet would run these
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?")
RENAME_EXCHANGE, AT_FDCWD = 2, -100  # linux/fs.h, fcntl.h


def sha256_of(data: bytes) -> str:
    """Return the SHA-256 of the bytes in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the SHA-256 of a file without reading all of it into memory."""
    with open_regular(path) as file:
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


def read_bytes(path: Path, *, most: int, hint: str) -> bytes:
    """Return the content of a regular file of at most `most` bytes, or raise TableError."""
    try:
        with open_regular(path) as file:
            data = file.read(most + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise read_error(path, error) from error
    if len(data) > most:
        size = f"{most >> 20} MiB" if most >> 20 else f"{most >> 10} KiB"
        raise TableError(path, f"larger than {size}", hint, code="file-too-large")
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
    return json.loads(
        data.decode("utf-8"),
        parse_int=_parse_integer,
        parse_float=_parse_float,
        parse_constant=_parse_float,
        object_pairs_hook=_build_object,
    )


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):  # one program reads the first value, another one the last
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"two values of the key {name[:MAX_KEY_CHARACTERS]!r}")
    return built


def _parse_integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # NaN, Infinity, and numbers such as 1e999
        raise ValueError(f"{text[:MAX_DIGITS]} is not a finite number")
    return number


def format_csv(rows: Iterable[Iterable[object]]) -> str:
    """Return the text of a table: format_csv([("label", "n"), ("nv", 3)]) → "label,n\\nnv,3\\n".

    No cell is a formula in a spreadsheet: see `escape_cell`.
    """
    lines = []
    for row in rows:
        line = io.StringIO()
        # csv only quotes a \r if the line ends with one, but every reader takes it for the end of a line.
        writer = csv.writer(line, lineterminator="\r\n")
        writer.writerow([escape_cell(cell) if isinstance(cell, str) else cell for cell in row])
        lines.append(line.getvalue().removesuffix("\r\n"))
    return "".join(f"{line}\n" for line in lines)


def escape_cell(content: str) -> str:
    """Return a cell that a spreadsheet does not run as a formula: "=1+1" → "'=1+1", but "-0.5" stays.

    `unescape_cell` returns the original of every cell: "'=1" is written as "''=1".
    """
    return f"'{content}" if _begins_formula(content) else content


def unescape_cell(cell: str) -> str:
    """Return the text of a cell of `format_csv`: "'=1+1" → "=1+1"."""
    return cell[1:] if cell.startswith("'") and _begins_formula(cell[1:]) else cell


def _begins_formula(content: str) -> bool:
    return content.lstrip("'").startswith(FORMULA) and NUMBER.fullmatch(content) is None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one step: a reader sees the old content or the new, never a part of it."""
    write_files((path, data))


def write_files(*files: tuple[Path, bytes]) -> None:
    """Write files aside and then rename them in this order: if one cannot be written, none is changed.

    A path may be given several times; its last content remains. Each rename is on the disk before the next.
    """
    partials = [
        path.with_name(f".{path.name}.{index}.{os.getpid()}.partial") for index, (path, _) in enumerate(files)
    ]
    try:
        for partial, (path, data) in zip(partials, files, strict=True):
            with report_write_errors(path), partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        added = list[Path]()
        for partial, (path, _) in zip(partials, files, strict=True):
            with report_write_errors(path):
                if not os.path.lexists(path):
                    added.append(path)
                try:
                    partial.replace(path)
                    sync_folder(path.parent)
                except OSError:  # the disk can also be full when the names are written
                    for new in reversed(added):
                        new.unlink(missing_ok=True)
                    raise
    finally:
        for partial in partials:
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


def is_directory(path: Path) -> bool:
    """Return whether the path is a folder or a link to one; False if it cannot be examined."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the path
        return False


def is_regular_file(path: Path) -> bool:
    """Return whether the path is a file or a link to one; False for a pipe, or if it cannot be examined."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):  # ValueError: a NUL in the path
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
        remove_abandoned(path)
        partial.mkdir()
        yield partial
        # Another process may have finished the same result in the meantime.
        check_output_folder(path, marker=marker, overwrite=overwrite)
        sync_tree(partial)
        is_new = not path.exists()
        _replace_folder(partial, path)
        try:
            sync_folder(path.parent)
        except OSError:
            if is_new:
                path.rename(partial)
            raise
    except OSError as error:
        if not _is_about(error, path.parent):
            raise
        raise write_error(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def copy_folder(source: Path, target: Path) -> None:
    """Copy a folder of files; the first error is raised as it is, while shutil.copytree collects them."""
    for place, _, names in os.walk(source):
        folder = target / Path(place).relative_to(source)
        folder.mkdir()
        for name in names:
            shutil.copyfile(Path(place) / name, folder / name)


def check_output_folder(path: Path, *, marker: str, overwrite: bool) -> None:
    """Raise OutputError if the result cannot be written to `path`; call it before long work."""
    try:
        mode = path.lstat().st_mode
        is_empty = stat.S_ISDIR(mode) and not any(path.iterdir())
        is_ours = stat.S_ISDIR(mode) and (path / marker).is_file()
    except FileNotFoundError:
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
    with report_write_errors(path):
        has_folder = path.absolute().parent.is_dir()
        exists, is_file = os.path.lexists(path), path.is_file()
    if not has_folder:
        what = "the folder of the output does not exist"
        raise OutputError(path, what, "Create the folder first.", code="folder-not-found")
    if exists and not is_file:
        raise OutputError(path, "not a regular file", "Give the path of a file.", code="not-a-file")
    if exists and not overwrite:
        raise OutputError(path, EXISTS, EXISTS_HINT, code="output-exists")


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files and folders of this output whose processes were killed."""
    # The name contains the process id, so those of a process that still works are kept.
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        pid = partial.name.split(".")[-2]
        if not pid.isdigit():
            continue
        try:
            os.kill(int(pid), 0)  # signal 0 only checks that the process exists
        except (ProcessLookupError, OverflowError):  # no process has so large a number
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                partial.unlink(missing_ok=True)
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


@contextmanager
def report_write_errors(path: Path, *, hint: str = WRITE_HINT) -> Iterator[None]:
    """Raise OutputError about the path if the system cannot write in the block."""
    try:
        yield
    except OSError as error:
        raise write_error(path, error, hint=hint) from error


def write_error(path: Path, error: OSError, *, hint: str = WRITE_HINT) -> DermpackError:
    """Return the OutputError for a place that the system cannot write."""
    return OutputError(path, f"cannot be written ({error.strerror or error})", hint, code="cannot-write")


def read_error(path: Path, error: OSError | ValueError) -> DermpackError:
    """Return the TableError for a file that the system cannot read; ValueError is a NUL in the path."""
    if isinstance(error, FileNotFoundError):
        return TableError(path, "the file does not exist", "Check the path.", code="file-not-found")
    if isinstance(error, NotRegularFileError):
        return TableError(path, "not a regular file", "Give the path of a file.", code="not-a-file")
    why = getattr(error, "strerror", None) or str(error)
    return TableError(path, f"cannot be read ({why})", "Check the path.", code="cannot-read")
