"""Freeze the inference function of a model: once, for every file that is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2_as_graph

Keras = Any  # tf_keras ships no types
PIXELS = "pixels"  # the name of the input in every file


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrozenFunction:
    """A function of one picture, float32 [1, size, size, 3] in [-1, 1], that holds its weights itself."""

    function: Any  # a concrete function
    graph: Any  # the same as a GraphDef
    size: int

    @property
    def brings_ranges(self) -> bool:
        """Whether it was trained for integers, and knows the range of each tensor."""
        functions = (node for function in self.graph.library.function for node in function.node_def)
        return any(node.op.startswith("FakeQuant") for node in (*self.graph.node, *functions))


def freeze(model: Keras) -> FrozenFunction:
    """The function that the model is at inference, for one picture."""
    size = int(model.inputs[0].shape[1])
    signature = tf.TensorSpec((1, size, size, 3), tf.float32, name=PIXELS)
    function = tf.function(lambda pixels: model(pixels, training=False)).get_concrete_function(signature)
    constant, graph = convert_variables_to_constants_v2_as_graph(function, lower_control_flow=False)
    return FrozenFunction(function=constant, graph=graph, size=size)
