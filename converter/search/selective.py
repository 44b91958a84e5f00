"""Find the layers that integers harm most, and leave those in floating point.

The error of a layer is what its own rounding does, the integers below it left out: the root of the mean
square, in steps of its output. Rounding to the nearest step gives 1/√12 = 0.289.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.lite.python.convert import mlir_quantize

from converter.quantize.ranges import MIDDLE
from converter.quantize.tflite_conversion import IoType
from dermpack.progress import Track, silent

HEALTHY = 1 / 12**0.5  # of a layer that only rounds
COMPUTING = ("Conv2D", "depthwise", "MatMul")  # what a fused operation is named after
COMPARES = "NumericVerify"  # the operation that subtracts the float output from that of integers
Interpreter = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """What integers do to one operation."""

    layer: str  # the name of its output in the float file
    operator: str
    error: float  # RMSE / scale
    scale: float  # of one step of its output

    @property
    def name(self) -> str:
        """As the network calls it: "net/a_relu/Relu6;net/a_bn/…;net/a/Conv2D;…" → "a"."""
        parts = self.layer.split(";")
        computing = (part for part in parts if part.rpartition("/")[2].startswith(COMPUTING))
        *above, last = next(computing, parts[0]).split("/")
        return above[-1] if above else last


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectiveFile:
    """A file of integers, and the layers in it that stayed in floating point."""

    data: bytes
    kept: tuple[str, ...]


def layer_errors(
    ranged: bytes, pictures: NDArray[np.uint8], *, track: Track = silent
) -> tuple[LayerError, ...]:
    """Of each operation of a float file that holds ranges, from the pixels up.

    `pictures` are uint8 [n, size, size, 3]; a few dozen are enough.
    """
    interpreter = comparing(ranged)
    compared = tuple(comparisons(interpreter))
    entrance = interpreter.get_input_details()[0]["index"]
    squares = np.zeros(len(compared))
    for picture in track(pictures, total=len(pictures), what="Comparing layers"):
        interpreter.set_tensor(entrance, np.float32(picture[None]) / np.float32(MIDDLE) - 1)
        interpreter.invoke()
        squares += [_mean_square(interpreter.get_tensor(one.difference)) for one in compared]
    errors = np.sqrt(squares / max(len(pictures), 1))
    return tuple(one.told(float(error)) for one, error in zip(compared, errors, strict=True))


def worst(errors: Sequence[LayerError], *, count: int) -> tuple[str, ...]:
    """The layers with the greatest errors, the greatest first; the lower of equals before the higher."""
    return tuple(one.layer for one in sorted(errors, key=lambda one: -one.error)[:count])


def keep_floats(ranged: bytes, layers: Sequence[str], *, io: IoType) -> SelectiveFile:
    """Integers everywhere but in these layers; it ran on no other pictures than the ranges came from."""
    asked = tf.as_dtype(io.value)
    data = mlir_quantize(
        ranged, input_data_type=asked, output_data_type=asked, denylisted_nodes=list(layers) or None
    )
    return SelectiveFile(data=bytes(data), kept=tuple(layers))


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorComparison:
    """One operation, and the tensor that holds how far integers are off."""

    layer: str
    operator: str
    difference: int
    scale: float

    def told(self, error: float) -> LayerError:
        return LayerError(
            layer=self.layer, operator=self.operator, error=error / self.scale, scale=self.scale
        )


def comparisons(interpreter: Interpreter) -> Iterator[OperatorComparison]:
    """Where a comparing interpreter keeps what it found."""
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    operations = interpreter._get_ops_details()
    maker = {index: operation["op_name"] for operation in operations for index in operation["outputs"]}
    for operation in operations:
        if operation["op_name"] == COMPARES:
            integers, difference = operation["inputs"][0], operation["outputs"][0]
            name = tensors[difference]["name"].removeprefix(f"{COMPARES}/").rpartition(":")[0]
            yield OperatorComparison(
                layer=name[:-1],  # one digit was added to the float tensor's own name
                operator=maker[integers],
                difference=difference,
                scale=float(tensors[integers]["quantization_parameters"]["scales"][0]),
            )


def _mean_square(difference: NDArray[np.float32]) -> float:
    return float(np.square(difference, dtype=np.float64).mean())


def comparing(ranged: bytes) -> Interpreter:
    """Runs each operation twice on the same inputs: by integers, and in floating point."""
    return _interpreter(mlir_quantize(ranged, enable_numeric_verify=True))


def _interpreter(model: bytes) -> Interpreter:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a newer package interprets too, but knows no comparing operation
        plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = tf.lite.Interpreter(
            model_content=model,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=plain,
        )
    interpreter.allocate_tensors()
    return interpreter
