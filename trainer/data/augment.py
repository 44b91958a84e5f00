"""Change a batch of training pictures, by a seed.

It runs beside the training step on the same processor, so it is a few compiled passes: where each pixel
comes from, pairs of neighbours, their lookup, and a blend that also lights. The lookup stands alone
because a compiler can make vectors of everything but it.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import tensorflow as tf

from trainer.distributed.shard import WHOLE, Shard
from trainer.recipe.augmentation import Augmentation

Tensor = Any  # TensorFlow ships no types
MIDDLE = 127.5  # of a byte; the network's inputs are in [-1, 1]
DRAWS = 8  # numbers a picture
PARTS = 16  # of a pixel: positions are rounded to them
NEXT = 32  # bits from a pixel to its right neighbour in a pair
CHANNELS = (0, 8, 16)  # bits from a pixel's start to its red, green and blue
compiled = partial(tf.function, jit_compile=True, autograph=False)


def to_inputs(rows: Tensor) -> Tensor:
    """Bytes become float32 in [-1, 1]; activations only become float32."""
    values = tf.cast(rows, tf.float32)
    return values / MIDDLE - 1 if rows.dtype == tf.uint8 else values


def augmented(pictures: Tensor, values: Augmentation, *, seed: Tensor, part: Shard = WHOLE) -> Tensor:
    """uint8 [n, s, s, 3] → float32 inputs; `seed` is two whole numbers, and decides everything.

    Of a part of a batch, each picture is changed as it is in the whole.
    """
    n = tf.shape(pictures)[0] * part.of
    drawn = _of_part(tf.random.stateless_uniform([n, DRAWS], seed), pictures, part, axis=0)
    side = pictures.shape[1]
    places, within = _places(_transforms(drawn, values, side), side=side)
    upper, lower = _looked_up(_pairs(pictures), places, side=side)
    return _blended(upper, lower, within, *_light(drawn, values))


def mixed(
    inputs: Tensor, targets: Tensor, alpha: float, *, seed: Tensor, part: Shard = WHOLE
) -> tuple[Tensor, Tensor]:
    """Mixup: each example with its mirror in the batch, by a share from Beta(alpha, alpha)."""
    n = tf.shape(inputs)[0] * part.of
    gammas = _of_part(tf.random.stateless_gamma([2, n], seed, alpha), inputs, part, axis=1)
    share = gammas[0] / tf.maximum(gammas[0] + gammas[1], 1e-12)
    share = tf.maximum(share, 1 - share)  # its own content stays the larger part
    return _with_mirror(inputs, share), _with_mirror(targets, share)


def _of_part(drawn: Tensor, rows: Tensor, part: Shard, *, axis: int) -> Tensor:
    """Of the draws for a whole batch, those of the part's rows."""
    return drawn if part.of == 1 else tf.gather(drawn, part.rows(rows.shape[0] * part.of), axis=axis)


def _transforms(drawn: Tensor, values: Augmentation, side: int) -> Tensor:
    """[6, n]: an output pixel x, y is taken from a·x + b·y + c, d·x + e·y + f."""
    either = drawn * 2 - 1  # [-1, 1)
    angle = either[:, 0] * (values.rotation_degrees * math.pi / 180)
    scale = 1 - values.zoom_in + drawn[:, 1] * (values.zoom_in + values.zoom_out)
    mirror = tf.where(either[:, 2] < 0, -1.0, 1.0) if values.flips else tf.ones_like(angle)
    across, down = (either[:, at] * values.shift * side for at in (3, 4))
    middle = (side - 1) / 2
    a, b = tf.cos(angle) * scale * mirror, -tf.sin(angle) * scale
    d, e = tf.sin(angle) * scale * mirror, tf.cos(angle) * scale
    right, below = middle + across - (a + b) * middle, middle + down - (d + e) * middle
    return tf.stack([a, b, right, d, e, below])


@compiled
def _places(transforms: Tensor, *, side: int) -> tuple[Tensor, Tensor]:
    """[n, s, s] each: the position of the pixel's upper left source in all pixels, and where within it."""
    steps = tf.range(side, dtype=tf.float32)
    a, b, c, d, e, f = tf.unstack(transforms[:, :, None, None])
    across = _in_parts(a * steps + b * steps[:, None] + c, side)
    down = _in_parts(d * steps + e * steps[:, None] + f, side)
    first = tf.range(tf.shape(transforms)[1])[:, None, None] * (side * side)
    within = tf.cast(across % PARTS * PARTS + down % PARTS, tf.uint8)
    return first + down // PARTS * side + across // PARTS, within


def _in_parts(places: Tensor, side: int) -> Tensor:
    """Whole parts of a pixel, mirrored at the edges: side 8, -1.5 → 0.5 → 8 parts."""
    right = tf.maximum(places, -1 - places)
    inside = tf.clip_by_value(tf.minimum(right, 2 * side - 1 - right), 0.0, side - 1.0)
    return tf.cast(inside * PARTS + 0.5, tf.int32)


@compiled
def _pairs(pictures: Tensor) -> Tensor:
    """int64 [n·s·s]: each pixel's bytes, and those of the pixel after it.

    At a row's end that is the next row's first, which no blend gives any weight.
    """
    red, green, blue = tf.unstack(tf.cast(tf.reshape(pictures, [-1, 3]), tf.int64), axis=1)
    pixels = red + green * (1 << CHANNELS[1]) + blue * (1 << CHANNELS[2])
    return pixels + tf.concat([pixels[1:], pixels[:1]], axis=0) * (1 << NEXT)


@compiled
def _looked_up(pairs: Tensor, places: Tensor, *, side: int) -> tuple[Tensor, Tensor]:
    """The pairs at the places and a row below; below the last row is nothing, and has no weight."""
    last = tf.size(pairs) - 1
    return tf.gather(pairs, places), tf.gather(pairs, tf.minimum(places + side, last))


def _light(drawn: Tensor, values: Augmentation) -> tuple[Tensor, Tensor]:
    """Contrast and brightness as one product and one sum a picture, from bytes to inputs."""
    contrast = 1 + (drawn[:, 5] * 2 - 1) * values.contrast
    brightness = (drawn[:, 6] * 2 - 1) * values.brightness
    return contrast / MIDDLE, brightness - contrast


@compiled
def _blended(upper: Tensor, lower: Tensor, within: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """float32 [n, s, s, 3] in [-1, 1]: bilinear between four pixels, lit."""
    across, down = (
        tf.cast(part, tf.float32)[..., None] / PARTS for part in (within // PARTS, within % PARTS)
    )
    above, below = (_between(_bytes(row, 0), _bytes(row, NEXT), across) for row in (upper, lower))
    lit = _between(above, below, down) * factor[:, None, None, None] + offset[:, None, None, None]
    return tf.clip_by_value(lit, -1.0, 1.0)


def _bytes(pairs: Tensor, bits: int) -> Tensor:
    """Red, green and blue of the pixel that begins at the bit."""
    shifts = tf.constant([bits + channel for channel in CHANNELS], tf.int64)
    return tf.cast(tf.bitwise.bitwise_and(tf.bitwise.right_shift(pairs[..., None], shifts), 255), tf.float32)


def _between(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    return first + (second - first) * share


@compiled
def _with_mirror(rows: Tensor, share: Tensor) -> Tensor:
    wide = tf.reshape(share, [-1] + [1] * (rows.shape.rank - 1))
    return _between(tf.reverse(rows, [0]), rows, wide)
