"""Build the architectures below the head; each takes pixels in [-1, 1]."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from trainer.model.efficientnet_lite import (
    EPSILON,
    HEAD_FILTERS,
    PIXEL_DEVIATION,
    PIXEL_MEAN,
    STEM_FILTERS,
    VARIANTS,
    list_blocks,
)
from trainer.recipe.network_spec import Arch, NetworkSpec

INPUT_MAP = "input_map"  # a fixed 1×1 convolution from [-1, 1] to the values that a backbone was trained on
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])  # RGB in [0, 1]; EfficientNet
IMAGENET_STD = np.array([0.229, 0.224, 0.225])
CAFFE_MEAN_BGR = np.array([103.939, 116.779, 123.68])  # in [0, 255]; ResNet50
HALF_RANGE = 127.5  # pixel = (x + 1) · 127.5
STATEFUL_RANDOM = {"rng_type": "stateful", "seed": 0}  # dropout whose random state a fit can set

Keras = Any  # tf_keras ships no types


def build_backbone(spec: NetworkSpec, pixels: Keras) -> Keras:
    """Return the last feature map above the input tensor; layer names never change between versions."""
    if spec.arch is Arch.SCRATCH_CNN:
        return _build_plain_cnn(spec, pixels)
    if spec.arch is Arch.RESNET50:
        # From [-1, 1] RGB to [0, 255] BGR without the mean.
        pixels = _map_input(pixels, HALF_RANGE * np.eye(3)[::-1], HALF_RANGE - CAFFE_MEAN_BGR)
    if spec.arch.is_lite:
        # From [-1, 1] to (pixel - mean) / deviation.
        kernel = np.eye(3) * HALF_RANGE / PIXEL_DEVIATION
        bias = np.full(3, (HALF_RANGE - PIXEL_MEAN) / PIXEL_DEVIATION)
        return _build_lite(spec.arch, _map_input(pixels, kernel, bias))
    if spec.arch.is_efficientnet:
        # From [-1, 1] to (p - mean) / std with p in [0, 1].
        kernel, bias = np.diag(0.5 / IMAGENET_STD), (0.5 - IMAGENET_MEAN) / IMAGENET_STD
        return _rebuild_above_normalization(build_application(spec), _map_input(pixels, kernel, bias))
    return build_application(spec, input_tensor=pixels).output


def build_application(spec: NetworkSpec, *, input_tensor: Keras = None, weights: str | None = None) -> Keras:
    """Return the model of `tf_keras.applications` for the architecture, without its head."""
    arguments = {
        "include_top": False,
        "weights": weights,
        "input_tensor": input_tensor,
        "input_shape": None if input_tensor is not None else (spec.size, spec.size, 3),
    }
    if spec.arch is Arch.MOBILENET_V2:
        return tf_keras.applications.MobileNetV2(alpha=spec.alpha, **arguments)
    # ResNet50, EfficientNetB0 to EfficientNetB4
    name = spec.arch.value.replace("resnet", "ResNet").replace("efficientnet_b", "EfficientNetB")
    return getattr(tf_keras.applications, name)(**arguments)


def _map_input(pixels: Keras, kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> Keras:
    """Return x · kernel + bias for each pixel, by a convolution that never trains."""
    layer = tf_keras.layers.Conv2D(len(bias), 1, name=INPUT_MAP, trainable=False)
    mapped = layer(pixels)
    layer.set_weights([kernel[np.newaxis, np.newaxis], bias])
    return mapped


def _rebuild_above_normalization(source: Keras, mapped: Keras) -> Keras:
    """Return the output of the model's layers, created again on a tensor that is normalized already.

    Keras's own normalization expects [0, 255], but every network here takes [-1, 1].
    """
    # Skip the layers up to the normalization, then call a copy of each layer on the new tensors.
    layers = iter(source.layers)
    normalization = next(layer for layer in layers if isinstance(layer, tf_keras.layers.Normalization))
    tensors = {normalization.name: mapped}
    for layer in layers:
        config = layer.get_config()
        if isinstance(layer, tf_keras.layers.Dropout):
            config |= STATEFUL_RANDOM
        nodes = layer.inbound_nodes[0].parent_nodes
        inputs = [tensors[node.layer.name] for node in nodes]
        copy = type(layer).from_config(config)
        tensors[layer.name] = copy(inputs if len(inputs) > 1 else inputs[0])
    return tensors[source.layers[-1].name]


def _build_lite(arch: Arch, pixels: Keras) -> Keras:
    """Add the blocks of EfficientNet-Lite above pixels that are normalized already."""
    layers = tf_keras.layers
    tensor = _convolve(pixels, STEM_FILTERS, 3, stride=2, name="stem")
    for block in list_blocks(VARIANTS[arch]):
        below, filters = tensor, tensor.shape[-1]
        if block.expansion > 1:
            tensor = _convolve(tensor, block.expansion * filters, 1, name=f"{block.name}_expand")
        tensor = layers.DepthwiseConv2D(
            block.kernel, block.stride, "same", use_bias=False, name=f"{block.name}_dwconv"
        )(tensor)
        tensor = layers.BatchNormalization(epsilon=EPSILON, name=f"{block.name}_bn")(tensor)
        tensor = layers.ReLU(6.0, name=f"{block.name}_activation")(tensor)
        tensor = layers.Conv2D(
            block.filters, 1, padding="same", use_bias=False, name=f"{block.name}_project_conv"
        )(tensor)
        tensor = layers.BatchNormalization(epsilon=EPSILON, name=f"{block.name}_project_bn")(tensor)
        if block.stride == 1 and filters == block.filters:
            tensor = layers.Add(name=f"{block.name}_add")([tensor, below])
    return _convolve(tensor, HEAD_FILTERS, 1, name="top")


def _convolve(tensor: Keras, filters: int, kernel: int, *, name: str, stride: int = 1) -> Keras:
    """Add a convolution, batch normalization and ReLU6."""
    layers = tf_keras.layers
    tensor = layers.Conv2D(filters, kernel, stride, "same", use_bias=False, name=f"{name}_conv")(tensor)
    tensor = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(tensor)
    return layers.ReLU(6.0, name=f"{name}_activation")(tensor)


def _build_plain_cnn(spec: NetworkSpec, tensor: Keras) -> Keras:
    """Add convolution, batch normalization, ReLU and pooling for each count of filters."""
    layers = tf_keras.layers
    for number, filters in enumerate(spec.filters, start=1):
        name = f"block_{number}"
        convolution = layers.Conv2D(filters, spec.kernel, padding="same", use_bias=False, name=f"{name}_conv")
        tensor = convolution(tensor)
        tensor = layers.BatchNormalization(name=f"{name}_bn")(tensor)
        tensor = layers.ReLU(name=f"{name}_relu")(tensor)
        tensor = layers.MaxPooling2D(name=f"{name}_pool")(tensor)
    return tensor
