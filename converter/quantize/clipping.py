"""Choose the range of each tensor: all that was measured, or less of it for finer steps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from converter.quantize.histogram import edges

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Limits = tuple[float, float]
HELD = 0.999  # of the values, by "percentile": half of the others is cut at each end
STEPS = 255  # of 8 bits
NARROWED = 2.0 ** (-np.arange(64) / 8)  # what is tried of an end: from all to a 235th
ROUNDS = 2  # of both ends in turn
EDGES = edges()


class Clipping(Enum):
    """How much of what was measured a range holds."""

    MINMAX = "minmax"  # everything
    PERCENTILE = "percentile"  # all values but a few
    MSE = "mse"  # as much as makes the mean square error of 8 bits least

    @property
    def counts(self) -> bool:
        """Whether it must know how often which values were seen."""
        return self is not Clipping.MINMAX

    @property
    def described(self) -> str:
        """As a contract names it."""
        return f"{self.value} {100 * HELD:g}" if self is Clipping.PERCENTILE else self.value


def clip(reached: Array, counts: NDArray[np.uint32], clipping: Clipping) -> Array:
    """[tensors, 2]: ranges within those that were reached; a tensor without counts keeps its own."""
    if not clipping.counts:
        return reached
    choose = by_percentile if clipping is Clipping.PERCENTILE else by_mse
    chosen = [
        choose(of, (float(low), float(high))) if of.any() else (low, high)
        for of, (low, high) in zip(counts, reached, strict=True)
    ]
    return np.array(chosen, np.float32)


def by_percentile(counts: NDArray[np.uint32], reached: Limits) -> Limits:
    """Where the cut shares of the values begin, and 0: integers must hold it."""
    cut = (1 - HELD) / 2
    low, high = (_quantile(counts, share) for share in (cut, 1 - cut))
    return _within((low, high), reached)


def by_mse(counts: NDArray[np.uint32], reached: Limits) -> Limits:
    """Each end is narrowed in turn, as long as what is cut off costs less than finer steps gain."""
    seen = _seen(counts)
    low, high = min(reached[0], 0.0), max(reached[1], 0.0)
    for _ in range(ROUNDS):
        highs = max(reached[1], 0.0) * NARROWED
        high = float(highs[_costs(seen, np.full_like(highs, low), highs).argmin()])
        lows = min(reached[0], 0.0) * NARROWED
        low = float(lows[_costs(seen, lows, np.full_like(lows, high)).argmin()])
    return _within((low, high), reached)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenValues:
    """Values, ascending, and the sums below each of them: of how many, of themselves, of their squares."""

    values: Floats
    sums: Floats  # [3, values + 1]

    def between(self, lows: Floats, highs: Floats) -> Floats:
        """The three sums of the values from each low to each high: [3, ranges]."""
        first, last = (np.searchsorted(self.values, ends) for ends in (lows, highs))
        return np.asarray(self.sums[:, last] - self.sums[:, first])


def _seen(counts: NDArray[np.uint32]) -> SeenValues:
    """The middles of the bins that hold anything; those beside 0 are 0."""
    at = np.flatnonzero(counts)
    values = np.where((EDGES[at] == 0) | (EDGES[at + 1] == 0), 0.0, (EDGES[at] + EDGES[at + 1]) / 2)
    powers = np.stack([np.ones_like(values), values, np.square(values)]) * counts[at]
    return SeenValues(values=values, sums=np.concatenate([np.zeros((3, 1)), powers.cumsum(axis=1)], axis=1))


def _costs(seen: SeenValues, lows: Floats, highs: Floats) -> Floats:
    """The sum of squared errors that each range costs.

    What is cut off is off by its distance, what rounds to 0 by itself, the rest by 1/12 of a squared step.
    """
    steps = (highs - lows) / STEPS
    bottoms, tops = np.maximum(lows, -steps / 2), np.minimum(highs, steps / 2)
    ends = np.full_like(lows, np.inf)
    cut = _around(seen.between(-ends, lows), lows) + _around(seen.between(highs, ends), highs)
    lost = seen.between(bottoms, tops)
    rounded = seen.between(lows, highs)[0] - lost[0]
    return np.asarray(cut + lost[2] + rounded * np.square(steps) / 12)


def _around(sums: Floats, middles: Floats) -> Floats:
    """Sums of squared distances: Σ(x - m)² = Σx² - 2m·Σx + m²·n."""
    return np.asarray(sums[2] - 2 * middles * sums[1] + np.square(middles) * sums[0])


def _quantile(counts: NDArray[np.uint32], share: float) -> float:
    """The value that such a share of all is below, as if each bin were evenly filled."""
    cumulative = counts.cumsum(dtype=np.float64)
    wanted = share * cumulative[-1]
    at = int(np.searchsorted(cumulative, wanted))
    part = 1 - (cumulative[at] - wanted) / counts[at]
    return float(EDGES[at] + part * (EDGES[at + 1] - EDGES[at]))


def _within(limits: Limits, reached: Limits) -> Limits:
    """Never wider than what was reached, and with 0 in it; all of it where nothing would be left."""
    low, high = max(min(limits[0], 0.0), reached[0]), min(max(limits[1], 0.0), reached[1])
    return (low, high) if low < high else reached
