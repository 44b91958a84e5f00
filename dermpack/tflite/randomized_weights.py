"""Shuffle the weights of a .tflite file: what still looks the same afterwards does not depend on training."""

from __future__ import annotations

from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from dermpack.tflite.metadata_writing import pack_model, unpack_model

BUILTIN = schema.BuiltinOperator
WEIGHTED = (BUILTIN.CONV_2D, BUILTIN.DEPTHWISE_CONV_2D, BUILTIN.FULLY_CONNECTED)
WEIGHTS_INPUT = 1  # the index of the weights among the inputs of each
LEAST_BYTES = 16  # smaller constants are shapes
NUMBER_BYTES = {schema.TensorType.FLOAT32: 4, schema.TensorType.FLOAT16: 2, schema.TensorType.INT8: 1}


def shuffle_weights(data: bytes, *, seed: int, convolutions: int | None = None) -> bytes:
    """Return the file with shuffled weights, which keep their values and therefore their range.

    `convolutions` is how many of the last layers are shuffled; without it all are.
    """
    model = unpack_model(data)
    graph, generator = model.subgraphs[0], np.random.default_rng(seed)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    # float16 weights pass through an operator that converts them.
    sources = {
        int(operator.outputs[0]): int(operator.inputs[0])
        for operator in graph.operators
        if codes[operator.opcodeIndex] == BUILTIN.DEQUANTIZE
    }
    layers = [operator for operator in graph.operators if codes[operator.opcodeIndex] in WEIGHTED]
    for operator in layers if convolutions is None else layers[-convolutions:]:
        index = int(operator.inputs[WEIGHTS_INPUT])
        _shuffle(model, graph.tensors[sources.get(index, index)], generator)
    return pack_model(model, size_bytes=len(data))


def _shuffle(model: Any, tensor: Any, generator: np.random.Generator) -> None:
    buffer = model.buffers[tensor.buffer]
    if buffer.data is None or len(buffer.data) < LEAST_BYTES or tensor.type not in NUMBER_BYTES:
        return
    numbers = np.frombuffer(bytes(buffer.data), f"V{NUMBER_BYTES[tensor.type]}")
    shuffled = numbers[generator.permutation(len(numbers))]
    buffer.data = np.frombuffer(shuffled.tobytes(), np.uint8)
