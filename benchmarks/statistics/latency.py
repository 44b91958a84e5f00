"""Latency statistics of raw rounds: order statistics, intervals, drift, and the speed-up of two models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dermpack.metrics.intervals import Interval, percentile_interval

RESAMPLES = 1_000
LEAST_BLOCKS = 10  # with fewer, the variation between blocks is unknown
BLOCKS = 25  # for rounds that were measured in few turns, or in one
STUDENT = 1.21  # (z² + 1) / 4 at z = 1.96: the first term of Student's t over the normal distribution
MOST_STEPS = 4096  # of the rounds' distribution; with more rounds, the median is found to 1/4096 of them
UNLIKELY_P = 0.01
LEAST_CHANGE = 0.03  # between the first third and the last one; less is not reported
LEAST_SPREAD = 0.25  # between slow blocks and fast ones

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How the medians of consecutive blocks of rounds differ."""

    change: float  # of the last third against the first: 0.1 is 10 % slower
    p_value: float  # of an equally ordered difference by chance
    spread: float  # the 90th percentile by the 10th, minus 1

    @property
    def is_told(self) -> bool:
        """Whether the change is large and significant enough to be reported."""
        return abs(self.change) >= LEAST_CHANGE and self.p_value < UNLIKELY_P

    @property
    def worst(self) -> float:
        """The largest deviation: 0.5 is 50 % longer."""
        return max(self.spread, self.change, 1 / (1 + self.change) - 1)

    @property
    def sentence(self) -> str | None:
        """A warning for the reader, or None if the rounds were steady."""
        if self.is_told and self.change > 0:
            return (
                f"the end took {_longer_text(self.change)} the beginning: "
                "the processor was throttled, or another program started"
            )
        if self.is_told:
            slower = _longer_text(1 / (1 + self.change) - 1)
            return f"the beginning took {slower} the end: another program may have ended"
        if self.spread >= LEAST_SPREAD:
            slower = _longer_text(self.spread)
            return f"unsteady: slow blocks took {slower} fast ones; another program was running"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One model under one setting; everything except the number of rounds is in milliseconds."""

    rounds: int
    min_ms: float
    p5_ms: float
    median_ms: float
    median_ci95_ms: Interval | None  # None: too few rounds
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    mean_ms: float
    deviation_ms: float
    drift: Drift | None  # None: too few rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedMedians:
    """The first model's median by the second one's: 2 means that the second is twice as fast."""

    times_as_fast: float
    ci95: Interval | None  # None: too few rounds

    @property
    def is_told(self) -> bool:
        """Whether the difference is significant: the interval excludes 1."""
        return self.ci95 is not None and not self.ci95[0] <= 1 <= self.ci95[1]


def summarize_rounds(rounds_ms: Sequence[float], *, turns: int = 1, seed: int = 0) -> Latency:
    """Summarise rounds in chronological order, measured in this many equal turns."""
    values = np.asarray(rounds_ms, dtype=np.float64)
    p5, p50, p90, p95, p99 = np.percentile(values, (5, 50, 90, 95, 99)).tolist()
    blocks = split_blocks(values, count_blocks(turns, len(values)))
    ci95 = drift = None
    # With too few blocks neither the interval nor the drift can be estimated.
    if len(blocks) >= LEAST_BLOCKS:
        ci95 = percentile_interval(drawn_medians(blocks, draw_blocks(len(blocks), seed=seed)))
        drift = measure_drift([float(np.median(block)) for block in blocks])
    return Latency(
        rounds=len(values),
        min_ms=float(values.min()),
        p5_ms=p5,
        median_ms=p50,
        median_ci95_ms=widen_interval(ci95, p50, blocks=len(blocks)),
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=float(values.max()),
        mean_ms=float(values.mean()),
        deviation_ms=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        drift=drift,
    )


def compare_medians(
    first_ms: Sequence[float], second_ms: Sequence[float], *, turns: int = 1, seed: int = 0
) -> PairedMedians:
    """Compare two models that took turns: a turn is drawn, or left out, for both of them."""
    first, second = np.asarray(first_ms, np.float64), np.asarray(second_ms, np.float64)
    ratio = float(np.median(first) / np.median(second))
    blocks = count_blocks(turns, len(first), len(second))
    ci95 = None
    if blocks >= LEAST_BLOCKS:
        draws = draw_blocks(blocks, seed=seed)
        # The same draws for both models: what disturbed a turn disturbed both.
        drawn = [drawn_medians(split_blocks(values, blocks), draws) for values in (first, second)]
        ci95 = percentile_interval(drawn[0] / drawn[1])
    return PairedMedians(times_as_fast=ratio, ci95=widen_interval(ci95, ratio, blocks=blocks))


def split_blocks(values: Floats, blocks: int) -> list[Floats]:
    """Split rounds into blocks that are drawn as one: neighbouring rounds are not independent."""
    return np.array_split(values, blocks)


def count_blocks(turns: int, *rounds: int) -> int:
    """Return the number of blocks: the turns if there are enough, else a fixed number."""
    return turns if turns >= LEAST_BLOCKS else min(BLOCKS, *rounds)


def draw_blocks(blocks: int, *, seed: int) -> Floats:
    """Return how often each block is drawn, [resamples, blocks]."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=RESAMPLES).astype(np.float64)


