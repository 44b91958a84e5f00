"""Make tiny .tflite files: a convolution, a mean, a softmax over three labels at 32 px."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

SIZE, LABELS = 32, ("akiec", "mel", "nv")
WHITE_IS = 1  # the label of bright pictures; dark ones are LABELS[0]


@cache
def float_model() -> bytes:
    """Return the model with float32 input in [-1, 1] and float32 output."""
    return bytes(_converter().convert())


@cache
def integer_model(number: str) -> bytes:
    """Return the int8 model; the type of its input and output is uint8 or int8."""
    import tensorflow as tf

    converter = _converter()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = _examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = getattr(tf, number)
    return bytes(converter.convert())


@cache
def graph() -> Any:
    """Return the function that all files compute."""
    import tensorflow as tf

    generator = np.random.default_rng(0)
    kernel = tf.constant(generator.normal(size=(3, 3, 3, 4)) * 0.2, tf.float32)
    mixing = tf.constant(generator.normal(size=(4, 3)), tf.float32)
    lean = tf.constant([[-4.0, 4.0, 0.0]] * 3)

    def classify(pictures: Any) -> Any:
        maps = tf.nn.relu(tf.nn.conv2d(pictures, kernel, strides=2, padding="SAME"))
        return tf.nn.softmax(tf.reduce_mean(maps, [1, 2]) @ mixing + tf.reduce_mean(pictures, [1, 2]) @ lean)

    signature = [tf.TensorSpec((1, SIZE, SIZE, 3), tf.float32)]
    return tf.function(classify, input_signature=signature).get_concrete_function()


def _converter() -> Any:
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_concrete_functions([graph()])


def _examples() -> Any:
    generator = np.random.default_rng(1)
    for brightness in np.linspace(-1, 1, 21):
        noise = generator.normal(scale=0.2, size=(1, SIZE, SIZE, 3))
        yield [np.clip(brightness + noise, -1, 1).astype(np.float32)]
