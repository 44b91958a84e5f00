"""Give every channel of a depthwise kernel the same range, without changing the function.

Quantization-aware training uses one scale for all channels of a depthwise kernel: if one channel reaches 56
and another 0.08, nothing remains of the weak one. The batch normalisation that reads the kernel's output can
absorb a factor s per channel exactly:

    kernel' = kernel / s,  mean' = mean / s,  var' = var / s²,  gamma' = gamma · s · √(var' + ε) / √(var + ε)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tf_keras
from numpy.typing import NDArray

from converter import _private
from converter._private import Keras

Floats = NDArray[np.float64]
LEAST_MAXIMUM = 1e-12  # a weaker channel is silent; dividing its variance by the square would leave float32


def equalize(model: Keras) -> Keras:
    """Return a copy in which every channel of a depthwise kernel reaches 1.

    A channel with kernel (0.5, -4), mean 2, variance 16 becomes kernel (0.125, -1), mean 0.5, variance 1.
    """
    return rescale_channels(model, lambda maxima: maxima)


def rescale_channels(model: Keras, divisors: Callable[[Floats], Floats]) -> Keras:
    """Return a copy with the same function in which each depthwise channel is divided by its own number.

    `divisors` takes the greatest absolute weight of each channel of a kernel and returns positive numbers;
    silent channels stay as they are.
    """
    copy = tf_keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for depthwise, norm in depthwise_pairs(copy):
        maxima = channel_maxima(depthwise)
        silent = maxima < LEAST_MAXIMUM
        s = np.where(silent, 1.0, divisors(np.where(silent, 1.0, maxima)))
        # The convolution outputs 1/s of its former values ...
        kernel, *bias = (np.asarray(weight, np.float64) for weight in depthwise.get_weights())
        depthwise.set_weights([kernel / s.reshape(kernel.shape[2:]), *(values / s for values in bias)])
        # ... and the normalisation restores it; the ratio accounts for ε, which does not scale.
        gamma, beta, mean, variance = (np.asarray(weight, np.float64) for weight in norm.get_weights())
        narrowed = variance / s**2
        ratio = np.sqrt(narrowed + norm.epsilon) / np.sqrt(variance + norm.epsilon)
        norm.set_weights([gamma * s * ratio, beta, mean / s, narrowed])
    return copy


def depthwise_pairs(model: Keras) -> Iterator[tuple[Keras, Keras]]:
    """Yield each depthwise convolution whose output only a batch normalisation reads, with that layer."""
    for layer in model.layers:
        if not isinstance(layer, tf_keras.layers.DepthwiseConv2D):
            continue
        is_linear = layer.activation is tf_keras.activations.linear and layer.data_format == "channels_last"
        readers = _private.list_readers(layer)
        if is_linear and len(readers) == 1 and _can_absorb(readers[0]):
            yield layer, readers[0]


def _can_absorb(layer: Keras) -> bool:
    """Return whether the layer is a batch normalisation with all its weights, called once."""
    is_norm = isinstance(layer, tf_keras.layers.BatchNormalization)
    return is_norm and layer.scale and layer.center and _private.count_calls(layer) == 1


def channel_maxima(depthwise: Keras) -> Floats:
    """Return the greatest absolute weight of each output channel."""
    kernel = np.asarray(depthwise.get_weights()[0], np.float64)
    maxima: Floats = np.abs(kernel).max(axis=(0, 1)).reshape(-1)
    return maxima
