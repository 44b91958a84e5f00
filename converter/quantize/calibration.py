"""Calibrate a float file: choose pictures, measure the range of each tensor, write the ranges into it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from threading import local
from typing import Any, TypeVar

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converter.pixel_scale import UNIT_SCALE, PixelScale
from converter.quantize.clipping import BINS, Clipping, Counts, clip, count_values
from converter.quantize.tflite_conversion import is_picture, open_interpreter, run_picture
from converter.sources.source import Source
from dermpack.contract import NumericColumn
from dermpack.dataset.manifest import Picture, Split
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.inference.metadata_rows import encode_pictures
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_of

Array = NDArray[np.float32]
Worker = TypeVar("Worker")
Result = TypeVar("Result")
BLANK_EVERY = 4  # a quarter of the rows of metadata is blank
SETTLED = 0.2  # if the ranges of two halves differ by more, there are too few pictures


# --- The pictures ---


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationMetadata:
    """The patient metadata of the pictures, [n, width], and the range that an app can feed."""

    rows: Array
    range: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationSet:
    """The training pictures that ranges are measured on, prepared: uint8 [n, size, size, 3]."""

    pictures: tuple[Picture, ...]
    rows: NDArray[np.uint8]
    seed: int
    metadata: CalibrationMetadata | None = None  # for a network that takes it

    @property
    def sha256(self) -> str:
        """The hash of the pictures, whatever their order."""
        return hash_pictures(self.pictures)


def read_calibration_set(source: Source, *, count: int, seed: int, threads: int) -> CalibrationSet:
    """Choose class-balanced pictures of the training split and prepare them."""
    dataset, picture_input = source.dataset, source.picture
    pictures = choose_pictures(dataset.manifest.of(Split.TRAIN), count=count, seed=seed)
    files = [dataset.file(picture) for picture in pictures]
    with PictureDecoder(jobs=threads) as decoder:
        rows = np.stack(list(decoder.prepare_all(files, picture_input.size, policy=picture_input.policy)))
    metadata = _choose_metadata(source, pictures) if source.columns else None
    return CalibrationSet(pictures=pictures, rows=rows, seed=seed, metadata=metadata)


def _choose_metadata(source: Source, pictures: Sequence[Picture]) -> CalibrationMetadata:
    """Return the real rows of the pictures; every fourth is blanked, as an app may leave it."""
    encoded = encode_pictures(pictures, source.dataset.manifest.columns, source.columns)
    rows = encoded.rows.copy()
    rows[BLANK_EVERY - 1 :: BLANK_EVERY] = encoded.blank
    # The slots of a category are 0 or 1; a number is within the range of its column.
    numbers = [column for column in source.columns if isinstance(column, NumericColumn)]
    lowest = min((0.0, *((column.minimum - column.mean) / column.std for column in numbers)))
    highest = max((1.0, *((column.maximum - column.mean) / column.std for column in numbers)))
    return CalibrationMetadata(rows=rows, range=(lowest, highest))


def choose_pictures(pictures: Sequence[Picture], *, count: int, seed: int) -> tuple[Picture, ...]:
    """Return `count` pictures with as many of each label as there are; the seed decides the order."""
    by_label: dict[str, list[Picture]] = defaultdict(list)
    # Sorting by a hash makes the choice independent of the order of the manifest.
    for picture in sorted(pictures, key=lambda picture: sha256_of(f"{seed} {picture.sha256}".encode())):
        by_label[picture.label].append(picture)
    # Take one picture of each label in turn, until the count is reached.
    turns = chain.from_iterable(zip_longest(*(by_label[label] for label in sorted(by_label))))
    return tuple(islice((picture for picture in turns if picture is not None), count))


def hash_pictures(pictures: Sequence[Picture]) -> str:
    """Return a hash of the pictures' bytes that does not depend on their order."""
    return sha256_of("\n".join(sorted(picture.sha256 for picture in pictures)).encode())


# --- The ranges ---


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranges:
    """The lowest and the highest value of each tensor on each picture: [pictures, tensors]."""

    names: tuple[str, ...]
    lowest: Array
    highest: Array
    clipping: Clipping = Clipping.MINMAX
    # [even and odd pictures, tensors, bins]; empty if the clipping needs no histogram
    counts: Counts = field(default_factory=lambda: np.zeros((2, 0, 0), np.uint32))

    def __len__(self) -> int:
        return len(self.lowest)

    def reached(self) -> Array:
        """Return the lowest and the highest value of each tensor over all pictures: [tensors, 2]."""
        return _reached(self.lowest, self.highest)

    def limits(self) -> Array:
        """Return the ranges to quantize with: [tensors, 2]."""
        return clip(self.reached(), self.counts.sum(axis=0, dtype=np.uint32), self.clipping)

    def unsettled(self) -> tuple[str, ...]:
        """Return the tensors whose range on the even pictures differs much from that on the odd ones."""
        if len(self) < 2:
            return self.names
        widths = []
        for half in (0, 1):
            limits = _reached(self.lowest[half::2], self.highest[half::2])
            limits = clip(limits, self.counts[half], self.clipping)
            widths.append(limits[:, 1] - limits[:, 0])
        differ = np.abs(widths[0] - widths[1]) > SETTLED * np.maximum(*widths)
        return tuple(name for name, differs in zip(self.names, differ, strict=True) if differs)

    def notes(self) -> tuple[str, ...]:
        """Return the remark for a person if there are too few pictures."""
        if not (unsettled := self.unsettled()):
            return ()
        share, most = f"{len(unsettled)} of {len(self.names)} tensors", f"{100 * SETTLED:g} %"
        return (f"the ranges of {share} differ by more than {most} between two halves of the pictures",)


