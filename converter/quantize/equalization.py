"""Give every channel of a depthwise kernel the same range, and leave the function as it is.

A depthwise kernel is quantized with one scale for all its channels in quantization-aware training: where
one channel reaches 56 and another 0.08, the weak one keeps none of its steps. The batch normalisation above
can take the difference, exactly:

    kernel' = kernel / s,  mean' = mean / s,  var' = var / s²,  gamma' = gamma · s · √(var' + ε) / √(var + ε)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Keras = Any  # tf_keras ships no types
LEAST_MAXIMUM = 1e-12  # a channel below it is silent, and its variance by the square would leave float32


def equalize(model: Keras) -> Keras:
    """A copy in which every channel of a depthwise kernel reaches 1; the model itself is untouched.

    A channel with kernel (0.5, -4), mean 2, variance 16: kernel (0.125, -1), mean 0.5, variance 1.
    """
    return rescale(model, lambda maxima: maxima)


def rescale(model: Keras, divisors: Callable[[Floats], Floats]) -> Keras:
    """A copy of the same function, each depthwise channel divided by its own number.

    `divisors` is told the greatest absolute weight of each channel of a kernel, and answers positive
    numbers; channels that are silent stay as they are.
    """
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for depthwise, norm in depthwise_pairs(copy):
        _divide(depthwise, norm, divisors)
    return copy


def depthwise_pairs(model: Keras) -> Iterator[tuple[Keras, Keras]]:
    """Each depthwise convolution whose output a batch normalisation alone reads."""
    for layer in model.layers:
        if isinstance(layer, tf_keras.layers.DepthwiseConv2D):
            readers = [node.outbound_layer for node in layer.outbound_nodes]
            if len(readers) == 1 and _is_linear(layer) and _can_absorb(readers[0]):
                yield layer, readers[0]


def channel_maxima(depthwise: Keras) -> Floats:
    """The greatest absolute weight of each output channel."""
    kernel = np.asarray(depthwise.get_weights()[0], np.float64)
    maxima: Floats = np.abs(kernel).max(axis=(0, 1)).reshape(-1)
    return maxima


def _is_linear(layer: Keras) -> bool:
    return bool(layer.activation is tf_keras.activations.linear and layer.data_format == "channels_last")


def _can_absorb(layer: Keras) -> bool:
    is_norm = isinstance(layer, tf_keras.layers.BatchNormalization)
    return is_norm and layer.scale and layer.center and len(layer.inbound_nodes) == 1


def _divide(depthwise: Keras, norm: Keras, divisors: Callable[[Floats], Floats]) -> None:
    maxima = channel_maxima(depthwise)
    silent = maxima < LEAST_MAXIMUM
    s = np.where(silent, 1.0, divisors(np.where(silent, 1.0, maxima)))
    kernel, *bias = (np.asarray(weight, np.float64) for weight in depthwise.get_weights())
    depthwise.set_weights([kernel / s.reshape(kernel.shape[2:]), *(values / s for values in bias)])
    gamma, beta, mean, variance = (np.asarray(weight, np.float64) for weight in norm.get_weights())
    narrowed = variance / s**2
    ratio = np.sqrt(narrowed + norm.epsilon) / np.sqrt(variance + norm.epsilon)
    norm.set_weights([gamma * s * ratio, beta, mean / s, narrowed])
