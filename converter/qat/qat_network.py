"""Make a network that feels integers while it trains, and starts where the float one stands.

What the tutorial recipe leaves out is done here, before the first step:

- depthwise channels are equalized (one scale has to serve a whole depthwise kernel),
- every range is measured; a new one is ±6, and would need thousands of steps to find its place,
- batch normalisation stays in inference mode, with the statistics that float training left,
- its offsets take back the constant errors of rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from numpy.typing import NDArray
from tensorflow_model_optimization.python.core.quantization.keras.quantize_layer import QuantizeLayer

from converter.quantize.equalization import equalize
from converter.quantize.mean_restoration import restore_means
from converter.quantize.ranges import MIDDLE, PIXEL_RANGE
from dermpack.errors import InputError

Keras = Any  # tf_keras ships no types
Variables = Mapping[str, Any]
FEW = 32  # pictures are enough for a mean over all places of all of them
BATCH = 16  # pictures whose extremes count as one; the mean over batches is the range
INPUT = "quantize_pixels"
BEFORE, AFTER = "_pre_activation_vars", "_post_activation_vars"  # what tfmot keeps of an activation


def make_aware(model: Keras, pictures: NDArray[np.uint8]) -> Keras:
    """A copy that quantizes weights and activations as an int8 file does; the model itself is untouched.

    The ranges come from the pictures, uint8 [n, size, size, 3]. Layers that do not train in the model do not
    in the copy; batch normalisation never does.
    """
    even = equalize(model)
    for layer in even.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.trainable = False
    aware = _quantized(even)
    _pin_input(aware)
    _keep_frozen(aware)
    _set_weight_ranges(aware)
    _set_activation_ranges(tuple(_sites(even, aware)), even, pictures)
    restore_means(aware, even, _inputs(pictures[:FEW]))
    return aware


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """A tensor of the float model, and the range that the copy quantizes it with."""

    tensor: Keras
    limits: Variables


def _quantized(even: Keras) -> Keras:
    try:
        return tfmot.quantization.keras.quantize_model(even)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        what = f"quantization-aware training does not support this network ({reason})"
        raise InputError(
            even.name, what, "Convert it with --method ptq.", code="qat-not-supported"
        ) from error


def _wrappers(aware: Keras) -> Iterator[Keras]:
    """The layers that quantize what another layer holds or gives."""
    return (layer for layer in aware.layers if hasattr(layer, "quantize_config"))


def _pin_input(aware: Keras) -> None:
    """A raw byte is one step of the input, whatever the pictures of a batch reach."""
    low, high = PIXEL_RANGE
    fixed = tfmot.quantization.keras.quantizers.FixedQuantizer(
        num_bits=8, init_min=low, init_max=high, narrow_range=False
    )
    for layer in aware.layers:
        if isinstance(layer, QuantizeLayer):
            layer.quantizer = fixed
            layer._name = INPUT  # its own counts the networks made in this process, and stands in the file


def _keep_frozen(aware: Keras) -> None:
    """A wrapper lists the kernel of its layer as trained, also where the layer is frozen."""
    for wrapper in _wrappers(aware):
        if not wrapper.layer.trainable:
            wrapper._non_trainable_weights = [*wrapper._trainable_weights, *wrapper._non_trainable_weights]
            wrapper._trainable_weights = []


def _set_weight_ranges(aware: Keras) -> None:
    """By quantizing each weight once in training mode: the range is that of its last value."""
    for wrapper in _wrappers(aware):
        for weight, quantizer, limits in wrapper._weight_vars:
            quantizer(weight, True, weights=limits)


def _sites(even: Keras, aware: Keras) -> Iterator[Site]:
    """Wherever the copy quantizes an activation."""
    for wrapper in _wrappers(aware):
        source = even.get_layer(wrapper.layer.name)
        if wrapper._output_quantizers:
            yield Site(tensor=source.output, limits=wrapper._output_quantizer_vars)
        for activation in wrapper._quantize_activations:
            if hasattr(activation, BEFORE):
                yield Site(tensor=_before_activation(source), limits=getattr(activation, BEFORE))
            if hasattr(activation, AFTER):
                yield Site(tensor=source.output, limits=getattr(activation, AFTER))


def _before_activation(layer: Keras) -> Keras:
    """What the layer gives to its own activation."""
    plain = type(layer).from_config({**layer.get_config(), "activation": None, "name": f"{layer.name}_plain"})
    tensor = plain(layer.input)
    plain.set_weights(layer.get_weights())
    return tensor


def _set_activation_ranges(sites: tuple[Site, ...], even: Keras, pictures: NDArray[np.uint8]) -> None:
    """Mean of the extremes of each batch; 0 is always within, as TFLite needs it."""
    observed = tf_keras.Model(even.inputs, [site.tensor for site in sites])

    def extremes(inputs: Any) -> Any:
        tensors = observed(inputs, training=False)
        return tf.stack([[tf.reduce_min(of), tf.reduce_max(of)] for of in tensors])

    measure = tf.function(extremes, reduce_retracing=True)
    found = np.mean([measure(batch) for batch in _batches(pictures)], axis=0)
    for site, (low, high) in zip(sites, found, strict=True):
        site.limits["min_var"].assign(min(low, 0.0))
        site.limits["max_var"].assign(max(high, 0.0))


def _batches(pictures: NDArray[np.uint8]) -> Iterator[Any]:
    for start in range(0, len(pictures), BATCH):
        yield tf.constant(_inputs(pictures[start : start + BATCH]))


def _inputs(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(np.float32(pictures) / np.float32(MIDDLE) - 1, np.float32)
