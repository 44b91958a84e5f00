"""Read CIFAR-10: the python batches or the binary ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dermpack.dataset.manifest import Split
from dermpack.errors import InputError, TableError
from dermpack.progress import Track
from trainer.datasets.layouts.listing import ListedPicture, Listing
from trainer.datasets.layouts.pickle_reader import Plain, is_pixels, pixels_of, read_pickle
from trainer.datasets.layouts.source_request import SourceFormat, SourceRequest
from trainer.datasets.layouts.source_walk import is_own_file
from trainer.datasets.layouts.table_reader import is_one_line

TRAIN, TEST = tuple(f"data_batch_{number}" for number in range(1, 6)), ("test_batch",)
FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin")  # what the archives unpack to
SIDE = 32
PIXELS = SIDE * SIDE * 3  # all red, then all green, then all blue
MAX_PICTURES = 50_000  # in one batch; the published ones have 10,000
MAX_NAMES_BYTES = 1 << 16
DOWNLOAD = "Use the batches as published; download them again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The pictures of one file: uint8 [n, 3072] and a label number each."""

    pixels: np.ndarray[tuple[int, int], np.dtype[np.uint8]]
    labels: Sequence[int]


def recognises(source: Path) -> bool:
    return _folder(source) is not None


def read(source: Path, request: SourceRequest, *, pictures: Path, track: Track) -> Listing:  # noqa: ARG001 - a Layout
    """Write one PNG a picture, in a folder for each batch; the given splits are kept."""
    folder = _folder(source)
    if folder is None:
        what = f"neither {TRAIN[0]} nor {TRAIN[0]}.bin found"
        raise InputError(source, what, DOWNLOAD, code="table-not-found")
    names = _names(folder)
    found = [
        picture
        for split, batches in ((Split.TRAIN, TRAIN), (Split.TEST, TEST))
        for name in batches
        for picture in _pictures(folder, name, names, split, pictures, track)
    ]
    return Listing(root=pictures, format=SourceFormat.CIFAR10.value, pictures=tuple(found))


def _folder(source: Path) -> Path | None:
    folders = (source, *(source / name for name in FOLDERS)) if source.is_dir() else ()
    batches = [*TRAIN, *TEST, *(f"{name}.bin" for name in (*TRAIN, *TEST))]
    return next((folder for folder in folders if any(is_own_file(folder / name) for name in batches)), None)


def _names(folder: Path) -> tuple[str, ...]:
    """The class names, from batches.meta or batches.meta.txt."""
    path, text = folder / "batches.meta", folder / "batches.meta.txt"
    if not is_own_file(path) and not is_own_file(text):
        hint = "Put it into the folder of the batches."
        raise TableError(path, "the file does not exist", hint, code="file-not-found")
    names = _pickled_names(path) if is_own_file(path) else _written_names(text)
    sound = 2 <= len(names) <= 256 and len(set(names)) == len(names)
    if not sound or not all(name and is_one_line(name) for name in names):
        where = path if is_own_file(path) else text
        raise TableError(where, "not a list of class names", DOWNLOAD, code="invalid-batch")
    return names


def _pickled_names(path: Path) -> tuple[str, ...]:
    names = _record(path).get("label_names")
    if not isinstance(names, list):
        raise TableError(path, "label_names is not a list", DOWNLOAD, code="invalid-batch")
    return tuple(name.strip() if isinstance(name, str) else "" for name in names)


def _written_names(path: Path) -> tuple[str, ...]:
    if path.stat().st_size > MAX_NAMES_BYTES:
        what = f"larger than {MAX_NAMES_BYTES >> 10} KiB"
        raise TableError(path, what, DOWNLOAD, code="file-too-large")
    lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _pictures(
    folder: Path, name: str, names: tuple[str, ...], split: Split, pictures: Path, track: Track
) -> Iterator[ListedPicture]:
    path = next((file for file in (folder / name, folder / f"{name}.bin") if is_own_file(file)), None)
    if path is None:
        return
    batch = _written_batch(path) if path.suffix else _pickled_batch(path)
    if not all(0 <= number < len(names) for number in batch.labels):
        what = f"a label is not a number from 0 to {len(names) - 1}"
        raise TableError(path, what, DOWNLOAD, code="invalid-batch")
    (pictures / name).mkdir()
    rows = track(zip(batch.pixels, batch.labels, strict=True), total=len(batch.labels), what=f"write {name}")
    for at, (pixels, number) in enumerate(rows):
        file = f"{name}/{at:05d}.png"
        Image.fromarray(pixels.reshape(3, SIDE, SIDE).transpose(1, 2, 0).copy()).save(pictures / file)
        yield ListedPicture(path=file, label=names[number], split=split)


def _written_batch(path: Path) -> Batch:
    """The binary version: one byte of label and 3,072 of pixels, again and again."""
    size = path.stat().st_size
    if size == 0 or size % (PIXELS + 1) or size > MAX_PICTURES * (PIXELS + 1):
        most = MAX_PICTURES * (PIXELS + 1)
        what = f"the size of {size} bytes is not a multiple of {PIXELS + 1} up to {most}"
        raise TableError(path, what, DOWNLOAD, code="invalid-batch")
    rows = np.fromfile(path, dtype=np.uint8).reshape(-1, PIXELS + 1)
    return Batch(pixels=rows[:, 1:], labels=[int(number) for number in rows[:, 0]])


def _pickled_batch(path: Path) -> Batch:
    record = _record(path)
    labels, data = record.get("labels"), record.get("data")
    if not isinstance(labels, list) or not all(type(number) is int for number in labels):
        raise TableError(path, "labels is not a list of integers", DOWNLOAD, code="invalid-batch")
    if not 0 < len(labels) <= MAX_PICTURES or not is_pixels(data, (len(labels), PIXELS)):
        what = f"data is not a uint8 array of {len(labels)} x {PIXELS} values"
        raise TableError(path, what, DOWNLOAD, code="invalid-batch")
    return Batch(pixels=pixels_of(data, (len(labels), PIXELS)), labels=labels)


def _record(path: Path) -> dict[str, Plain]:
    record = read_pickle(path)
    if not isinstance(record, dict):
        raise TableError(path, "not a pickled dictionary", DOWNLOAD, code="invalid-batch")
    return record
