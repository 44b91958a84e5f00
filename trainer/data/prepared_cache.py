"""Prepare pictures once and map them from the user's cache afterwards, within a bound on the disk.

A cached file is a plain .npy file with a `.sha256` file next to it, which is its checksum and whose time is
that of the last use. Every process that reads or writes a cached file has a shared lock on it, which ends
with the process; a file is removed only by a process that gets an exclusive lock. Where the file system has
no locks, nothing is removed.
"""

from __future__ import annotations

import fcntl
import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermpack.dataset.manifest import Dataset, Picture
from dermpack.errors import DatasetError, OutputError
from dermpack.imaging.picture_decoder import PICTURE_SECONDS, decoding_memory
from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.imaging.rejection import DEFAULT_LIMITS
from dermpack.processes.limits import allow_cpu_seconds
from dermpack.processes.process_pool import WorkerLostError, map_in_processes
from dermpack.progress import Track, silent
from dermpack.storage.files import report_write_errors, sha256_file, sha256_of, sha256_remaining, write_text
from dermpack.storage.shared_folders import BOUND_GB, CACHE_VARIABLE, GB

Rows = NDArray[Any]
Job: TypeAlias = tuple[Path, str]  # a picture's file, and the sha256 that it must have
NPY: Any = np.lib.format  # its functions are untyped
MIN_FOR_PROCESSES = 256  # fewer pictures are decoded before another process has started
CHUNK = 16  # pictures per message between processes
LOCK_FILE = ".dermpack.lock"
ROWS_NAME = re.compile(r"[0-9a-f]{40}\.npy")
ABANDONED_NAME = re.compile(r"\.[0-9a-f]{40}\.npy\.\d+\.[0-9a-f]{8}\.partial")
CHECKSUM = re.compile(rb"[0-9a-f]{64}\n")
CHECKSUM_BYTES = 65
SPACE_HINT = f"Free some space, or set {CACHE_VARIABLE} to a folder on another disk."


