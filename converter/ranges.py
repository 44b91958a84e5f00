"""The range of each tensor: measured on pictures, written into the float file that is quantized next."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from dermpack.progress import Track, silent

Array = NDArray[np.float32]
PIXEL_RANGE = (-1.0, 1.0)  # of the input, whatever the pictures reach: a raw byte is then one step
MIDDLE = 127.5  # of a byte
PLAIN_KERNELS = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranges:
    """The lowest and the highest value of each tensor, for each picture: [pictures, tensors]."""

    names: tuple[str, ...]
    lowest: Array
    highest: Array

    def __len__(self) -> int:
        return len(self.lowest)

    def over_all(self) -> Array:
        """[tensors, 2]"""
        return np.stack([self.lowest.min(axis=0), self.highest.max(axis=0)], axis=1)

    def take(self, rows: Sequence[int]) -> Ranges:
        return Ranges(names=self.names, lowest=self.lowest[list(rows)], highest=self.highest[list(rows)])


def measure_ranges(
    unquantized: bytes, pictures: NDArray[np.uint8], *, threads: int = 2, track: Track = silent
) -> Ranges:
    """Run the float file on the pictures, uint8 [n, size, size, 3], and look at each tensor.

    The stock calibrator takes four times as long, and sees of a tensor that an addition may overwrite only
    what the addition left there.
    """
    tensors = _ranged(unquantized)
    free: SimpleQueue[Any] = SimpleQueue()
    for _ in range(threads):
        free.put(_interpreter(unquantized))
    with ThreadPoolExecutor(threads) as pool:
        rows = pool.map(partial(_measure, free, tuple(tensors)), pictures)
        found = np.stack(list(track(rows, total=len(pictures), what="Measuring ranges")))
    return Ranges(names=tuple(tensors.values()), lowest=found[:, 0], highest=found[:, 1])


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


def _measure(free: SimpleQueue[Any], tensors: tuple[int, ...], picture: NDArray[np.uint8]) -> Array:
    """[2, tensors]: the lowest and the highest values on one picture."""
    interpreter = free.get()
    entrance = interpreter.get_input_details()[0]["index"]
    interpreter.set_tensor(entrance, np.float32(picture[None]) / np.float32(MIDDLE) - 1)
    interpreter.invoke()
    values = (interpreter.tensor(tensor)() for tensor in tensors)
    limits = [
        PIXEL_RANGE if at == entrance else (of.min(), of.max())
        for at, of in zip(tensors, values, strict=True)
    ]
    del values
    free.put(interpreter)
    return np.array(limits, np.float32).T