def drawn_medians(blocks: Sequence[Floats], draws: Floats) -> Floats:
    """Return the median of all rounds in every draw: the smallest value that half of them do not exceed."""
    values = np.sort(np.concatenate(blocks))
    steps = values[np.linspace(0, len(values) - 1, min(MOST_STEPS, len(values))).round().astype(int)]
    # The rounds of each block up to each step; a draw adds these counts up, without copying rounds.
    below = np.stack([np.sort(block).searchsorted(steps, side="right") for block in blocks])
    half = draws @ np.array([len(block) for block in blocks]) / 2
    return np.asarray(steps[(draws @ below >= half[:, None]).argmax(axis=1)])


def widen_interval(ci95: Interval | None, middle: float, *, blocks: int) -> Interval | None:
    """Widen a bootstrap interval of few blocks as Student's t does: by 7 % each way for 25 blocks."""
    if ci95 is None:
        return None
    factor = (1 + STUDENT / (blocks - 1)) * sqrt(blocks / (blocks - 1))
    low, high = (middle + (end - middle) * factor for end in ci95)
    return max(low, 0.0), high


def measure_drift(medians_ms: Sequence[float]) -> Drift:
    """Return the drift of the medians of consecutive blocks, at least six."""
    values = np.asarray(medians_ms, dtype=np.float64)
    # The middle third is left out: a change in it belongs to neither end.
    third = len(values) // 3
    first, last = values[:third], values[-third:]
    low, high = np.percentile(values, (10, 90)).tolist()
    return Drift(
        change=float(np.median(last) / np.median(first) - 1),
        p_value=rank_sum_p(first.tolist(), last.tolist()),
        spread=high / low - 1,
    )


def rank_sum_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the two-sided p-value of the Mann-Whitney test: eight all below eight others → 0.0009."""
    both = np.asarray([*first, *second], dtype=np.float64)
    n, m = len(first), len(second)
    # Equal values share the mean of their ranks.
    _, codes, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[codes]
    above = float(ranks[n:].sum()) - m * (m + 1) / 2
    # Normal approximation, with the variance corrected for ties.
    ties = float((counts.astype(np.float64) ** 3 - counts).sum())
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 1.0
    distance = max(abs(above - n * m / 2) - 0.5, 0.0)  # continuity correction: counts are whole
    return erfc(distance / sqrt(variance) / sqrt(2))


def _longer_text(increase: float) -> str:
    """0.25 → "25 % longer than"; 2.1 → "3.1 times as long as"."""
    return f"{increase * 100:.0f} % longer than" if increase < 1 else f"{increase + 1:.2g} times as long as"
