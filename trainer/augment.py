"""Change a batch of training pictures, by a seed."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf

from trainer.augmentation import Augmentation

Tensor = Any  # TensorFlow ships no types
MIDDLE = 127.5  # of a byte; the network's inputs are in [-1, 1]
DRAWS = 8  # numbers a picture


def to_inputs(rows: Tensor) -> Tensor:
    """Bytes become float32 in [-1, 1]; activations only become float32."""
    values = tf.cast(rows, tf.float32)
    return values / MIDDLE - 1 if rows.dtype == tf.uint8 else values


def augmented(pictures: Tensor, values: Augmentation, *, seed: Tensor) -> Tensor:
    """uint8 [n, s, s, 3] → float32 inputs; `seed` is two whole numbers, and decides everything."""
    drawn = tf.random.stateless_uniform([tf.shape(pictures)[0], DRAWS], seed)
    side = pictures.shape[1]
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(pictures, tf.float32),
        transforms=_transforms(drawn, values, side),
        output_shape=[side, side],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    moved.set_shape(pictures.shape)
    return _relit(moved / MIDDLE - 1, drawn, values)


def mixed(inputs: Tensor, targets: Tensor, alpha: float, *, seed: Tensor) -> tuple[Tensor, Tensor]:
    """Mixup: each example with its mirror in the batch, by a share from Beta(alpha, alpha)."""
    gammas = tf.random.stateless_gamma([2, tf.shape(inputs)[0]], seed, alpha)
    share = gammas[0] / tf.maximum(gammas[0] + gammas[1], 1e-12)
    share = tf.maximum(share, 1 - share)  # its own content stays the larger part
    wide = tf.reshape(share, [-1] + [1] * (inputs.shape.rank - 1))
    other, share = tf.reverse(inputs, [0]), share[:, None]
    return inputs * wide + other * (1 - wide), targets * share + tf.reverse(targets, [0]) * (1 - share)


def _transforms(drawn: Tensor, values: Augmentation, side: int) -> Tensor:
    """[n, 8]: where each output pixel is taken from, as the projective operation wants it."""
    either = drawn * 2 - 1  # [-1, 1)
    angle = either[:, 0] * (values.rotation_degrees * math.pi / 180)
    scale = 1 - values.zoom_in + drawn[:, 1] * (values.zoom_in + values.zoom_out)
    mirror = tf.where(either[:, 2] < 0, -1.0, 1.0) if values.flips else tf.ones_like(angle)
    across, down = (either[:, at] * values.shift * side for at in (3, 4))
    middle = (side - 1) / 2
    a, b = tf.cos(angle) * scale * mirror, -tf.sin(angle) * scale
    c, d = tf.sin(angle) * scale * mirror, tf.cos(angle) * scale
    zero = tf.zeros_like(angle)
    right, below = middle + across - (a + b) * middle, middle + down - (c + d) * middle
    return tf.stack([a, b, right, c, d, below, zero, zero], axis=1)


def _relit(inputs: Tensor, drawn: Tensor, values: Augmentation) -> Tensor:
    if not (values.brightness or values.contrast):
        return inputs
    either = (drawn * 2 - 1)[:, :, None, None, None]
    lit = inputs * (1 + either[:, 5] * values.contrast) + either[:, 6] * values.brightness
    return tf.clip_by_value(lit, -1.0, 1.0)
