"""Prepared pictures on the disk: decoded once, checked and mapped into memory afterwards."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermpack.dataset.manifest import Dataset, Picture
from dermpack.errors import DatasetError
from dermpack.imaging import Policy, prepare
from dermpack.processes.process_pool import WorkerLostError, answers
from dermpack.progress import Track, silent
from dermpack.storage.cache_folders import BOUND_GB, CACHE_VARIABLE, GB
from dermpack.storage.files import cannot_write, sha256_file, sha256_of, sha256_rest, write_text
from trainer.data.cache_eviction import alone, make_room, open_held, seal_of

Rows = NDArray[Any]
Job: TypeAlias = tuple[Path, str]  # a picture's file, and the sha256 that it must have
Work: TypeAlias = Callable[[Job], Rows]
NPY: Any = np.lib.format  # its functions are untyped
ENOUGH_FOR_PROCESSES = 256  # fewer pictures are decoded before another process has started
CHUNK = 16  # pictures a message between processes


def cached_pictures(
    dataset: Dataset,
    pictures: Sequence[Picture],
    *,
    size: int,
    policy: Policy,
    folder: Path,
    processes: int,
    bound_bytes: int = BOUND_GB * GB,
    track: Track = silent,
) -> Rows:
    """uint8 [n, size, size, 3] in the order given, mapped from a file that is made on first use.

    What other uses left is removed where the folder would grow above its bound.
    """
    path = folder / "pictures" / f"{_key(pictures, size, policy)}.npy"
    shape, dtype = (len(pictures), size, size, 3), np.dtype(np.uint8)
    if (found := whole_rows(path, shape=shape, dtype=dtype)) is not None:
        return found
    jobs = [(dataset.file(picture), picture.sha256) for picture in pictures]
    rows = _prepared_rows(jobs, partial(_prepared, size=size, policy=policy), processes)
    with_bar = track(rows, total=len(jobs), what="Preparing pictures")
    with _writing(path):
        make_room(path, needed_bytes=math.prod(shape), bound_bytes=bound_bytes)
    return write_rows(path, with_bar, shape=shape, dtype=dtype)


def write_rows(
    path: Path, parts: Iterable[tuple[int, Rows]], *, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Rows:
    """Write parts, each with its first row's number, into an .npy file that appears whole, its sha256 beside.

    Written, not mapped: a full disk is then an error, and not a dead process. What was written is mapped.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{token_hex(4)}.partial")
    try:
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_held(beside, "w+b") as file:
                begin = _stream(file, parts, shape=shape, dtype=dtype)
                file.seek(0)
                sha256 = sha256_rest(file)
                with alone(path.parent):
                    write_text(seal_of(path), sha256 + "\n")
                    beside.replace(path)
                return _mapped(file, begin, shape=shape, dtype=dtype)
    finally:
        with suppress(OSError):  # where it could not be made, it cannot be removed
            beside.unlink()


def whole_rows(path: Path, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Rows | None:
    """What was written into the file, mapped; None where it holds something else, or is not there."""
    try:
        with open_held(path, "rb") as file:
            NPY.read_magic(file)
            is_asked = NPY.read_array_header_1_0(file) == (shape, False, dtype)
            begin = file.tell()
            file.seek(0)
            if not is_asked or seal_of(path).read_text().strip() != sha256_rest(file):
                return None
            with suppress(OSError):  # a folder that may only be read
                os.utime(seal_of(path))
            return _mapped(file, begin, shape=shape, dtype=dtype)
    except (OSError, ValueError):
        return None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(
            path, error, hint=f"Free some space, or set {CACHE_VARIABLE} to a folder on another disk."
        ) from error


def _stream(
    file: BinaryIO, parts: Iterable[tuple[int, Rows]], *, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> int:
    """Where the rows begin."""
    row_bytes = dtype.itemsize * math.prod(shape[1:])
    header = {"descr": NPY.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    NPY.write_array_header_1_0(file, header)
    begin = file.tell()
    for first, rows in parts:
        file.seek(begin + first * row_bytes)
        file.write(np.ascontiguousarray(rows, dtype=dtype).data)
    return begin


def _mapped(file: BinaryIO, begin: int, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Rows:
    """The map has the file open, too, so that it is held for as long as there is a map."""
    return np.memmap(file, dtype=dtype, mode="r", offset=begin, shape=shape)


def _key(pictures: Sequence[Picture], size: int, policy: Policy) -> str:
    """By content: the pictures' own hashes in their order, the size and the policy."""
    parts = (f"{size} {policy.value}", *(picture.sha256 for picture in pictures))
    return sha256_of("\n".join(parts).encode())[:40]


def _prepared_rows(jobs: Sequence[Job], work: Work, processes: int) -> Iterator[tuple[int, Rows]]:
    """Each picture with its number, as they come; in memory are a few of them."""
    chunks = [jobs[first : first + CHUNK] for first in range(0, len(jobs), CHUNK)]
    crew = processes if len(jobs) >= ENOUGH_FOR_PROCESSES else 1
    try:
        for chunk, rows in answers(partial(_all_of, work), chunks, jobs=crew):
            yield from enumerate(rows, start=chunk * CHUNK)
    except WorkerLostError as error:
        where = chunks[error.task][0][0]
        what = f"a worker process died at this picture or shortly after it ({error.ending})"
        raise DatasetError(where, what, "Try again with --threads 1.", code="worker-died") from error


def _all_of(work: Work, jobs: Sequence[Job]) -> list[Rows]:
    return [work(job) for job in jobs]


def _prepared(job: Job, *, size: int, policy: Policy) -> Rows:
    path, sha256 = job
    pixels = prepare(path, size, policy=policy)
    if sha256_file(path) != sha256:
        what, hint = "the picture changed after the import", "Import the pictures again."
        raise DatasetError(path, what, hint, code="picture-changed")
    return pixels
