"""Measure the errors that int8 adds to each layer, and correct the biases for their means.

TensorFlow's quantizer can write a file that runs each operation twice on the same inputs, in int8 and in
floating point, and outputs the difference: the error of a layer without the errors of the layers before it.

- The error of a layer is the root mean square of the difference in steps of the layer's output; rounding to
  the nearest step alone gives 1/√12 = 0.289.
- Rounded weights shift the mean of each channel a little, always in the same direction; over fifty layers
  the shifts add up, and the network favours some labels. The mean difference of a channel is subtracted from
  its bias before the file is quantized.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converter import _private
from converter.pixel_scale import UNIT_SCALE, PixelScale
from converter.quantize.calibration import map_pictures
from converter.quantize.tflite_conversion import open_interpreter, run_picture
from dermpack.progress import Track, silent

ROUNDING_ERROR = 1 / 12**0.5  # of a layer that only rounds
COMPUTING = ("Conv2D", "depthwise", "MatMul")  # the operation that a fused operation is named after
VERIFY = "NumericVerify"  # the operation that subtracts the float output from the int8 output
CORRECTION_PICTURES = 16  # a mean over all places of a feature map needs few: 32 change no label more
OPERATORS_WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
BIAS_INPUT = 2  # the index of the bias among the inputs of each
MeanErrors = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerError:
    """The error that int8 adds to one operation."""

    layer: str  # the name of its output in the float file
    operator: str
    scale: float  # of one step of its output
    error: float = 0.0  # RMSE / scale

    @property
    def name(self) -> str:
        """The name in the network: "net/a_relu/Relu6;net/a_bn/…;net/a/Conv2D;…" → "a"."""
        parts = self.layer.split(";")
        computing = (part for part in parts if part.rpartition("/")[2].startswith(COMPUTING))
        *parents, last = next(computing, parts[0]).split("/")
        return parents[-1] if parents else last


def measure_layer_errors(
    ranged: bytes,
    pictures: NDArray[np.uint8],
    *,
    metadata: NDArray[np.float32] | None = None,
    pixels: PixelScale = UNIT_SCALE,
    track: Track = silent,
) -> tuple[LayerError, ...]:
    """Return the error of each operation of a float file with ranges, in the order of the network.

    `pictures` are uint8 [n, size, size, 3]; a few dozen are enough. `metadata` has a row for each of them.
    """
    interpreter = open_comparing_interpreter(ranged)
    comparisons = dict(list_comparisons(interpreter))
    squares = np.zeros(len(comparisons))
    for number, picture in enumerate(track(pictures, total=len(pictures), what="Comparing layers")):
        run_picture(interpreter, picture, None if metadata is None else metadata[number], pixels=pixels)
        # Only running sums are kept: the differences of one picture are as large as its feature maps.
        for index, tensor in enumerate(comparisons):
            squares[index] += float(np.square(interpreter.get_tensor(tensor), dtype=np.float64).mean())
    errors = np.sqrt(squares / max(len(pictures), 1))
    pairs = zip(comparisons.values(), errors, strict=True)
    return tuple(replace(layer, error=float(error) / layer.scale) for layer, error in pairs)


def measure_mean_errors(
    ranged: bytes,
    pictures: NDArray[np.uint8],
    *,
    metadata: NDArray[np.float32] | None = None,
    pixels: PixelScale = UNIT_SCALE,
    threads: int = 2,
    track: Track = silent,
) -> MeanErrors:
    """Return for each layer the mean error that int8 adds to each of its channels."""

    def channel_errors(interpreter: Any, number: int, picture: NDArray[np.uint8]) -> MeanErrors:
        run_picture(interpreter, picture, None if metadata is None else metadata[number], pixels=pixels)
        errors = {}
        for tensor, layer in list_comparisons(interpreter):
            difference = interpreter.get_tensor(tensor)
            # The last axis is the channels; all others are places of the feature map.
            channels = difference.reshape(-1, difference.shape[-1])
            errors[layer.layer] = channels.mean(axis=0, dtype=np.float64)
        return errors

    interpreters = [open_comparing_interpreter(ranged) for _ in range(threads)]
    rows = map_pictures(channel_errors, interpreters, pictures, track=track, what="Correcting biases")
    return {layer: np.mean([row[layer] for row in rows], axis=0) for layer in rows[0]}


def open_comparing_interpreter(ranged: bytes) -> Any:
    """Return an interpreter that runs each operation in int8 and in floating point on the same inputs."""
    return open_interpreter(_private.quantize_with_verification(ranged))


def list_comparisons(interpreter: Any) -> Iterator[tuple[int, LayerError]]:
    """Yield, for each operation, the tensor with its difference, and a LayerError without its error.

    The operations are in the order of the network.
    """
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    operations = _private.list_operations(interpreter)
    producers = {index: operation["op_name"] for operation in operations for index in operation["outputs"]}
    for operation in operations:
        if operation["op_name"] == VERIFY:
            quantized, difference = operation["inputs"][0], operation["outputs"][0]
            # Its output is named "NumericVerify/NAME0:3" after the float tensor NAME.
            name = tensors[difference]["name"].removeprefix(f"{VERIFY}/").rpartition(":")[0]
            scale = float(tensors[quantized]["quantization_parameters"]["scales"][0])
            # The quantizer appends one digit to the name of the float tensor.
            yield difference, LayerError(layer=name[:-1], operator=producers[quantized], scale=scale)


def correct_biases(ranged: bytes, errors: MeanErrors, *, excluded: Collection[str] = ()) -> bytes:
    """Return the float file with ranges, its biases changed so that the means in int8 are those in float.

    Excluded layers, which stay in floating point, keep their biases: int8 adds no error to them.
    """
    data = bytearray(ranged)
    for layer, bias in bias_views(data):
        if layer in errors and layer not in excluded and bias.shape == errors[layer].shape:
            bias -= errors[layer].astype(np.float32)
    return bytes(data)


def bias_views(data: bytearray) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the output name of each layer with its bias, as a view that writes to the file's bytes.

    A bias that several layers share is left out: a correction for one would harm the others.
    """
    model = schema.Model.GetRootAs(data, 0)
    graph = model.Subgraphs(0)
    codes = {getattr(schema.BuiltinOperator, name) for name in OPERATORS_WITH_BIAS}
    buffers = []
    for index in range(graph.OperatorsLength()):
        operator = graph.Operators(index)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code in codes and operator.InputsLength() > BIAS_INPUT and operator.Inputs(BIAS_INPUT) >= 0:
            layer = graph.Tensors(operator.Outputs(0)).Name().decode()
            buffers.append((layer, graph.Tensors(operator.Inputs(BIAS_INPUT)).Buffer()))
    users = Counter(number for _, number in buffers)
    for layer, number in buffers:
        buffer = model.Buffers(number)
        if users[number] == 1 and buffer.DataLength():
            yield layer, buffer.DataAsNumpy().view(np.float32)