def prepare_pictures(
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
    """Return uint8 [n, size, size, 3] in the given order, mapped from a file that is written on first use.

    Other cached files are removed, the least recently used first, where the cache would exceed its bound.
    """
    # The key is the content: the sha256 of every picture in order, the size and the policy.
    parts = (f"{size} {policy.value}", *(picture.sha256 for picture in pictures))
    key = sha256_of("\n".join(parts).encode())[:40]
    path = folder / "pictures" / f"{key}.npy"
    shape, dtype = (len(pictures), size, size, 3), np.dtype(np.uint8)
    if (rows := read_rows(path, shape=shape, dtype=dtype)) is not None:
        return rows
    jobs = [(dataset.file(picture), picture.sha256) for picture in pictures]
    prepared = _prepare_all(jobs, size=size, policy=policy, processes=processes)
    with_bar = track(prepared, total=len(jobs), what="Preparing pictures")
    with report_write_errors(path, hint=SPACE_HINT):
        make_room(path, needed_bytes=math.prod(shape), bound_bytes=bound_bytes)
    return write_rows(path, with_bar, shape=shape, dtype=dtype)


def read_rows(path: Path, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Rows | None:
    """Return the rows of a file, mapped; None where it does not exist, is damaged, or has another shape."""
    try:
        with open_locked(path, "rb") as file:
            NPY.read_magic(file)
            has_shape = NPY.read_array_header_1_0(file) == (shape, False, dtype)
            begin = file.tell()
            file.seek(0)
            if not has_shape or checksum_file(path).read_text().strip() != sha256_remaining(file):
                return None
            with suppress(OSError):  # a read-only folder
                os.utime(checksum_file(path))
            return _map(file, begin, shape=shape, dtype=dtype)
    except (OSError, ValueError):
        return None


def write_rows(
    path: Path, parts: Iterable[tuple[int, Rows]], *, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Rows:
    """Write parts, each with the index of its first row, to an .npy file; return it mapped.

    The rows are written, not mapped: on a full disk a write is an error, but a write to a map kills the
    process.
    """
    partial_path = path.with_name(f".{path.name}.{os.getpid()}.{token_hex(4)}.partial")
    try:
        with report_write_errors(path, hint=SPACE_HINT):
            path.parent.mkdir(parents=True, exist_ok=True)
            with open_locked(partial_path, "w+b") as file:
                header = {"descr": NPY.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
                NPY.write_array_header_1_0(file, header)
                begin = file.tell()
                # The parts arrive in the order in which the processes finish.
                for first, rows in parts:
                    file.seek(begin + first * dtype.itemsize * math.prod(shape[1:]))
                    file.write(np.ascontiguousarray(rows, dtype=dtype).data)
                file.seek(0)
                sha256 = sha256_remaining(file)
                # Both files appear under the lock, so that no process removes one without the other.
                with lock_cache(path.parent):
                    write_text(checksum_file(path), sha256 + "\n")
                    partial_path.replace(path)
                return _map(file, begin, shape=shape, dtype=dtype)
    finally:
        with suppress(OSError):  # it may not exist
            partial_path.unlink()


def make_room(path: Path, *, needed_bytes: int, bound_bytes: int) -> None:
    """Remove unused files from the path's folder until the path fits the bound and the disk.

    Files in use stay, even above the bound. Raise OutputError where the disk is too small.
    """
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with lock_cache(folder) as is_locked:
        if is_locked:
            for abandoned in folder.glob(".*.partial"):  # of a killed process
                if ABANDONED_NAME.fullmatch(abandoned.name) and _is_plain_file(abandoned):
                    _remove_unused(abandoned)
            _evict(folder, needed_bytes=needed_bytes, bound_bytes=bound_bytes)
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        what = f"needs {needed_bytes / GB:.2f} GB, but only {free / GB:.2f} GB are free"
        raise OutputError(path, what, SPACE_HINT, code="disk-full")


def open_locked(path: Path, mode: Literal["rb", "w+b"]) -> BinaryIO:
    """Open a file that no process removes for as long as it, or a map of it, is open."""
    while True:
        file = path.open(mode)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_SH)
        # Another process may have removed the file between open and lock: then open the new one.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


@contextmanager
def lock_cache(folder: Path) -> Iterator[bool]:
    """Wait for the lock of the folder; yield False where it has no locks, or is read-only."""
    with ExitStack() as stack:
        try:
            fcntl.flock(stack.enter_context((folder / LOCK_FILE).open("a")), fcntl.LOCK_EX)
            is_locked = True
        except OSError:
            is_locked = False
        yield is_locked


def checksum_file(path: Path) -> Path:
    """Return the path of the file with the sha256 of a cached file; its time is that of the last use."""
    return path.with_suffix(".sha256")


def _evict(folder: Path, *, needed_bytes: int, bound_bytes: int) -> None:
    """Remove the least recently used files until the bound and the disk have the needed space."""
    cached = sorted(_list_cached(folder))
    cached_bytes = sum(size_bytes for _, size_bytes, _ in cached)
    # Two limits apply: the bound of the cache, and the free space on the disk.
    excess = cached_bytes + needed_bytes - bound_bytes
    lacking = needed_bytes - shutil.disk_usage(folder).free
    if lacking > cached_bytes:
        lacking = 0  # the disk is too small even without the cache, so removing it would not help
    for _, size_bytes, path in cached:
        if max(excess, lacking) <= 0:
            return
        if _remove_unused(path):
            checksum_file(path).unlink(missing_ok=True)
            excess, lacking = excess - size_bytes, lacking - size_bytes


def _list_cached(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield last use (ns), size and path of each file of this module; the user may keep other files there."""
    for path in folder.glob("*.npy"):
        checksum = checksum_file(path)
        with suppress(OSError):
            if not (ROWS_NAME.fullmatch(path.name) and _is_plain_file(path) and _is_plain_file(checksum)):
                continue
            with checksum.open("rb") as file:
                if CHECKSUM.fullmatch(file.read(CHECKSUM_BYTES + 1)):
                    yield checksum.stat().st_mtime_ns, path.stat().st_size, path


def _remove_unused(path: Path) -> bool:
    """Remove the file unless a process has it open; return whether it was removed."""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False
    return True


def _is_plain_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _map(file: BinaryIO, begin: int, *, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Rows:
    """Map the rows; the map keeps a duplicate of the open file, and with it the shared lock."""
    return np.memmap(file, dtype=dtype, mode="r", offset=begin, shape=shape)


def _prepare_all(
    jobs: Sequence[Job], *, size: int, policy: Policy, processes: int
) -> Iterator[tuple[int, Rows]]:
    """Yield each picture with its index, in the order in which they finish; few are in memory at a time."""
    # A chunk per message: one picture each would spend the time on messages between the processes.
    chunks = [jobs[first : first + CHUNK] for first in range(0, len(jobs), CHUNK)]
    workers = processes if len(jobs) >= MIN_FOR_PROCESSES else 1
    work = partial(_prepare_chunk, size=size, policy=policy)
    try:
        memory_bytes = decoding_memory(DEFAULT_LIMITS)
        for chunk, rows in map_in_processes(work, chunks, jobs=workers, most_memory_bytes=memory_bytes):
            yield from enumerate(rows, start=chunk * CHUNK)
    except WorkerLostError as error:
        where = chunks[error.task][0][0]
        what = f"a worker process died at this picture or shortly after it ({error.ending})"
        raise DatasetError(where, what, "Try again with --threads 1.", code="worker-died") from error


def _prepare_chunk(jobs: Sequence[Job], *, size: int, policy: Policy) -> list[Rows]:
    prepared = []
    for path, sha256 in jobs:
        allow_cpu_seconds(PICTURE_SECONDS)
        # The hash is computed after decoding, so a change before or during decoding is noticed too.
        pixels = prepare(path, size, policy=policy)
        if sha256_file(path) != sha256:
            what, hint = "the picture changed after the import", "Import the pictures again."
            raise DatasetError(path, what, hint, code="picture-changed")
        prepared.append(pixels)
    return prepared
