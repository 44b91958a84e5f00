"""Choose the range of each tensor: everything that was measured, or less of it for finer steps.

Values are counted in a histogram whose bins are a fixed share of an octave wide, so the reach of a tensor
need not be known before its values are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import gcd

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Counts = NDArray[np.uint32]  # [..., BINS]
Limits = tuple[float, float]

# The histogram.
MANTISSA_BITS = 5  # a bin is 1/32 of an octave wide
LEAST_EXPONENT, OCTAVES = -32, 64  # a magnitude below 2^-32 counts as 0, one above 2^32 as 2^32
SIDE = OCTAVES << MANTISSA_BITS  # bins of one sign
BINS = 2 * SIDE
DROPPED_BITS = 23 - MANTISSA_BITS
FIRST = (127 + LEAST_EXPONENT) << MANTISSA_BITS
MAGNITUDE = 0x7FFFFFFF  # of a float32 without its sign
MAX_VALUES = 1 << 15  # of a tensor that are counted for one picture

# The choice.
PERCENTILE_SHARE = 0.999  # of the values; half of the others is cut off at each end
STEPS = 255  # of 8 bits
NARROWED = 2.0 ** (-np.arange(64) / 8)  # the tried positions of an end: from all of it to 1/235
ROUNDS = 2  # over both ends


def bin_edges() -> Floats:
    """Return the [BINS + 1] edges in ascending order; bin i lies between edge i and edge i + 1."""
    bits = (np.arange(SIDE + 1, dtype=np.int64) + FIRST).astype(np.int32) << DROPPED_BITS
    upper = bits.view(np.float32).astype(np.float64)
    upper[0] = 0.0
    return np.concatenate([-upper[:0:-1], upper])


EDGES = bin_edges()


class Clipping(Enum):
    """How much of the measured values a range contains."""

    MINMAX = "minmax"  # everything
    PERCENTILE = "percentile"  # 99.9 %
    MSE = "mse"  # as much as minimises the mean squared error of 8 bits

    @property
    def needs_counts(self) -> bool:
        """Whether the choice needs a histogram of the values."""
        return self is not Clipping.MINMAX

    @property
    def described(self) -> str:
        """The name in a contract: "percentile 99.9"."""
        return f"{self.value} {100 * PERCENTILE_SHARE:g}" if self is Clipping.PERCENTILE else self.value


def count_values(values: Array, *, start: int) -> Counts:
    """Return how many values lie in each bin; a large tensor is sampled at every n-th value.

    `start` shifts the sample. The stride shares no factor with the number of channels (the last axis), so
    all channels are sampled equally.
    """
    flat = values.reshape(-1)
    stride = max(1, -(-flat.size // MAX_VALUES))
    while gcd(stride, values.shape[-1]) > 1:
        stride += 1
    sample = np.ascontiguousarray(flat[start % stride :: stride])
    # The leading bits of a float are its bin: magnitudes and their bits have the same order.
    bits = sample.view(np.int32)
    magnitudes = np.clip(((bits & MAGNITUDE) >> DROPPED_BITS) - FIRST, 0, SIDE - 1)
    bins = np.where(bits < 0, SIDE - 1 - magnitudes, SIDE + magnitudes)
    return np.bincount(bins, minlength=BINS).astype(np.uint32)


def clip(reached: Array, counts: Counts, clipping: Clipping) -> Array:
    """Return ranges [tensors, 2] within those that were reached; a tensor without counts keeps its own."""
    if not clipping.needs_counts:
        return reached
    choose = clip_by_percentile if clipping is Clipping.PERCENTILE else clip_by_mse
    chosen = [
        choose(tensor_counts, (float(low), float(high))) if tensor_counts.any() else (low, high)
        for tensor_counts, (low, high) in zip(counts, reached, strict=True)
    ]
    return np.array(chosen, np.float32)


def clip_by_percentile(counts: Counts, reached: Limits) -> Limits:
    """Return the range that contains PERCENTILE_SHARE of the values, and 0, which int8 must represent."""
    cut = (1 - PERCENTILE_SHARE) / 2
    cumulative = counts.cumsum(dtype=np.float64)
    ends = []
    for share in (cut, 1 - cut):
        # Interpolate within the bin, as if its values were spread evenly.
        wanted = share * cumulative[-1]
        index = int(np.searchsorted(cumulative, wanted))
        part = 1 - (cumulative[index] - wanted) / counts[index]
        ends.append(float(EDGES[index] + part * (EDGES[index + 1] - EDGES[index])))
    return _limit_to((ends[0], ends[1]), reached)


def clip_by_mse(counts: Counts, reached: Limits) -> Limits:
    """Return the range with the least squared error: cutting values off costs, finer steps gain.

    The two ends are optimised in turn over a fixed grid, because each changes the step of the other.
    """
    histogram = _summarise(counts)
    low, high = min(reached[0], 0.0), max(reached[1], 0.0)
    for _ in range(ROUNDS):
        highs = max(reached[1], 0.0) * NARROWED
        high = float(highs[_squared_errors(histogram, np.full_like(highs, low), highs).argmin()])
        lows = min(reached[0], 0.0) * NARROWED
        low = float(lows[_squared_errors(histogram, lows, np.full_like(lows, high)).argmin()])
    return _limit_to((low, high), reached)


def _limit_to(limits: Limits, reached: Limits) -> Limits:
    """Return limits that contain 0 and are within the measured range; that range if they would be empty."""
    low, high = max(min(limits[0], 0.0), reached[0]), min(max(limits[1], 0.0), reached[1])
    return (low, high) if low < high else reached


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenValues:
    """Values in ascending order, with cumulative sums: of their number, of themselves, of their squares."""

    values: Floats
    sums: Floats  # [3, values + 1]

    def sums_between(self, lows: Floats, highs: Floats) -> Floats:
        """Return the three sums over the values from each low to each high: [3, ranges]."""
        first, last = (np.searchsorted(self.values, ends) for ends in (lows, highs))
        return np.asarray(self.sums[:, last] - self.sums[:, first])


def _summarise(counts: Counts) -> SeenValues:
    """Represent each bin that has values by its middle; the two bins next to 0 are 0."""
    bins = np.flatnonzero(counts)
    lower, upper = EDGES[bins], EDGES[bins + 1]
    values = np.where((lower == 0) | (upper == 0), 0.0, (lower + upper) / 2)
    powers = np.stack([np.ones_like(values), values, np.square(values)]) * counts[bins]
    return SeenValues(values=values, sums=np.concatenate([np.zeros((3, 1)), powers.cumsum(axis=1)], axis=1))


def _squared_errors(histogram: SeenValues, lows: Floats, highs: Floats) -> Floats:
    """Return the sum of squared errors of each range."""
    steps = (highs - lows) / STEPS
    infinity = np.full_like(lows, np.inf)
    # A value beyond an end becomes that end: its error is the distance.
    clipped = _squares_around(histogram.sums_between(-infinity, lows), lows)
    clipped = clipped + _squares_around(histogram.sums_between(highs, infinity), highs)
    # A value within half a step of 0 becomes 0: its error is the value itself.
    zeroed = histogram.sums_between(np.maximum(lows, -steps / 2), np.minimum(highs, steps / 2))
    # All others are rounded to the nearest step: 1/12 of a squared step on average.
    rounded = histogram.sums_between(lows, highs)[0] - zeroed[0]
    return np.asarray(clipped + zeroed[2] + rounded * np.square(steps) / 12)


def _squares_around(sums: Floats, middles: Floats) -> Floats:
    """Return sums of squared distances: Σ(x - m)² = Σx² - 2m·Σx + m²·n."""
    return np.asarray(sums[2] - 2 * middles * sums[1] + np.square(middles) * sums[0])
