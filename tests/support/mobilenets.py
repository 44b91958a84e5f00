"""Make .tflite files of MobileNetV2 0.35 at 96 px with random weights: float, int8 and dynamic range."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE, LABELS = 96, 5
NUMBERS = ("float32", "int8", "dynamic")
SPREAD = 2.0  # standard deviation of the logits over pictures; with random weights alone it is nearly 0


@cache
def mobilenet(number: str) -> bytes:
    """Return the file with one of NUMBERS; the int8 file has uint8 input and output."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(_network())
    if number != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if number == "int8":
        converter.representative_dataset = lambda: ([picture[np.newaxis]] for picture in _pictures())
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


@cache
def _network() -> Any:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    shape = (SIZE, SIZE, 3)
    body = tf_keras.applications.MobileNetV2(
        shape, alpha=0.35, weights=None, include_top=False, pooling="avg"
    )
    _normalize(body)
    features = body.predict(_pictures(), verbose=0)
    weights = np.random.default_rng(0).normal(size=(features.shape[1], LABELS)).astype(np.float32)
    logits = features @ weights
    scale = SPREAD / logits.std(axis=0)
    top = tf_keras.layers.Dense(LABELS, activation="softmax")
    network = tf_keras.Sequential([body, top])
    network.build((1, *shape))
    top.set_weights([weights * scale, -(logits * scale).mean(axis=0)])
    return network


def _normalize(body: Any) -> None:
    """Set the statistics of each normalization, without which activations fade from layer to layer."""
    for layer in body.layers:
        if hasattr(layer, "momentum"):
            layer.momentum = 0.0
    body(_pictures(), training=True)


def _pictures() -> NDArray[np.float32]:
    """Return pictures in [-1, 1], from dark to bright and from plain to noisy."""
    generator = np.random.default_rng(1)
    brightness = np.linspace(-0.8, 0.8, 24)[:, np.newaxis, np.newaxis, np.newaxis]
    noise = generator.normal(size=(24, SIZE, SIZE, 3)) * generator.uniform(0.05, 0.4, (24, 1, 1, 1))
    return np.clip(brightness + noise, -1, 1).astype(np.float32)
