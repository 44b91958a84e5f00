"""Take back what integers add to a layer on average: its own bias can hold the difference.

Rounded weights shift the mean of each channel a little, always the same way; the shifts of fifty layers add
up, and the network leans to some labels. The mean error of a channel, on the same inputs by integers and in
floating point, is subtracted from its bias before the file is quantized.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorflow.lite.python import schema_py_generated as schema

from converter.quantize.ranges import MIDDLE
from converter.search.selective import comparing, comparisons
from dermpack.progress import Track, silent

ENOUGH = 16  # pictures: a mean over every place of a map needs few, 32 change no label more
WITH_BIAS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
BIAS = 2  # the third input of each
Errors = Mapping[str, NDArray[np.float64]]


def correct_biases(ranged: bytes, errors: Errors, *, but: Collection[str] = ()) -> bytes:
    """The float file with its ranges, and with biases that integers will bring back to where they were.

    Layers that stay in floating point keep their own: nothing would bring them back.
    """
    data = bytearray(ranged)
    for layer, bias in _biases(data):
        if layer in errors and layer not in but and bias.shape == errors[layer].shape:
            bias -= errors[layer].astype(np.float32)
    return bytes(data)


def mean_errors(
    ranged: bytes, pictures: NDArray[np.uint8], *, threads: int = 2, track: Track = silent
) -> Errors:
    """Layer → what integers add to each of its channels, on average."""
    free: SimpleQueue[Any] = SimpleQueue()
    for _ in range(threads):
        free.put(comparing(ranged))
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(partial(_errors, free), pictures)
        each = list(track(found, total=len(pictures), what="Correcting biases"))
    return {layer: np.mean([one[layer] for one in each], axis=0) for layer in each[0]}


def _errors(free: SimpleQueue[Any], picture: NDArray[np.uint8]) -> Errors:
    """On one picture."""
    interpreter = free.get()
    entrance = interpreter.get_input_details()[0]["index"]
    interpreter.set_tensor(entrance, np.float32(picture[None]) / np.float32(MIDDLE) - 1)
    interpreter.invoke()
    found = {one.layer: interpreter.get_tensor(one.difference) for one in comparisons(interpreter)}
    free.put(interpreter)
    return {
        layer: error.reshape(-1, error.shape[-1]).mean(axis=0, dtype=np.float64)
        for layer, error in found.items()
    }


def _biases(data: bytearray) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The layers with a bias of their own, and the bias itself, to be written to; a shared one stays."""
    model = schema.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    pairs = list(_layers(model, graph))
    users = Counter(bias.Buffer() for _, bias in pairs)
    for layer, bias in pairs:
        buffer = model.Buffers(bias.Buffer())
        if users[bias.Buffer()] == 1 and buffer.DataLength():
            yield layer, buffer.DataAsNumpy().view(np.float32)


def _layers(model: Any, graph: Any) -> Iterator[tuple[str, Any]]:
    """The output's name and the bias of each operator that has one."""
    codes = {getattr(schema.BuiltinOperator, name) for name in WITH_BIAS}
    for at in range(graph.OperatorsLength()):
        operator = graph.Operators(at)
        code = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if code in codes and operator.InputsLength() > BIAS and operator.Inputs(BIAS) >= 0:
            name = graph.Tensors(operator.Outputs(0)).Name().decode()
            yield name, graph.Tensors(operator.Inputs(BIAS))
