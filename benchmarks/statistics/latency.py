"""Latency statistics of raw rounds: order statistics, intervals, drift, and the speed-up of two models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt
from statistics import median
from typing import Any

import numpy as np

from benchmarks.protocol.results import SummarizedModel, TimedModel, ToolPass
from dermpack.metrics.intervals import Interval, percentile_interval
from dermpack.metrics.predictions import Floats

DECIMALS = 4  # of a millisecond; clocks are not more precise
RESAMPLES = 1_000
LEAST_BLOCKS = 10  # with fewer, the variation between blocks is unknown
BLOCKS = 25  # for rounds that were measured in few turns, or in one
STUDENT = 1.21  # (z² + 1) / 4 at z = 1.96: the first term of Student's t over the normal distribution
MOST_STEPS = 4096  # of the rounds' distribution; with more rounds, the median is found to 1/4096 of them
UNLIKELY_P = 0.01
LEAST_CHANGE = 0.03  # between the first third and the last one; less is not reported
LEAST_SPREAD = 0.25  # between slow blocks and fast ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How the medians of consecutive blocks of rounds differ."""

    change: float  # of the last third against the first: 0.1 is 10 % slower
    p_value: float  # of an equally ordered difference by chance
    spread: float  # the 90th percentile by the 10th, minus 1

    @property
    def has_trend(self) -> bool:
        """Whether the change from the first to the last third is large and significant."""
        return abs(self.change) >= LEAST_CHANGE and self.p_value < UNLIKELY_P

    @property
    def worst(self) -> float:
        """The largest deviation: 0.5 is 50 % longer."""
        return max(self.spread, self.change, 1 / (1 + self.change) - 1)

    @property
    def sentence(self) -> str | None:
        """A warning for the reader, or None if the rounds were steady."""
        if self.has_trend and self.change > 0:
            return (
                f"the end took {_longer_text(self.change)} the beginning: "
                "the processor was throttled, or another program started"
            )
        if self.has_trend:
            slower = _longer_text(1 / (1 + self.change) - 1)
            return f"the beginning took {slower} the end: another program may have ended"
        if self.spread >= LEAST_SPREAD:
            slower = _longer_text(self.spread)
            return f"unsteady: slow blocks took {slower} fast ones; another program was running"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The times of one model under one setting; what a tool does not report is missing."""

    load_ms: float
    first_ms: float
    warm_up_rounds: int
    rounds: int
    min_ms: float
    max_ms: float
    mean_ms: float
    deviation_ms: float
    p5_ms: float | None = None
    median_ms: float | None = None
    median_ci95_ms: Interval | None = None  # None: too few rounds
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    drift: Drift | None = None  # None: too few rounds
    peak_bytes: int | None = None
    turns: int | None = None  # equal parts of the rounds, between which the other models ran
    rounds_ms: tuple[float, ...] | None = None  # in chronological order
    passes: tuple[ToolPass, ...] | None = None  # of a tool that does not report its rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedMedians:
    """The first model's median by the second one's: 2 means that the second is twice as fast."""

    times_as_fast: float
    ci95: Interval | None  # None: too few rounds

    @property
    def is_significant(self) -> bool:
        """Whether the interval excludes 1."""
        return self.ci95 is not None and not self.ci95[0] <= 1 <= self.ci95[1]


def summarize_rounds(timed: TimedModel, *, seed: int) -> Times:
    """Return the times of raw rounds."""
    # Rounded first: everything can be derived again from the rounds that are stored.
    values = np.array([round(round_ms, DECIMALS) for round_ms in timed.rounds_ms])
    p5, p50, p90, p95, p99 = np.percentile(values, (5, 50, 90, 95, 99)).tolist()
    blocks = count_blocks(timed.turns, len(values))
    drift = None
    if blocks >= LEAST_BLOCKS:
        drift = measure_drift([float(np.median(block)) for block in np.array_split(values, blocks)])
    return Times(
        load_ms=timed.load_ms,
        first_ms=timed.first_ms,
        warm_up_rounds=timed.warm_up_rounds,
        rounds=len(values),
        min_ms=float(values.min()),
        max_ms=float(values.max()),
        mean_ms=float(values.mean()),
        deviation_ms=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        p5_ms=p5,
        median_ms=p50,
        median_ci95_ms=block_interval(draw_medians(values, blocks, seed=seed), p50, blocks=blocks),
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        drift=drift,
        peak_bytes=timed.peak_bytes,
        turns=timed.turns,
        rounds_ms=tuple(values.tolist()),
    )


def summarize_passes(tool: SummarizedModel) -> Times:
    """Return the times of a tool's processes; a percentile is the median of those of the processes."""
    passes = tool.passes
    rounds = sum(part.rounds for part in passes)
    percentiles: dict[str, Any] = {}
    for name in ("p5_ms", "median_ms", "p95_ms"):
        values = [getattr(part, name) for part in passes]
        if None not in values:
            percentiles[name] = median(values)
    return Times(
        load_ms=median(part.load_ms for part in passes),
        first_ms=median(part.first_ms for part in passes),
        warm_up_rounds=sum(part.warm_up_rounds for part in passes),
        rounds=rounds,
        min_ms=min(part.min_ms for part in passes),
        max_ms=max(part.max_ms for part in passes),
        mean_ms=sum(part.mean_ms * part.rounds for part in passes) / rounds,
        deviation_ms=median(part.deviation_ms for part in passes),
        passes=passes,
        **percentiles,
    )


