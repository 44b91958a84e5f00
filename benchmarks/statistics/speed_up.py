"""Compare two models that took turns under one setting: how many times as fast, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.statistics.latency import (
    LEAST_BLOCKS,
    Floats,
    blocks_of,
    drawn_medians,
    draws_of,
    parts_of,
    widened,
)
from dermpack.metrics.intervals import Interval, interval


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedMedians:
    """The first one's median by the second one's: 2 means that the second is twice as fast."""

    times_as_fast: float
    ci95: Interval | None  # None: too few rounds

    @property
    def is_told(self) -> bool:
        """Whether a difference could be shown: the interval leaves 1 out."""
        return self.ci95 is not None and not self.ci95[0] <= 1 <= self.ci95[1]

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "is_told": self.is_told}


def compare(
    first_ms: Sequence[float], second_ms: Sequence[float], *, turns: int = 1, seed: int = 0
) -> PairedMedians:
    """Turn by turn: what befell both models in a turn is drawn, or left, for both."""
    first, second = np.asarray(first_ms, np.float64), np.asarray(second_ms, np.float64)
    ratio, parts = float(np.median(first) / np.median(second)), parts_of(turns, len(first), len(second))
    found = _ci95(blocks_of(first, parts), blocks_of(second, parts), seed)
    return PairedMedians(times_as_fast=ratio, ci95=widened(found, ratio, blocks=parts))


def _ci95(first: Sequence[Floats], second: Sequence[Floats], seed: int) -> Interval | None:
    if len(first) < LEAST_BLOCKS:
        return None
    draws = draws_of(len(first), seed=seed)
    return interval(drawn_medians(first, draws) / drawn_medians(second, draws))
