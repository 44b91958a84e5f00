"""The range of each tensor: measured on pictures, written into the float file that is quantized next."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from converter.quantize.clipping import Clipping, clip
from converter.quantize.histogram import BINS, Counts, count
from dermpack.progress import Track, silent

Array = NDArray[np.float32]
PIXEL_RANGE = (-1.0, 1.0)  # of the input, whatever the pictures reach: a raw byte is then one step
MIDDLE = 127.5  # of a byte
PLAIN_KERNELS = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def _uncounted() -> Counts:
    return np.zeros((2, 0, 0), np.uint32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranges:
    """The lowest and the highest value of each tensor, for each picture: [pictures, tensors]."""

    names: tuple[str, ...]
    lowest: Array
    highest: Array
    clipping: Clipping = Clipping.MINMAX
    counts: Counts = field(default_factory=_uncounted)  # [even and odd pictures, tensors, bins]

    def __len__(self) -> int:
        return len(self.lowest)

    def over_all(self) -> Array:
        """All that was reached: [tensors, 2]."""
        return _reached(self.lowest, self.highest)

    def limits(self) -> Array:
        """What a file is quantized with: [tensors, 2]."""
        return clip(self.over_all(), self.counts.sum(axis=0, dtype=np.uint32), self.clipping)

    def halves(self) -> tuple[Array, Array]:
        """The limits as every other picture alone has them, and as the others have."""
        even, odd = (_reached(self.lowest[start::2], self.highest[start::2]) for start in (0, 1))
        return clip(even, self.counts[0], self.clipping), clip(odd, self.counts[1], self.clipping)


def measure_ranges(
    unquantized: bytes,
    pictures: NDArray[np.uint8],
    *,
    clipping: Clipping = Clipping.MINMAX,
    threads: int = 2,
    track: Track = silent,
) -> Ranges:
    """Run the float file on the pictures, uint8 [n, size, size, 3], and look at each tensor.

    The stock calibrator takes four times as long, and sees of a tensor that an addition may overwrite only
    what the addition left there.
    """
    stations = [_station(unquantized, clipping) for _ in range(threads)]
    free: SimpleQueue[RangeCounter] = SimpleQueue()
    for station in stations:
        free.put(station)
    with ThreadPoolExecutor(threads) as pool:
        rows = pool.map(partial(_measure, free), range(len(pictures)), pictures)
        found = np.stack(list(track(rows, total=len(pictures), what="Measuring ranges")))
    return Ranges(
        names=tuple(_ranged(unquantized).values()),
        lowest=found[:, 0],
        highest=found[:, 1],
        clipping=clipping,
        counts=np.sum([station.counts for station in stations], axis=0, dtype=np.uint32),
    )


def _reached(lowest: Array, highest: Array) -> Array:
    return np.stack([lowest.min(axis=0), highest.max(axis=0)], axis=1)


def with_ranges(unquantized: bytes, limits: Array) -> bytes:
    """The file with these ranges, [tensors, 2], in it."""
    data = bytearray(unquantized)
    graph = schema.Model.GetRootAsModel(data, 0).Subgraphs(0)
    for tensor, (low, high) in zip(_ranged(unquantized), limits, strict=True):
        quantization = graph.Tensors(tensor).Quantization()
        quantization.MinAsNumpy()[0], quantization.MaxAsNumpy()[0] = low, high
    return bytes(data)


def _ranged(unquantized: bytes) -> dict[int, str]:
    """The tensors that have a place for a range, by position."""
    graph = schema.Model.GetRootAsModel(unquantized, 0).Subgraphs(0)
    tensors = {at: graph.Tensors(at) for at in range(graph.TensorsLength())}
    kept = {at: (tensor, tensor.Quantization()) for at, tensor in tensors.items()}
    return {at: tensor.Name().decode() for at, (tensor, of) in kept.items() if of and of.MinLength() == 1}


def _interpreter(model: bytes) -> Any:
    """One that keeps every tensor: none is shared, none is hidden in a delegate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a newer package interprets too, but is no part of TensorFlow
        interpreter = tf.lite.Interpreter(
            model_content=model,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=PLAIN_KERNELS,
        )
    interpreter.allocate_tensors()
    return interpreter


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RangeCounter:
    """An interpreter, and what one thread at a time has counted with it."""

    interpreter: Any
    entrance: int
    tensors: tuple[int, ...]
    counts: Counts


def _station(unquantized: bytes, clipping: Clipping) -> RangeCounter:
    interpreter, tensors = _interpreter(unquantized), tuple(_ranged(unquantized))
    bins = BINS if clipping.counts else 0
    return RangeCounter(
        interpreter=interpreter,
        entrance=interpreter.get_input_details()[0]["index"],
        tensors=tensors,
        counts=np.zeros((2, len(tensors), bins), np.uint32),
    )


def _measure(free: SimpleQueue[RangeCounter], number: int, picture: NDArray[np.uint8]) -> Array:
    """[2, tensors]: the lowest and the highest values on one picture."""
    station = free.get()
    station.interpreter.set_tensor(station.entrance, np.float32(picture[None]) / np.float32(MIDDLE) - 1)
    station.interpreter.invoke()
    limits = np.array([_look(station, at, number) for at in range(len(station.tensors))], np.float32)
    free.put(station)
    return limits.T


def _look(station: RangeCounter, at: int, number: int) -> tuple[float, float]:
    """The ends of one tensor; its values are counted where the station has bins."""
    if station.tensors[at] == station.entrance:
        return PIXEL_RANGE
    values = station.interpreter.tensor(station.tensors[at])()
    if station.counts.size:
        station.counts[number % 2, at] += count(values, start=number)
    return values.min(), values.max()
