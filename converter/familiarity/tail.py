"""Append the familiarity output to a converted file, in float32 whatever the types of the rest are.

The tail reads the feature map before the pooling. It is appended to the finished file, so everything else in
the file stays as it is, however it was made: the same weights, the same types, the same probabilities.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converter.familiarity.distance import FeatureDistance
from dermpack.contract import FAMILIARITY
from dermpack.tflite.graph_editing import GraphEditor

NAME = FAMILIARITY  # of the output, and what the names of all tensors of the tail begin with


def append_distance(data: bytes, distance: FeatureDistance, *, labels: int) -> bytes:
    """Return the file with another output, float32 [1, 1]: the distance of the picture's features."""
    graph = GraphEditor(data)
    k, count = distance.directions.shape

    def constant(name: str, values: NDArray[np.float32] | NDArray[np.int8], *, scale: float = 0.0) -> int:
        return graph.constant(f"{NAME}/{name}", values, scale=scale)

    # 1. The mean over the places of the feature map, in the type that it has; then square roots in float32.
    pooled = graph.pool(graph.find_feature_map(labels=labels), f"{NAME}/pooled")
    features = graph.as_float(pooled, f"{NAME}/features")
    positive = graph.operator("RELU", (features,), f"{NAME}/positive", (1, count))
    roots = graph.operator("SQRT", (positive,), f"{NAME}/roots", (1, count))
    mean = constant("mean", distance.mean[None])
    centred = graph.operator("SUB", (roots, mean), f"{NAME}/centred", (1, count))
    inverse = constant("inverse_deviation", np.array([1 / distance.deviation], np.float32))
    x = graph.operator("MUL", (centred, inverse), f"{NAME}/x", (1, count))
    # 2. The squared length, and the squared coordinates along the directions.
    squares = graph.operator("MUL", (x, x), f"{NAME}/squares", (1, count))
    equal = constant("equal_weights", np.full((1, count), 1 / count, np.float32))
    zero = constant("zero", np.zeros(1, np.float32))
    score = graph.operator("FULLY_CONNECTED", (squares, equal, zero), f"{NAME}/length", (1, 1))
    if k:
        stored = constant("directions", distance.directions, scale=distance.step)
        directions = graph.as_float(stored, f"{NAME}/float_directions")
        zeros = constant("zeros", np.zeros(k, np.float32))
        along = graph.operator("FULLY_CONNECTED", (x, directions, zeros), f"{NAME}/along", (1, k))
        along_squares = graph.operator("MUL", (along, along), f"{NAME}/along_squares", (1, k))
        weights = constant("weights", distance.weights[None])
        shift = graph.operator("FULLY_CONNECTED", (along_squares, weights, zero), f"{NAME}/shift", (1, 1))
        score = graph.operator("ADD", (score, shift), NAME, (1, 1))
    graph.output(score)
    return graph.pack()