def compare_medians(
    first_ms: Sequence[float], second_ms: Sequence[float], *, turns: int = 1, seed: int = 0
) -> PairedMedians:
    """Compare two models that took turns: a turn is drawn, or left out, for both of them."""
    first, second = np.asarray(first_ms, np.float64), np.asarray(second_ms, np.float64)
    ratio = float(np.median(first) / np.median(second))
    blocks = count_blocks(turns, len(first), len(second))
    # The same seed, so the same draws for both models: what disturbed a turn disturbed both.
    drawn = [draw_medians(values, blocks, seed=seed) for values in (first, second)]
    draws = None if drawn[0] is None or drawn[1] is None else drawn[0] / drawn[1]
    return PairedMedians(times_as_fast=ratio, ci95=block_interval(draws, ratio, blocks=blocks))


def count_blocks(turns: int, *rounds: int) -> int:
    """Return the number of blocks: the turns if there are enough, else a fixed number."""
    return turns if turns >= LEAST_BLOCKS else min(BLOCKS, *rounds)


def draw_medians(values: Floats, blocks: int, *, seed: int) -> Floats | None:
    """Return the median of the rounds in every bootstrap draw of their blocks; None for too few blocks.

    A block is drawn as one, since neighbouring rounds are not independent. The median is the smallest value
    that half of the drawn rounds do not exceed.
    """
    if blocks < LEAST_BLOCKS:
        return None
    parts = [np.sort(part) for part in np.array_split(values, blocks)]
    # How often each block is drawn, [resamples, blocks].
    generator = np.random.default_rng(seed)
    draws = generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=RESAMPLES).astype(np.float64)
    spaced = np.linspace(0, len(values) - 1, min(MOST_STEPS, len(values))).round().astype(int)
    steps = np.sort(values)[spaced]
    # The rounds of each block up to each step; a draw adds these counts up, without copying rounds.
    below = np.stack([part.searchsorted(steps, side="right") for part in parts])
    half = draws @ np.array([len(part) for part in parts]) / 2
    return np.asarray(steps[(draws @ below >= half[:, None]).argmax(axis=1)])


def block_interval(draws: Floats | None, middle: float, *, blocks: int) -> Interval | None:
    """Return the interval of draws of blocks, widened as Student's t does: by 7 % each way for 25 blocks."""
    ci95 = None if draws is None else percentile_interval(draws)
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
