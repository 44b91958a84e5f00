"""The architectures below the head, each fed with [-1, 1]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tf_keras
from numpy.typing import NDArray

from trainer.recipe.network_spec import Arch, NetworkSpec

INPUT_MAP = "input_map"  # the fixed 1×1 convolution from [-1, 1] to what a backbone was trained on
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406])  # RGB in [0, 1]; EfficientNet
IMAGENET_STD = np.array([0.229, 0.224, 0.225])
CAFFE_MEAN_BGR = np.array([103.939, 116.779, 123.68])  # in [0, 255]; ResNet50
HALF_RANGE = 127.5  # pixel = (x + 1) · 127.5
OWN_CHANCE = {"rng_type": "stateful", "seed": 0}  # dropout that `trainer.fitting.train_step` can start anew

Keras = Any  # tf_keras ships no types
Application = Callable[..., Keras]


def backbone(spec: NetworkSpec, pixels: Keras) -> Keras:
    """The last feature map above the input tensor; every layer has a name that never changes."""
    if spec.arch is Arch.SCRATCH_CNN:
        return _plain_cnn(spec, pixels)
    if spec.arch is Arch.RESNET50:
        pixels = _mapped(pixels, *_to_caffe())
    if spec.arch.is_efficientnet:
        return _above_normalization(application(spec), _mapped(pixels, *_to_standardized()))
    return application(spec, input_tensor=pixels).output


def application(spec: NetworkSpec, *, input_tensor: Keras = None, weights: str | None = None) -> Keras:
    """Keras's own model of the architecture, without its head."""
    shape = None if input_tensor is not None else (spec.size, spec.size, 3)
    make = {"include_top": False, "weights": weights, "input_tensor": input_tensor, "input_shape": shape}
    if spec.arch is Arch.MOBILENET_V2:
        return tf_keras.applications.MobileNetV2(alpha=spec.alpha, **make)
    return _APPLICATIONS[spec.arch](**make)


_APPLICATIONS: dict[Arch, Application] = {
    Arch.EFFICIENTNET_B0: tf_keras.applications.EfficientNetB0,
    Arch.EFFICIENTNET_B1: tf_keras.applications.EfficientNetB1,
    Arch.EFFICIENTNET_B2: tf_keras.applications.EfficientNetB2,
    Arch.EFFICIENTNET_B3: tf_keras.applications.EfficientNetB3,
    Arch.EFFICIENTNET_B4: tf_keras.applications.EfficientNetB4,
    Arch.RESNET50: tf_keras.applications.ResNet50,
}


def _mapped(pixels: Keras, kernel: NDArray[np.float64], bias: NDArray[np.float64]) -> Keras:
    """y = x · kernel + bias for each pixel, by a convolution that never trains."""
    layer = tf_keras.layers.Conv2D(len(bias), 1, name=INPUT_MAP, trainable=False)
    mapped = layer(pixels)
    layer.set_weights([kernel[np.newaxis, np.newaxis], bias])
    return mapped


def _to_caffe() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From [-1, 1] RGB to [0, 255] BGR without the mean."""
    return HALF_RANGE * np.eye(3)[::-1], HALF_RANGE - CAFFE_MEAN_BGR


def _to_standardized() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From [-1, 1] to (p - mean) / std with p in [0, 1]."""
    return np.diag(0.5 / IMAGENET_STD), (0.5 - IMAGENET_MEAN) / IMAGENET_STD


def _above_normalization(source: Keras, mapped: Keras) -> Keras:
    """The same layers, made anew on another tensor than the model's own normalized one."""
    layers = iter(source.layers)
    below = next(layer for layer in layers if isinstance(layer, tf_keras.layers.Normalization))
    tensors = {below.name: mapped}
    for layer in layers:
        nodes = layer.inbound_nodes[0].parent_nodes
        inputs = [tensors[node.layer.name] for node in nodes]
        tensors[layer.name] = _anew(layer)(inputs if len(inputs) > 1 else inputs[0])
    return tensors[source.layers[-1].name]


def _anew(layer: Keras) -> Keras:
    config = layer.get_config()
    if isinstance(layer, tf_keras.layers.Dropout):
        config |= OWN_CHANCE
    return type(layer).from_config(config)


def _plain_cnn(spec: NetworkSpec, tensor: Keras) -> Keras:
    """Convolution, batch normalisation, ReLU and halving, once for each count of filters."""
    layers = tf_keras.layers
    for number, filters in enumerate(spec.filters, start=1):
        name = f"block_{number}"
        tensor = layers.Conv2D(filters, spec.kernel, padding="same", use_bias=False, name=f"{name}_conv")(
            tensor
        )
        tensor = layers.BatchNormalization(name=f"{name}_bn")(tensor)
        tensor = layers.ReLU(name=f"{name}_relu")(tensor)
        tensor = layers.MaxPooling2D(name=f"{name}_pool")(tensor)
    return tensor
