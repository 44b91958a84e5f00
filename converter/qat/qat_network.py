"""Build the network of quantization-aware training, so that it starts where float training ended.

The recipe of tfmot's tutorial inserts quantizers and trains. Four steps before the first epoch are added:

- depthwise channels are equalized, because one scale serves a whole depthwise kernel,
- every range is measured; a new one is ±6, and training would need thousands of steps to move it,
- batch normalisation stays in inference mode, with the statistics of the float training,
- its offsets take back the constant errors of rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras
from numpy.typing import NDArray

from converter import _private
from converter._private import Keras, Variables
from converter.pixel_scale import UNIT_SCALE, PixelScale
from converter.quantize.calibration import CalibrationMetadata
from converter.quantize.tflite_conversion import PICTURE_RANK
from dermpack.errors import InputError

MEAN_PICTURES = 32  # enough for a mean over all places of a feature map
BATCH = 16  # pictures with one pair of extremes; the mean over the batches is the range
INPUT_QUANTIZER, METADATA_QUANTIZER = "quantize_pixels", "quantize_metadata"
LEAST_MAXIMUM = 1e-12  # a weaker channel is silent; dividing its variance by the square would leave float32
Means = list[NDArray[np.float32]]
Floats = NDArray[np.float64]
Inputs = Any  # a tensor or an array of pixels, or a list of pixels and metadata


def build_qat_network(
    model: Keras,
    pictures: NDArray[np.uint8],
    metadata: CalibrationMetadata | None = None,
    *,
    pixels: PixelScale = UNIT_SCALE,
) -> Keras:
    """Return a copy that quantizes weights and activations as an int8 file does.

    The ranges are measured on the pictures, uint8 [n, size, size, 3], and on the metadata of each. Layers
    that are frozen in the model are frozen in the copy; batch normalisation always is.
    """
    # 1. Equalize, and keep batch normalisation in inference mode.
    equalized = equalize(model)
    for layer in equalized.layers:
        if isinstance(layer, tf_keras.layers.BatchNormalization):
            layer.trainable = False
    # 2. Insert the quantizers.
    try:
        # AutoGraph would write each function to TMPDIR, and change none of them.
        quantize = tf.autograph.experimental.do_not_convert(tfmot.quantization.keras.quantize_model)
        aware = quantize(equalized)
    except (RuntimeError, ValueError) as error:
        what = f"quantization-aware training does not support this network ({str(error).splitlines()[0]})"
        raise InputError(
            equalized.name, what, "Convert it with --method ptq.", code="qat-not-supported"
        ) from error
    # The ranges of the inputs are fixed: a raw byte must be one step, whatever the pictures contain.
    for name, rank, ends in (
        (INPUT_QUANTIZER, PICTURE_RANK, pixels.limits),
        (METADATA_QUANTIZER, 2, metadata.range if metadata else pixels.limits),
    ):
        fixed = tfmot.quantization.keras.quantizers.FixedQuantizer(
            num_bits=8, init_min=ends[0], init_max=ends[1], narrow_range=False
        )
        _private.replace_input_quantizer(aware, fixed, rank=rank, name=name)
    for wrapper in _private.list_wrappers(aware):
        if not wrapper.layer.trainable:
            _private.freeze_weights(wrapper)
        # 3. Set the range of each weight: a quantizer in training mode takes it from the weight's values.
        for weight, quantizer, limits in _private.list_weight_quantizers(wrapper):
            quantizer(weight, True, weights=limits)
    # 4. Measure the range of each activation.
    sites = tuple(_quantized_tensors(equalized, aware))
    _set_activation_ranges(sites, equalized, pictures, metadata, pixels)
    # 5. Take back the constant errors of rounding.
    few = metadata.rows[:MEAN_PICTURES] if metadata else None
    restore_means(aware, equalized, _join_inputs(pictures[:MEAN_PICTURES], few, pixels))
    return aware


def _join_inputs(pictures: NDArray[np.uint8], rows: NDArray[np.float32] | None, pixels: PixelScale) -> Inputs:
    """Return the inputs of the network for pictures, and for the rows of their metadata if it takes any."""
    scaled = tf.constant(pixels.apply(pictures))
    return scaled if rows is None else [scaled, tf.constant(rows)]


def _quantized_tensors(equalized: Keras, aware: Keras) -> Iterator[tuple[Keras, Variables]]:
    """Yield each tensor of the float network that the copy quantizes, with the variables of its range."""
    for wrapper in _private.list_wrappers(aware):
        source = equalized.get_layer(wrapper.layer.name)
        output_range = _private.output_range(wrapper)
        if output_range is not None:
            yield source.output, output_range
        for is_before, limits in _private.activation_ranges(wrapper):
            yield (_output_before_activation(source) if is_before else source.output), limits


def _output_before_activation(layer: Keras) -> Keras:
    """Return the tensor that the layer passes to its own activation."""
    plain = type(layer).from_config({**layer.get_config(), "activation": None, "name": f"{layer.name}_plain"})
    tensor = plain(layer.input)
    plain.set_weights(layer.get_weights())
    return tensor


def _set_activation_ranges(
    sites: Sequence[tuple[Keras, Variables]],
    equalized: Keras,
    pictures: NDArray[np.uint8],
    metadata: CalibrationMetadata | None,
    pixels: PixelScale,
) -> None:
    """Set each range to the mean of the extremes of the batches; it always contains 0, as TFLite demands."""
    observed = tf_keras.Model(equalized.inputs, [tensor for tensor, _ in sites])

    def extremes(inputs: Keras) -> Keras:
        tensors = observed(inputs, training=False)
        return tf.stack([[tf.reduce_min(tensor), tf.reduce_max(tensor)] for tensor in tensors])

    measure = tf.function(extremes, reduce_retracing=True, autograph=False)
    found = []
    for start in range(0, len(pictures), BATCH):
        few = metadata.rows[start : start + BATCH] if metadata else None
        found.append(measure(_join_inputs(pictures[start : start + BATCH], few, pixels)))
    means = np.mean(found, axis=0)
    for (_, limits), (low, high) in zip(sites, means, strict=True):
        limits["min_var"].assign(min(low, 0.0))
        limits["max_var"].assign(max(high, 0.0))


def restore_means(aware: Keras, equalized: Keras, inputs: Inputs) -> None:
    """Shift the offsets of batch normalisation until the copy's channels have the float network's means.

    A kernel of large weights that nearly cancel has a constant error once they are rounded, and the next
    layers amplify it. If the outputs come no nearer to the float network's, the offsets stay as they were.
    """
    wrappers = [
        wrapper
        for wrapper in _private.list_wrappers(aware)
        if isinstance(wrapper.layer, tf_keras.layers.BatchNormalization) and wrapper.layer.center
    ]
    offsets = [wrapper.layer.beta for wrapper in wrappers]
    before = [offset.numpy() for offset in offsets]
    distance = _output_distance(aware, equalized, inputs)
    float_means = _channel_means(equalized, [wrapper.layer.name for wrapper in wrappers], inputs)()
    means = _channel_means(aware, [wrapper.name for wrapper in wrappers], inputs)
    # From the input to the output, measuring again after each layer: a correction must not repeat one that
    # a layer before it has made.
    for index, offset in enumerate(offsets):
        offset.assign_add(float_means[index] - means()[index])
    if _output_distance(aware, equalized, inputs) >= distance:
        for offset, value in zip(offsets, before, strict=True):
            offset.assign(value)


def _channel_means(model: Keras, names: Sequence[str], inputs: Inputs) -> Callable[[], Means]:
    """Return a function that returns the channel means of these layers with the weights of the moment."""
    observed = tf_keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    constants = tf.nest.map_structure(tf.constant, inputs)

    def means() -> Means:
        tensors = tf.nest.flatten(observed(constants, training=False))
        return [tf.reduce_mean(tensor, axis=list(range(len(tensor.shape) - 1))) for tensor in tensors]

    compiled: Callable[[], Means] = tf.function(means, autograph=False)
    return compiled


def _output_distance(aware: Keras, equalized: Keras, inputs: Inputs) -> float:
    """Return the mean difference between the outputs of the two networks."""
    first, second = (np.asarray(model(inputs, training=False), np.float64) for model in (aware, equalized))
    return float(np.abs(first - second).mean())


def equalize(model: Keras) -> Keras:
    """Return a copy with the same function in which every channel of a depthwise kernel reaches 1.

    Quantization-aware training uses one scale for all channels of a depthwise kernel: if one channel reaches
    56 and another 0.08, nothing remains of the weak one.
    A channel with kernel (0.5, -4), mean 2, variance 16 becomes kernel (0.125, -1), mean 0.5, variance 1.
    """
    return rescale_channels(model, lambda maxima: maxima)


def rescale_channels(model: Keras, divisors: Callable[[Floats], Floats]) -> Keras:
    """Return a copy with the same function in which each depthwise channel is divided by its own number.

    `divisors` takes the greatest absolute weight of each channel of a kernel and returns positive numbers;
    silent channels stay as they are. The batch normalisation that reads the kernel's output absorbs them:

    kernel' = kernel / s,  mean' = mean / s,  var' = var / s²,  gamma' = gamma · s · √(var' + ε) / √(var + ε)
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
        if not is_linear or len(readers) != 1:
            continue
        norm = readers[0]
        # Only a batch normalisation with all its weights, called once, can absorb the division.
        has_weights = isinstance(norm, tf_keras.layers.BatchNormalization) and norm.scale and norm.center
        if has_weights and _private.count_calls(norm) == 1:
            yield layer, norm


def channel_maxima(depthwise: Keras) -> Floats:
    """Return the greatest absolute weight of each output channel."""
    kernel = np.asarray(depthwise.get_weights()[0], np.float64)
    maxima: Floats = np.abs(kernel).max(axis=(0, 1)).reshape(-1)
    return maxima
