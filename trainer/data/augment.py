"""Augment a batch of training pictures; a seed decides every change.

Augmentation runs on the same processor as the training step, so it consists of a few compiled passes: the
source position of each pixel, pairs of neighbouring pixels, their lookup, and an interpolation that also
changes brightness and contrast. The lookup is a pass of its own, because XLA vectorizes everything but it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import tensorflow as tf

from dermpack.inference.metadata_rows import EncodedMetadata, column_slices
from dermpack.synthetic.marks import draw_marks
from trainer.distributed.cluster import WHOLE, Shard
from trainer.recipe.augmentation import Augmentation

Tensor = Any  # TensorFlow ships no types
MIDDLE = 127.5  # of a byte; the network's inputs are in [-1, 1]
DRAWS = 8  # random numbers per picture
PARTS = 16  # positions are rounded to a sixteenth of a pixel
NEXT = 32  # bits from a pixel to its right neighbour in a pair
CHANNELS = (0, 8, 16)  # bits from the start of a pixel to its red, green and blue
OPERATIONS = 6  # five colour operations, and none
BLUR_PX = 3
WARMTH = 0.3  # of half the value range, at the full magnitude
MARKS, MARK_SEED = 96, 71_993  # of a bank that all pictures draw from; `evaluate --mark` has other seeds
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
    inputs = _interpolate(upper, lower, fractions, contrast / MIDDLE, brightness - contrast)
    # Further draws have seeds of their own, so that an option does not change the draws of the others.
    if values.operations:
        shape = [n, 2 * values.operations]
        draws = tf.random.stateless_uniform(shape, _stream(seed, 1))
        draws = _select_shard(draws, pictures, shard, axis=0)
        inputs = apply_operations(inputs, draws, magnitude=values.magnitude)
    if values.marks:
        draws = tf.random.stateless_uniform([n, 2], _stream(seed, 2))
        inputs = _add_marks(inputs, _select_shard(draws, pictures, shard, axis=0), share=values.marks)
    return inputs


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


def cut_mix(
    inputs: Tensor, targets: Tensor, alpha: float, *, seed: Tensor, shard: Shard = WHOLE
) -> tuple[Tensor, Tensor]:
    """Return each picture with a rectangle of its mirror in the batch, and the targets by their areas.

    The rectangle has the proportions of the picture and covers at most half of it; its share is drawn from
    Beta(alpha, alpha), and its place evenly. The inputs are pictures, or pictures and rows of metadata.
    """
    pixels, *known = tf.nest.flatten(inputs)
    side, n = pixels.shape[1], tf.shape(targets)[0] * shard.count
    gammas = _select_shard(tf.random.stateless_gamma([2, n], seed, alpha), targets, shard, axis=1)
    places = tf.random.stateless_uniform([2, n], _stream(seed, 3))
    places = _select_shard(places, targets, shard, axis=1)
    share = gammas[0] / tf.maximum(gammas[0] + gammas[1], 1e-12)
    length = tf.round(tf.sqrt(tf.minimum(share, 1 - share)) * side)
    first = tf.floor(places * (side - length + 1))
    steps = tf.range(side, dtype=tf.float32)
    down, across = (
        (steps >= start[:, None]) & (steps < (start + length)[:, None]) for start in tf.unstack(first)
    )
    inside = (down[:, :, None] & across[:, None, :])[..., None]
    mixed = tf.where(inside, tf.reverse(pixels, [0]), pixels)
    own = 1 - tf.square(length / side)  # the share of the pixels that are left
    return (mixed, *known) if known else mixed, _blend_with_mirror(targets, own)


def apply_operations(inputs: Tensor, draws: Tensor, *, magnitude: float) -> Tensor:
    """Return pictures in [-1, 1] after random colour operations; `draws` are [n, 2 · operations] in [0, 1).

    A pair of draws chooses an operation and its strength, as in RandAugment (Cubuk et al. 2020): saturation,
    white balance, gamma, fewer levels, blur or sharpness, or none. Geometry has keys of its own.
    """
    for column in range(0, draws.shape[1], 2):
        chosen = tf.cast(draws[:, column] * OPERATIONS, tf.int32)[:, None, None, None]
        strength = ((draws[:, column + 1] * 2 - 1) * magnitude)[:, None, None, None]
        grey = tf.reduce_mean(inputs, axis=3, keepdims=True)
        blurred = tf.nn.avg_pool2d(inputs, BLUR_PX, 1, "SAME")
        levels = 2.0 ** (6 - 4 * tf.abs(strength))
        changed = (
            grey + (inputs - grey) * (1 + strength),
            inputs + strength * tf.constant([WARMTH, 0.0, -WARMTH]),
            2 * ((inputs + 1) / 2) ** (2.0**strength) - 1,
            tf.round(inputs * levels) / levels,
            inputs + (inputs - blurred) * strength,
        )
        for index, pictures in enumerate(changed):
            inputs = tf.where(chosen == index, tf.clip_by_value(pictures, -1.0, 1.0), inputs)
    return inputs


@lru_cache(maxsize=4)
def _mark_bank(side: int) -> Any:
    """Return marks as [count, side, side, 2]: the brightness as an input, and the opacity from 0 to 1."""
    marks = draw_marks(side, count=MARKS, seed=MARK_SEED).astype(np.float32)
    return np.stack([marks[..., 0] / MIDDLE - 1, marks[..., 1] / 255], axis=3)


def _add_marks(inputs: Tensor, draws: Tensor, *, share: float) -> Tensor:
    """Return this share of the pictures with one of the marks over them; the label has no part in it."""
    bank = tf.constant(_mark_bank(inputs.shape[1]))
    marks = tf.gather(bank, tf.cast(draws[:, 0] * MARKS, tf.int32))
    is_marked = tf.cast(draws[:, 1] < share, tf.float32)[:, None, None, None]
    return inputs + (marks[..., :1] - inputs) * marks[..., 1:] * is_marked


def make_dropper(
    metadata: EncodedMetadata, *, share: float, shard: Shard
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function (rows of metadata, seed) → rows with blanked fields; the seed is two integers.

    An app may leave any field blank, or all of them, and a network that has never seen a blank field would
    give arbitrary answers then: each field, and the whole row, is blanked with the same probability.
    """
    slices = column_slices(metadata.columns)
    # The column of each slot, so that all slots of a field are blanked together.
    owners = np.concatenate([np.full(slots.stop - slots.start, i) for i, slots in enumerate(slices.values())])
    blank, fields = tf.constant(metadata.blank), len(slices)

    def drop(rows: Tensor, seed: Tensor) -> Tensor:
        # Numbers are drawn for the whole batch, so that a row gets the same ones on any number of workers.
        n = rows.shape[0] * shard.count
        draws = tf.random.stateless_uniform([n, fields + 1], seed)
        if shard.count > 1:
            draws = tf.gather(draws, shard.rows(n))
        is_dropped = (draws[:, :fields] < share) | (draws[:, fields:] < share)
        return tf.where(tf.gather(is_dropped, owners, axis=1), blank, rows)

    return drop


def _stream(seed: Tensor, number: int) -> Tensor:
    """Return the seed of another random stream for a batch: that of a step which no training reaches."""
    return tf.cast(seed, tf.int64) + tf.constant([number << 48, 0], tf.int64)


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
