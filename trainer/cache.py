"""Prepared pictures on the disk: decoded once, checked and mapped into memory afterwards."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermpack.caches import CACHE_VARIABLE
from dermpack.crew import WorkerLostError, answers
from dermpack.errors import DatasetError, OutputError
from dermpack.files import sha256_file, sha256_of, write_text
from dermpack.manifest import Dataset, Picture
from dermpack.pixels import Policy, prepare
from dermpack.progress import Track, silent

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
    track: Track = silent,
) -> Rows:
    """uint8 [n, size, size, 3] in the order given, mapped from a file that is made on first use."""
    path = folder / "pictures" / f"{_key(pictures, size, policy)}.npy"
    shape = (len(pictures), size, size, 3)
    if not is_whole(path, shape):
        jobs = [(dataset.file(picture), picture.sha256) for picture in pictures]
        rows = _prepared_rows(jobs, partial(_prepared, size=size, policy=policy), processes)
        with_bar = track(rows, total=len(jobs), what="Preparing pictures")
        write_rows(path, with_bar, shape=shape, dtype=np.uint8)
    return map_rows(path)


def write_rows(path: Path, parts: Iterable[tuple[int, Rows]], *, shape: tuple[int, ...], dtype: Any) -> None:
    """Write parts, each with its first row's number, into an .npy file that appears whole, its sha256 beside.

    Written, not mapped: a full disk is then an error, and not a dead process.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    header = {"descr": NPY.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _stream(beside, header, parts)
        write_text(_seal(path), sha256_file(beside) + "\n")
        beside.replace(path)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise OutputError(path, what, f"free some space, or set {CACHE_VARIABLE}") from error
    finally:
        if beside.exists():
            beside.unlink()


def _stream(path: Path, header: dict[str, Any], parts: Iterable[tuple[int, Rows]]) -> None:
    dtype, shape = np.dtype(header["descr"]), header["shape"]
    row_bytes = dtype.itemsize * math.prod(shape[1:])
    with path.open("wb") as file:
        NPY.write_array_header_1_0(file, header)
        begin = file.tell()
        for first, rows in parts:
            file.seek(begin + first * row_bytes)
            file.write(np.ascontiguousarray(rows, dtype=dtype).data)


def map_rows(path: Path) -> Rows:
    rows: Rows = np.load(path, mmap_mode="r", allow_pickle=False)
    return rows


def is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether the file holds what was written into it."""
    try:
        with path.open("rb") as file:
            NPY.read_magic(file)
            found: tuple[int, ...] = NPY.read_array_header_1_0(file)[0]
        return found == shape and _seal(path).read_text().strip() == sha256_file(path)
    except (OSError, ValueError):
        return False


def _seal(path: Path) -> Path:
    return path.with_suffix(".sha256")


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
        where, what = chunks[error.task][0][0], "a worker process ended early at it or soon after"
        raise DatasetError(where, f"{what} ({error.ending})", "try again with --threads 1") from error


def _all_of(work: Work, jobs: Sequence[Job]) -> list[Rows]:
    return [work(job) for job in jobs]


def _prepared(job: Job, *, size: int, policy: Policy) -> Rows:
    path, sha256 = job
    pixels = prepare(path, size, policy=policy)
    if sha256_file(path) != sha256:
        raise DatasetError(path, "is no longer the picture that was imported", "import the pictures again")
    return pixels
