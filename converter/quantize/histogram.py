"""Count the values of tensors whose reach is not known yet: each bin is a share of its own value wide."""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Counts = NDArray[np.uint32]  # [..., BINS]
MANTISSA_BITS = 5  # a bin is 1/32 of an octave wide
LEAST_EXPONENT, OCTAVES = -32, 64  # below 2^-32 is 0, beyond 2^32 is as much as that
SIDE = OCTAVES << MANTISSA_BITS  # bins of one sign
BINS = 2 * SIDE
DROPPED_BITS = 23 - MANTISSA_BITS
FIRST = (127 + LEAST_EXPONENT) << MANTISSA_BITS
MAGNITUDE = 0x7FFFFFFF  # of a float32 without its sign
MOST = 1 << 15  # values of a tensor that are counted for one picture


def count(values: Array, *, start: int) -> Counts:
    """How many of the values lie in each bin, the lowest first; of a large tensor every n-th is looked at.

    `start` moves which ones those are; every channel, the last axis, has its share of them.
    """
    flat = values.reshape(-1)
    stride = _stride(flat.size, values.shape[-1])
    return _count(np.ascontiguousarray(flat[start % stride :: stride]))


def edges() -> NDArray[np.float64]:
    """[BINS + 1], ascending; bin i lies between edge i and edge i + 1."""
    bits = (np.arange(SIDE + 1, dtype=np.int64) + FIRST).astype(np.int32) << DROPPED_BITS
    upper = bits.view(np.float32).astype(np.float64)
    upper[0] = 0.0
    return np.concatenate([-upper[:0:-1], upper])


def _stride(size: int, channels: int) -> int:
    stride = max(1, -(-size // MOST))
    while gcd(stride, channels) > 1:
        stride += 1
    return stride


def _count(values: Array) -> Counts:
    """A float's bits without the last ones are its bin: magnitudes have the order of their bits."""
    bits = values.view(np.int32)
    magnitudes = np.clip(((bits & MAGNITUDE) >> DROPPED_BITS) - FIRST, 0, SIDE - 1)
    bins = np.where(bits < 0, SIDE - 1 - magnitudes, SIDE + magnitudes)
    return np.bincount(bins, minlength=BINS).astype(np.uint32)
