"""Give each channel back the mean that rounding took from it.

A kernel of large weights that nearly cancel answers with a constant error once they are rounded, and the
layers above amplify it. The offset of the batch normalisation above takes it back: layer after layer, from
the pixels up, so that none corrects what one below it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from numpy.typing import NDArray

Keras = Any  # tf_keras ships no types
Inputs = NDArray[np.float32]


def restore_means(aware: Keras, even: Keras, inputs: Inputs) -> None:
    """Move the offsets of the quantizing copy until its channels have the float network's means.

    Where the answers come no nearer to those of the float network, the offsets stay as they were.
    """
    wrappers = [layer for layer in aware.layers if _is_norm(getattr(layer, "layer", None))]
    offsets = [wrapper.layer.beta for wrapper in wrappers]
    before = [offset.numpy() for offset in offsets]
    distance = _distance(aware, even, inputs)
    wanted = _means(even, [wrapper.layer.name for wrapper in wrappers], inputs)()
    found = _means(aware, [wrapper.name for wrapper in wrappers], inputs)
    for at, offset in enumerate(offsets):
        offset.assign_add(wanted[at] - found()[at])
    if _distance(aware, even, inputs) >= distance:
        for offset, value in zip(offsets, before, strict=True):
            offset.assign(value)


def _is_norm(layer: Keras) -> bool:
    return isinstance(layer, tf_keras.layers.BatchNormalization) and layer.center


def _means(model: Keras, names: Sequence[str], inputs: Inputs) -> Any:
    """A function of nothing: the mean of each channel of these layers, as the model is then."""
    observed = tf_keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    pixels = tf.constant(inputs)

    def means() -> Any:
        tensors = tf.nest.flatten(observed(pixels, training=False))
        return [tf.reduce_mean(tensor, axis=list(range(len(tensor.shape) - 1))) for tensor in tensors]

    return tf.function(means)


def _distance(aware: Keras, even: Keras, inputs: Inputs) -> float:
    """The mean difference between the answers of the two."""
    answers = (np.asarray(model(inputs, training=False), np.float64) for model in (aware, even))
    return float(np.abs(next(answers) - next(answers)).mean())
