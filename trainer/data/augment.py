"""Augment a batch of training pictures; a seed decides every change.

Augmentation runs on the same processor as the training step, so it consists of a few compiled passes: the
source position of each pixel, pairs of neighbouring pixels, their lookup, and an interpolation that also
changes brightness and contrast. The lookup is a pass of its own, because XLA vectorizes everything but it.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import tensorflow as tf

from trainer.distributed.cluster import WHOLE, Shard
from trainer.recipe.augmentation import Augmentation

Tensor = Any  # TensorFlow ships no types
MIDDLE = 127.5  # of a byte; the network's inputs are in [-1, 1]
DRAWS = 8  # random numbers per picture
PARTS = 16  # positions are rounded to a sixteenth of a pixel
NEXT = 32  # bits from a pixel to its right neighbour in a pair
CHANNELS = (0, 8, 16)  # bits from the start of a pixel to its red, green and blue
compiled = partial(tf.function, jit_compile=True, autograph=False)


def to_inputs(rows: Tensor) -> Tensor:
    """Return bytes as float32 in [-1, 1], features as float32."""
    values = tf.cast(rows, tf.float32)
    return values / MIDDLE - 1 if rows.dtype == tf.uint8 else values


def augment_batch(pictures: Tensor, values: Augmentation, *, seed: Tensor, shard: Shard = WHOLE) -> Tensor:
    """Return uint8 pictures [n, s, s, 3] augmented, as float32 inputs; `seed` is two integers.

    A picture in a shard of a batch is changed as it would be in the whole batch.
    """
    # Numbers are drawn for the whole batch, so that a picture gets the same ones on any number of workers.
    n = tf.shape(pictures)[0] * shard.count
    draws = _select_shard(tf.random.stateless_uniform([n, DRAWS], seed), pictures, shard, axis=0)
    side = pictures.shape[1]
    positions, fractions = _find_sources(_transforms(draws, values, side), side=side)
    upper, lower = _look_up(_pair_pixels(pictures), positions, side=side)
    # Contrast and brightness become a factor and an offset per picture, from bytes to inputs.
    contrast = 1 + (draws[:, 5] * 2 - 1) * values.contrast
    brightness = (draws[:, 6] * 2 - 1) * values.brightness
    return _interpolate(upper, lower, fractions, contrast / MIDDLE, brightness - contrast)


def mix_up(
    inputs: Tensor, targets: Tensor, alpha: float, *, seed: Tensor, shard: Shard = WHOLE
) -> tuple[Tensor, Tensor]:
    """Return each example blended with its mirror in the batch, by a share from Beta(alpha, alpha).

    The inputs are one tensor, or several with the same rows.
    """
    n = tf.shape(targets)[0] * shard.count
    # TensorFlow has no stateless beta distribution, but the share of a gamma in the sum of two has it.
    gammas = _select_shard(tf.random.stateless_gamma([2, n], seed, alpha), targets, shard, axis=1)
    share = gammas[0] / tf.maximum(gammas[0] + gammas[1], 1e-12)
    share = tf.maximum(share, 1 - share)  # an example's own content stays the larger part
    mixed = tf.nest.map_structure(lambda rows: _blend_with_mirror(rows, share), inputs)
    return mixed, _blend_with_mirror(targets, share)


def _select_shard(draws: Tensor, rows: Tensor, shard: Shard, *, axis: int) -> Tensor:
    """Return the draws for the rows of the shard out of those for the whole batch."""
    if shard.count == 1:
        return draws
    return tf.gather(draws, shard.rows(rows.shape[0] * shard.count), axis=axis)


def _transforms(draws: Tensor, values: Augmentation, side: int) -> Tensor:
    """Return [6, n]: output pixel x, y is read from a·x + b·y + c, d·x + e·y + f."""
    signed = draws * 2 - 1  # [-1, 1)
    angle = signed[:, 0] * (values.rotation_degrees * math.pi / 180)
    scale = 1 - values.zoom_in + draws[:, 1] * (values.zoom_in + values.zoom_out)
    mirror = tf.where(signed[:, 2] < 0, -1.0, 1.0) if values.flips else tf.ones_like(angle)
    across, down = (signed[:, column] * values.shift * side for column in (3, 4))
    middle = (side - 1) / 2
    # A rotation and scaling about the middle, with the first axis mirrored, then a shift.
    a, b = tf.cos(angle) * scale * mirror, -tf.sin(angle) * scale
    d, e = tf.sin(angle) * scale * mirror, tf.cos(angle) * scale
    right, below = middle + across - (a + b) * middle, middle + down - (d + e) * middle
    return tf.stack([a, b, right, d, e, below])


@compiled
def _find_sources(transforms: Tensor, *, side: int) -> tuple[Tensor, Tensor]:
    """Return for each output pixel [n, s, s] its upper left source pixel, and the fraction within that pixel.

    A source is an index into the pixels of all pictures; both fractions are packed into one byte.
    """
    steps = tf.range(side, dtype=tf.float32)
    a, b, c, d, e, f = tf.unstack(transforms[:, :, None, None])
    across = _round_to_parts(a * steps + b * steps[:, None] + c, side)
    down = _round_to_parts(d * steps + e * steps[:, None] + f, side)
    first = tf.range(tf.shape(transforms)[1])[:, None, None] * (side * side)
    # Sixteenths need four bits each: both fractions fit into one byte.
    fractions = tf.cast(across % PARTS * PARTS + down % PARTS, tf.uint8)
    return first + down // PARTS * side + across // PARTS, fractions


def _round_to_parts(positions: Tensor, side: int) -> Tensor:
    """Return positions in parts of a pixel, mirrored at the edges: side 8, -1.5 → 0.5 → 8 parts."""
    # Mirror at the left edge, then at the right one; what is still outside after both is clipped.
    right = tf.maximum(positions, -1 - positions)
    inside = tf.clip_by_value(tf.minimum(right, 2 * side - 1 - right), 0.0, side - 1.0)
    return tf.cast(inside * PARTS + 0.5, tf.int32)


@compiled
def _pair_pixels(pictures: Tensor) -> Tensor:
    """Return int64 [n·s·s]: the bytes of each pixel and of the next one.

    At the end of a row the next pixel is the first of the next row, which has weight 0 in every
    interpolation.
    """
    # One int64 contains both pixels of a row that an interpolation needs, so one lookup returns both.
    red, green, blue = tf.unstack(tf.cast(tf.reshape(pictures, [-1, 3]), tf.int64), axis=1)
    pixels = red + green * (1 << CHANNELS[1]) + blue * (1 << CHANNELS[2])
    return pixels + tf.concat([pixels[1:], pixels[:1]], axis=0) * (1 << NEXT)


@compiled
def _look_up(pairs: Tensor, positions: Tensor, *, side: int) -> tuple[Tensor, Tensor]:
    """Return the pairs at the positions and one row below; below the last row a pair has weight 0."""
    last = tf.size(pairs) - 1
    return tf.gather(pairs, positions), tf.gather(pairs, tf.minimum(positions + side, last))


@compiled
def _interpolate(upper: Tensor, lower: Tensor, fractions: Tensor, factor: Tensor, offset: Tensor) -> Tensor:
    """Return float32 [n, s, s, 3] in [-1, 1]: bilinear between four pixels, with the light applied."""
    across, down = (
        tf.cast(part, tf.float32)[..., None] / PARTS for part in (fractions // PARTS, fractions % PARTS)
    )
    above, below = (_blend(_unpack(row, 0), _unpack(row, NEXT), across) for row in (upper, lower))
    lit = _blend(above, below, down) * factor[:, None, None, None] + offset[:, None, None, None]
    return tf.clip_by_value(lit, -1.0, 1.0)


def _unpack(pairs: Tensor, bits: int) -> Tensor:
    """Return red, green and blue of the pixel that begins at the bit."""
    shifts = tf.constant([bits + channel for channel in CHANNELS], tf.int64)
    return tf.cast(tf.bitwise.bitwise_and(tf.bitwise.right_shift(pairs[..., None], shifts), 255), tf.float32)


def _blend(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    return first + (second - first) * share


@compiled
def _blend_with_mirror(rows: Tensor, share: Tensor) -> Tensor:
    broadcast = tf.reshape(share, [-1] + [1] * (rows.shape.rank - 1))
    return _blend(tf.reverse(rows, [0]), rows, broadcast)
