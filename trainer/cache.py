"""Prepared pictures on the disk: decoded once, checked and mapped into memory afterwards."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import DatasetError, OutputError
from dermpack.files import sha256_file, sha256_of, write_text
from dermpack.manifest import Dataset, Picture
from dermpack.pixels import Policy, prepare
from dermpack.progress import Track, silent

Rows = NDArray[Any]
NPY: Any = np.lib.format  # its functions are untyped
CACHE_VARIABLE = "DERMPACK_CACHE"
ENOUGH_FOR_PROCESSES = 256  # fewer pictures are decoded before another process has started
CHUNK = 16  # pictures a message between processes


def cache_folder() -> Path:
    """Where caches live: $DERMPACK_CACHE, else the user's cache folder."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dermpack"


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
        work = partial(_prepared, size=size, policy=policy)
        jobs = [(dataset.file(picture), picture.sha256) for picture in pictures]
        with_bar = track(_in_processes(work, jobs, processes), total=len(jobs), what="Preparing pictures")
        write_rows(path, with_bar, shape=shape, dtype=np.uint8)
    return map_rows(path)


def write_rows(path: Path, rows: Iterator[Rows], *, shape: tuple[int, ...], dtype: Any) -> None:
    """Stream rows into an .npy file that appears whole, with its sha256 beside it.

    Written, not mapped: a full disk is then an error, and not a dead process.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    header = {"descr": NPY.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _stream(beside, header, rows, dtype)
        write_text(_seal(path), sha256_file(beside) + "\n")
        beside.replace(path)
    except OSError as error:
        what = f"cannot be written ({error.strerror or error})"
        raise OutputError(path, what, f"free some space, or set {CACHE_VARIABLE}") from error
    finally:
        if beside.exists():
            beside.unlink()


def _stream(path: Path, header: dict[str, Any], rows: Iterator[Rows], dtype: Any) -> None:
    with path.open("wb") as file:
        NPY.write_array_header_1_0(file, header)
        for row in rows:
            file.write(np.ascontiguousarray(row, dtype=dtype).data)


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


def _in_processes(work: Any, jobs: Sequence[tuple[Path, str]], processes: int) -> Iterator[Rows]:
    if processes < 2 or len(jobs) < ENOUGH_FOR_PROCESSES:
        yield from map(work, jobs)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:  # TensorFlow's threads survive no fork
        yield from _bounded(pool, work, iter(jobs), at_once=processes * CHUNK * 8)


def _bounded(pool: Any, work: Any, jobs: Iterator[tuple[Path, str]], *, at_once: int) -> Iterator[Rows]:
    """In order, never more than two handfuls of pictures in memory."""
    waiting = pool.map_async(work, list(islice(jobs, at_once)), CHUNK)
    while batch := list(islice(jobs, at_once)):
        following = pool.map_async(work, batch, CHUNK)
        yield from waiting.get()
        waiting = following
    yield from waiting.get()


def _prepared(job: tuple[Path, str], *, size: int, policy: Policy) -> Rows:
    path, sha256 = job
    pixels = prepare(path, size, policy=policy)
    if sha256_file(path) != sha256:
        raise DatasetError(path, "is no longer the picture that was imported", "import the pictures again")
    return pixels
