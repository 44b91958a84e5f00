"""Correct the biases of a network for the mean error that int8 adds to each channel.

Rounded weights shift the mean of each channel a little, always in the same direction; over fifty layers the
shifts add up, and the network favours some labels. The mean difference between a channel in int8 and in
floating point, on the same inputs, is subtracted from its bias before the file is quantized.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from converter.quantize.calibration import map_pictures
from converter.quantize.layer_errors import list_comparisons, open_comparing_interpreter
from converter.quantize.tflite_conversion import run_picture
from dermpack.progress import Track, silent

CORRECTION_PICTURES = 16  # a mean over all places of a feature map needs few: 32 change no label more
OPERATORS_WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
BIAS_INPUT = 2  # the index of the bias among the inputs of each
MeanErrors = Mapping[str, NDArray[np.float64]]


def measure_mean_errors(
    ranged: bytes, pictures: NDArray[np.uint8], *, threads: int = 2, track: Track = silent
) -> MeanErrors:
    """Return for each layer the mean error that int8 adds to each of its channels."""
    interpreters = [open_comparing_interpreter(ranged) for _ in range(threads)]
    rows = map_pictures(_channel_errors, interpreters, pictures, track=track, what="Correcting biases")
    return {layer: np.mean([row[layer] for row in rows], axis=0) for layer in rows[0]}


def _channel_errors(interpreter: Any, _: int, picture: NDArray[np.uint8]) -> MeanErrors:
    """Return the mean errors on one picture."""
    run_picture(interpreter, picture)
    errors = {}
    for comparison in list_comparisons(interpreter):
        difference = interpreter.get_tensor(comparison.difference)
        # The last axis is the channels; all others are places of the feature map.
        errors[comparison.layer] = difference.reshape(-1, difference.shape[-1]).mean(axis=0, dtype=np.float64)
    return errors


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
