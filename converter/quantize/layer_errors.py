"""Measure the error that int8 adds to each layer, without the errors of the layers before it.

TensorFlow's quantizer can write a file that runs each operation twice on the same inputs, in int8 and in
floating point, and outputs the difference. The error of a layer is the root mean square of that difference in
steps of the layer's output; rounding to the nearest step alone gives 1/√12 = 0.289.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter import _private
from converter.quantize.tflite_conversion import open_interpreter, run_picture
from dermpack.progress import Track, silent

ROUNDING_ERROR = 1 / 12**0.5  # of a layer that only rounds
COMPUTING = ("Conv2D", "depthwise", "MatMul")  # the operation that a fused operation is named after
VERIFY = "NumericVerify"  # the operation that subtracts the float output from the int8 output


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """The error that int8 adds to one operation."""

    layer: str  # the name of its output in the float file
    operator: str
    error: float  # RMSE / scale
    scale: float  # of one step of its output

    @property
    def name(self) -> str:
        """The name in the network: "net/a_relu/Relu6;net/a_bn/…;net/a/Conv2D;…" → "a"."""
        parts = self.layer.split(";")
        computing = (part for part in parts if part.rpartition("/")[2].startswith(COMPUTING))
        *parents, last = next(computing, parts[0]).split("/")
        return parents[-1] if parents else last


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorComparison:
    """One operation, and the tensor with the difference between its int8 and its float output."""

    layer: str
    operator: str
    difference: int
    scale: float


def measure_layer_errors(
    ranged: bytes, pictures: NDArray[np.uint8], *, track: Track = silent
) -> tuple[LayerError, ...]:
    """Return the error of each operation of a float file with ranges, in the order of the network.

    `pictures` are uint8 [n, size, size, 3]; a few dozen are enough.
    """
    interpreter = open_comparing_interpreter(ranged)
    comparisons = tuple(list_comparisons(interpreter))
    squares = np.zeros(len(comparisons))
    for picture in track(pictures, total=len(pictures), what="Comparing layers"):
        run_picture(interpreter, picture)
        # Only running sums are kept: the differences of one picture are as large as its feature maps.
        for index, comparison in enumerate(comparisons):
            difference = interpreter.get_tensor(comparison.difference)
            squares[index] += float(np.square(difference, dtype=np.float64).mean())
    errors = np.sqrt(squares / max(len(pictures), 1))
    return tuple(
        LayerError(
            layer=comparison.layer,
            operator=comparison.operator,
            error=float(error) / comparison.scale,
            scale=comparison.scale,
        )
        for comparison, error in zip(comparisons, errors, strict=True)
    )


def open_comparing_interpreter(ranged: bytes) -> Any:
    """Return an interpreter that runs each operation in int8 and in floating point on the same inputs."""
    return open_interpreter(_private.quantize_with_verification(ranged))


def list_comparisons(interpreter: Any) -> Iterator[OperatorComparison]:
    """Yield the comparisons of a comparing interpreter, in the order of the network."""
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    operations = _private.list_operations(interpreter)
    producers = {index: operation["op_name"] for operation in operations for index in operation["outputs"]}
    for operation in operations:
        if operation["op_name"] == VERIFY:
            quantized, difference = operation["inputs"][0], operation["outputs"][0]
            # Its output is named "NumericVerify/NAME0:3" after the float tensor NAME.
            name = tensors[difference]["name"].removeprefix(f"{VERIFY}/").rpartition(":")[0]
            yield OperatorComparison(
                layer=name[:-1],  # the quantizer appends one digit to the name of the float tensor
                operator=producers[quantized],
                difference=difference,
                scale=float(tensors[quantized]["quantization_parameters"]["scales"][0]),
            )
