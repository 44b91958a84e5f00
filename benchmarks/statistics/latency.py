"""Say how long an inference takes, of raw rounds: the order statistics and how sure the median is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from benchmarks.statistics.drift import Drift, drift_of
from dermpack.metrics.intervals import Interval, interval

RESAMPLES = 1_000
LEAST_BLOCKS = 10  # fewer say nothing of how blocks differ
BLOCKS = 25  # of rounds that came in no turns, or in few
STUDENT = 1.21  # (z² + 1) / 4 at z = 1.96: the first term of Student's t over the normal law's
MOST_STEPS = 4096  # of the rounds' distribution: among more, the median is found to 1/4096 of them

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """One model under one setting; everything but the number of rounds in milliseconds."""

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

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "drift": self.drift and self.drift.record()}


def latency_of(rounds_ms: Sequence[float], *, turns: int = 1, seed: int = 0) -> Latency:
    """Of rounds in the order of the clock, which came in so many equal turns."""
    values = np.asarray(rounds_ms, dtype=np.float64)
    p5, p50, p90, p95, p99 = np.percentile(values, (5, 50, 90, 95, 99)).tolist()
    blocks = blocks_of(values, parts_of(turns, len(values)))
    return Latency(
        rounds=len(values),
        min_ms=float(values.min()),
        p5_ms=p5,
        median_ms=p50,
        median_ci95_ms=_ci95(blocks, p50, seed),
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        max_ms=float(values.max()),
        mean_ms=float(values.mean()),
        deviation_ms=float(values.std(ddof=1)) if len(values) > 1 else 0.0,
        drift=drift_of([float(np.median(block)) for block in blocks])
        if len(blocks) >= LEAST_BLOCKS
        else None,
    )


def blocks_of(values: Floats, parts: int) -> list[Floats]:
    """What is drawn as one: rounds side by side share their neighbours and their clock."""
    return np.array_split(values, parts)


def parts_of(turns: int, *rounds: int) -> int:
    """The turns are the blocks, where there are enough; else equal parts of all that took them."""
    return turns if turns >= LEAST_BLOCKS else min(BLOCKS, *rounds)


def draws_of(blocks: int, *, seed: int) -> Floats:
    """How often each block is drawn, [resamples, blocks]; two models that took turns share the draws."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=RESAMPLES).astype(np.float64)


def drawn_medians(blocks: Sequence[Floats], draws: Floats) -> Floats:
    """The median of all rounds in every draw of blocks: the least value that half of them do not exceed."""
    values = np.sort(np.concatenate(blocks))
    steps = values[np.linspace(0, len(values) - 1, min(MOST_STEPS, len(values))).round().astype(int)]
    below = np.stack([np.sort(block).searchsorted(steps, side="right") for block in blocks])
    half = draws @ np.array([len(block) for block in blocks]) / 2
    return np.asarray(steps[(draws @ below >= half[:, None]).argmax(axis=1)])


def widened(found: Interval | None, middle: float, *, blocks: int) -> Interval | None:
    """What a bootstrap of few blocks leaves out, as Student's law does: of 25 blocks, 7 % more each way."""
    if found is None:
        return None
    factor = (1 + STUDENT / (blocks - 1)) * sqrt(blocks / (blocks - 1))
    low, high = (middle + (end - middle) * factor for end in found)
    return max(low, 0.0), high


def _ci95(blocks: Sequence[Floats], median_ms: float, seed: int) -> Interval | None:
    if len(blocks) < LEAST_BLOCKS:
        return None
    found = interval(drawn_medians(blocks, draws_of(len(blocks), seed=seed)))
    return widened(found, median_ms, blocks=len(blocks))
