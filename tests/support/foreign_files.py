"""Make float .tflite files as other programs write them, with any layout, normalization and head."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

SIZE, LABELS = 32, ("akiec", "mel", "nv")


@cache
def foreign_file(
    *,
    head: str = "softmax",  # or logits, sigmoid
    layout: str = "NHWC",
    labels: int = 3,
    mean: tuple[float, ...] = (127.5, 127.5, 127.5),
    std: tuple[float, ...] = (127.5, 127.5, 127.5),
    is_batch_fixed: bool = False,
) -> bytes:
    """Return a float network whose first labels are for pictures whose red, green or blue is the greatest.

    It undoes the normalization first, so that it answers correctly only if it is fed as declared.
    """
    import tensorflow as tf

    generator = np.random.default_rng(0)
    kernel = tf.constant(np.concatenate([np.eye(3), -np.eye(3)], 1)[None, None] * 4, tf.float32)
    depthwise = tf.constant(generator.normal(1, 0.05, (3, 3, 6, 1)) / 9, tf.float32)
    mixing = np.zeros((6, max(labels, 3)), np.float32)
    mixing[:3, :3], mixing[3:, :3] = 6 * np.eye(3), -2 * np.eye(3)
    outputs = 1 if head == "sigmoid" else labels
    weights = tf.constant(mixing[:, :outputs])
    offset, scale = (tf.constant(values, tf.float32) for values in (mean, std))

    def classify(pictures: Any) -> Any:
        if layout == "NCHW":
            pictures = tf.transpose(pictures, [0, 2, 3, 1])
        centred = (pictures * scale + offset) / 255 - 0.5
        maps = tf.nn.relu6(tf.nn.conv2d(centred, kernel, strides=2, padding="SAME"))
        maps = tf.nn.relu6(tf.nn.depthwise_conv2d(maps, depthwise, [1, 1, 1, 1], "SAME"))
        scores = tf.matmul(tf.reduce_mean(maps, [1, 2]), weights)
        return {"softmax": tf.nn.softmax, "sigmoid": tf.nn.sigmoid, "logits": tf.identity}[head](scores)

    sides = (3, SIZE, SIZE) if layout == "NCHW" else (SIZE, SIZE, 3)
    signature = [tf.TensorSpec((1 if is_batch_fixed else None, *sides), tf.float32)]
    function = tf.function(classify, input_signature=signature).get_concrete_function()
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([function]).convert())


def coloured_pictures(count: int, *, seed: int = 0) -> tuple[Any, Any]:
    """Return noisy pictures, uint8 [n, size, size, 3], in which one channel is the greatest, and which."""
    generator = np.random.default_rng(seed)
    truth = np.arange(count) % 3
    pictures = generator.integers(40, 140, (count, SIZE, SIZE, 3))
    pictures[np.arange(count), :, :, truth] += generator.integers(20, 110, (count, 1, 1))
    return pictures.astype(np.uint8), truth
