"""Keep the biases of channels whose weights are zero, or nearly: 32 bits cannot represent them otherwise.

A bias is stored in steps of (input scale × weight scale). A channel that training has switched off has
weights near zero, hence a weight scale near zero, and its bias overflows: the channel then answers anything.
One weight of such a channel is raised until the bias fits. The output changes by less than 1/20,000 of the
bias.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from dermpack.tflite.model_tree import ModelTree

# Operator → the axis of its weights that is the output channel.
CHANNEL_AXES = {
    schema.BuiltinOperator.CONV_2D: 0,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    schema.BuiltinOperator.FULLY_CONNECTED: 0,
}
FLOAT32 = schema.TensorType.FLOAT32
LARGEST_BIAS, LARGEST_WEIGHT, STEPS = 1 << 30, 127, 255  # half of the largest 32-bit bias


def support_biases(model: ModelTree, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Raise one weight of each channel whose bias would overflow; `ranges` are those of the inputs."""
    graph = model.subgraphs[0]
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        axis = CHANNEL_AXES.get(max(code.builtinCode, code.deprecatedBuiltinCode))
        if axis is None or len(operator.inputs) < 3 or min(operator.inputs[:3]) < 0:
            continue
        source, weights, bias = (graph.tensors[index] for index in operator.inputs[:3])
        values, offsets = (_constant(model, tensor) for tensor in (weights, bias))
        limits = ranges.get(bytes(source.name or b"").decode("utf-8", "replace"))
        if values is None or offsets is None or limits is None or axis >= values.ndim:
            continue
        low, high = min(limits[0], 0.0), max(limits[1], 0.0)
        channels = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1)
        if high <= low or len(channels) != offsets.size:
            continue
        least = LARGEST_WEIGHT * np.abs(offsets.reshape(-1)) / ((high - low) / STEPS * LARGEST_BIAS)
        small = np.abs(channels).max(axis=1) < least
        if small.any():
            channels = channels.copy()
            channels[small, 0] = least[small]
            shape = np.moveaxis(values, axis, 0).shape
            changed = np.moveaxis(channels.reshape(shape), 0, axis).astype(np.float32)
            model.buffers[weights.buffer].data = np.frombuffer(changed.tobytes(), np.uint8)


def _constant(model: ModelTree, tensor: Any) -> Any:
    """Return the numbers of a float constant, or None."""
    data = model.buffers[tensor.buffer].data
    if tensor.type != FLOAT32 or data is None or not len(data):
        return None
    return np.frombuffer(bytes(data), np.float32).reshape(tensor.shape)
