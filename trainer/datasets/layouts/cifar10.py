"""Read CIFAR-10: the Python batches or the binary ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from dermpack.dataset.manifest import Split
from dermpack.errors import InputError, TableError
from dermpack.processes.child_process import ChildEndedError, ChildProcess, ChildTimeoutError
from dermpack.progress import Track
from dermpack.storage.files import read_bytes
from trainer.datasets.layouts.listing import ListedPicture, Listing, SourceRequest
from trainer.datasets.layouts.source_walk import is_regular_file
from trainer.datasets.layouts.table_reader import is_single_line

BATCHES = {Split.TRAIN: tuple(f"data_batch_{number}" for number in range(1, 6)), Split.TEST: ("test_batch",)}
FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin")  # the names in the published archives
SIDE = 32
PIXELS = SIDE * SIDE * 3  # of one picture: all red, then all green, then all blue
MAX_PICTURES = 50_000  # in one batch; the published ones have 10,000
MAX_NAMES_BYTES = 1 << 16
MAX_PICKLE_BYTES = 64 << 20  # a published batch has 31 MB
MAX_PICKLE_SECONDS = 30  # a published batch takes a fraction of a second
MAX_CHILD_MEMORY_BYTES = 1 << 30  # of the child process that unpickles: the file and its copies
PICKLE_MODULE = "trainer.datasets.layouts.cifar10_pickle"
HINT = "Use the batches as published; download them again."

Batch = tuple[npt.NDArray[np.uint8], list[int]]  # the pixels of the pictures, [n, 3072], and their labels


def recognises(source: Path) -> bool:
    """Return whether the source, or the folder of an unpacked archive in it, contains a batch."""
    return _find_folder(source) is not None


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    """Write a PNG for each picture, in a folder for each batch; the published splits are kept."""
    folder = _find_folder(source)
    if folder is None:
        what = "neither data_batch_1 nor data_batch_1.bin found"
        raise InputError(source, what, HINT, code="table-not-found")
    names = _read_class_names(folder)
    listed: list[ListedPicture] = []
    for split, batches in BATCHES.items():
        for batch in batches:
            listed += _write_batch(folder, batch, names, split, pictures, track)
    return Listing(root=pictures, pictures=tuple(listed))


def _find_folder(source: Path) -> Path | None:
    folders = (source, *(source / name for name in FOLDERS)) if source.is_dir() else ()
    files = [f"{name}{suffix}" for names in BATCHES.values() for name in names for suffix in ("", ".bin")]
    return next((folder for folder in folders if any(is_regular_file(folder / name) for name in files)), None)


def _read_class_names(folder: Path) -> tuple[str, ...]:
    """Return the class names from batches.meta (a pickle) or batches.meta.txt."""
    path, text = folder / "batches.meta", folder / "batches.meta.txt"
    names: list[Any]
    if is_regular_file(path):
        names = _read_pickle(path)[0].get("label_names", [])
    elif is_regular_file(text):
        path = text
        names = read_bytes(path, most=MAX_NAMES_BYTES, hint=HINT).decode("utf-8", "replace").splitlines()
        names = [name for name in names if name.strip()]
    else:
        hint = "Put it into the folder of the batches."
        raise TableError(path, "the file does not exist", hint, code="file-not-found")
    stripped = tuple(name.strip() if isinstance(name, str) else "" for name in names)
    is_list = 2 <= len(stripped) <= 256 and len(set(stripped)) == len(stripped)
    if not is_list or not all(name and is_single_line(name) for name in stripped):
        raise TableError(path, "not a list of class names", HINT, code="invalid-batch")
    return stripped


def _write_batch(
    folder: Path, name: str, names: tuple[str, ...], split: Split, pictures: Path, track: Track
) -> Iterator[ListedPicture]:
    path = next((file for file in (folder / name, folder / f"{name}.bin") if is_regular_file(file)), None)
    if path is None:
        return
    planes, labels = _read_binary_batch(path) if path.suffix else _read_pickled_batch(path)
    if not all(0 <= number < len(names) for number in labels):
        what = f"a label is not a number from 0 to {len(names) - 1}"
        raise TableError(path, what, HINT, code="invalid-batch")
    (pictures / name).mkdir()
    rows = track(zip(planes, labels, strict=True), total=len(labels), what=f"write {name}")
    for index, (pixels, number) in enumerate(rows):
        file = f"{name}/{index:05d}.png"
        # From planes to pixels: [3, 32, 32] to [32, 32, 3].
        Image.fromarray(pixels.reshape(3, SIDE, SIDE).transpose(1, 2, 0).copy()).save(pictures / file)
        yield ListedPicture(path=file, label=names[number], split=split)


def _read_binary_batch(path: Path) -> Batch:
    # Each picture is one byte of label followed by 3,072 bytes of pixels.
    max_size = MAX_PICTURES * (PIXELS + 1)
    data = read_bytes(path, most=max_size, hint=HINT)
    size = len(data)
    if size == 0 or size % (PIXELS + 1):
        what = f"the size of {size} bytes is not a multiple of {PIXELS + 1} up to {max_size}"
        raise TableError(path, what, HINT, code="invalid-batch")
    rows = np.frombuffer(data, dtype=np.uint8).reshape(-1, PIXELS + 1)
    return rows[:, 1:], rows[:, 0].tolist()


def _read_pickled_batch(path: Path) -> Batch:
    answer, raw = _read_pickle(path)
    labels = answer.get("labels")
    if not isinstance(labels, list) or not all(type(number) is int for number in labels):
        raise TableError(path, "labels is not a list of integers", HINT, code="invalid-batch")
    count, shape = len(labels), [len(labels), PIXELS]
    if not 0 < count <= MAX_PICTURES or answer.get("shape") != shape or len(raw) != count * PIXELS:
        what = f"data is not a uint8 array of {count} x {PIXELS} values"
        raise TableError(path, what, HINT, code="invalid-batch")
    return np.frombuffer(raw, dtype=np.uint8).reshape(shape), labels


def _read_pickle(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return the record of a pickle as JSON values, and its pixels; a child process unpickles it."""
    data = read_bytes(path, most=MAX_PICKLE_BYTES, hint=HINT)
    try:
        with (
            ChildProcess(
                PICKLE_MODULE, memory_bytes=MAX_CHILD_MEMORY_BYTES, cpu_seconds=MAX_PICKLE_SECONDS
            ) as child,
            child.time_limit(MAX_PICKLE_SECONDS),
        ):
            child.send(data)
            answer: dict[str, Any] = json.loads(child.receive())
            pixels = child.receive()
    except (ChildEndedError, ChildTimeoutError) as error:  # a limit, or a crash
        raise TableError(path, f"unsafe pickle ({error})", HINT, code="hostile-file") from error
    if "refusal" in answer:
        raise TableError(path, f"unsafe pickle ({answer['refusal']})", HINT, code="hostile-file")
    if "malformed" in answer:
        raise TableError(path, "not a valid pickle of a batch", HINT, code="invalid-batch")
    return answer, pixels