def _reached(lowest: Array, highest: Array) -> Array:
    return np.stack([lowest.min(axis=0), highest.max(axis=0)], axis=1)


def measure_ranges(
    unquantized: bytes,
    pictures: NDArray[np.uint8],
    *,
    metadata: CalibrationMetadata | None = None,
    pixels: PixelScale = UNIT_SCALE,
    clipping: Clipping = Clipping.MINMAX,
    threads: int = 2,
    track: Track = silent,
) -> Ranges:
    """Run the float file on the pictures, uint8 [n, size, size, 3], and measure each tensor.

    TensorFlow's calibrator takes four times as long, and measures a tensor that an addition overwrites only
    after the addition.
    """
    names = _tensors_with_range(unquantized)
    shape = (2, len(names), BINS if clipping.needs_counts else 0)

    def measure(worker: tuple[Any, Counts], number: int, picture: NDArray[np.uint8]) -> Array:
        """Return the lowest and the highest values on one picture, [2, tensors], and count the values."""
        interpreter, counts = worker
        run_picture(interpreter, picture, metadata.rows[number] if metadata else None, pixels=pixels)
        # The ranges of the inputs do not depend on what the pictures contain: a raw byte is then one step.
        fixed = {
            detail["index"]: metadata.range if metadata and not is_picture(detail["shape"]) else pixels.limits
            for detail in interpreter.get_input_details()
        }
        limits = []
        for index, tensor in enumerate(names):
            if tensor in fixed:
                limits.append(fixed[tensor])
                continue
            values = interpreter.tensor(tensor)()
            if counts.size:
                counts[number % 2, index] += count_values(values, start=number)
            limits.append((values.min(), values.max()))
        return np.array(limits, np.float32).T

    # Each thread has an interpreter and histograms of its own.
    workers = [(open_interpreter(unquantized), np.zeros(shape, np.uint32)) for _ in range(threads)]
    found = np.stack(map_pictures(measure, workers, pictures, track=track, what="Measuring ranges"))
    return Ranges(
        names=tuple(names.values()),
        lowest=found[:, 0],
        highest=found[:, 1],
        clipping=clipping,
        counts=np.sum([counts for _, counts in workers], axis=0, dtype=np.uint32),
    )


def write_ranges(unquantized: bytes, limits: Array) -> bytes:
    """Return the float file with these ranges, [tensors, 2], in it."""
    data = bytearray(unquantized)
    graph = schema.Model.GetRootAs(data, 0).Subgraphs(0)
    for tensor, (low, high) in zip(_tensors_with_range(unquantized), limits, strict=True):
        quantization = graph.Tensors(tensor).Quantization()
        # The arrays are views of the file's bytes, so the assignment changes the file.
        quantization.MinAsNumpy()[0], quantization.MaxAsNumpy()[0] = low, high
    return bytes(data)


def _tensors_with_range(unquantized: bytes) -> dict[int, str]:
    """Return index and name of the tensors that have a field for a range."""
    graph = schema.Model.GetRootAs(unquantized, 0).Subgraphs(0)
    names = {}
    for index in range(graph.TensorsLength()):
        quantization = graph.Tensors(index).Quantization()
        if quantization and quantization.MinLength() == 1:
            names[index] = graph.Tensors(index).Name().decode()
    return names


# --- Threads ---


def map_pictures(
    work: Callable[[Worker, int, NDArray[np.uint8]], Result],
    workers: Sequence[Worker],
    pictures: NDArray[np.uint8],
    *,
    track: Track,
    what: str,
) -> list[Result]:
    """Return work(worker, number, picture) of each picture, in order, with one thread for each worker.

    An interpreter serves one thread at a time, so each thread has a worker of its own.
    """
    own, remaining = local(), iter(workers)

    def take_worker() -> None:
        own.worker = next(remaining)

    def run(number: int, picture: NDArray[np.uint8]) -> Result:
        return work(own.worker, number, picture)

    with ThreadPoolExecutor(len(workers), initializer=take_worker) as pool:
        results = pool.map(run, range(len(pictures)), pictures)
        return list(track(results, total=len(pictures), what=what))
