"""Tell whether rounds stayed the same while they were measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import erfc, sqrt
from typing import Any

import numpy as np

UNLIKELY_P = 0.01
LEAST_CHANGE = 0.03  # between the first third and the last: less is nobody's concern
LEAST_SPREAD = 0.25  # between slow blocks and fast ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How the medians of blocks of rounds, in the order of the clock, differ."""

    change: float  # of the last third against the first: 0.1 is 10 % slower
    p_value: float  # that so ordered a difference comes by chance
    spread: float  # of the 90th percentile over the 10th, less 1

    @property
    def is_told(self) -> bool:
        return abs(self.change) >= LEAST_CHANGE and self.p_value < UNLIKELY_P

    @property
    def worst(self) -> float:
        """How far apart any of it lies: 0.5 is 50 % longer."""
        return max(self.spread, self.change, 1 / (1 + self.change) - 1)

    @property
    def sentence(self) -> str | None:
        """What a reader must know, or None where the rounds stayed the same."""
        if self.is_told and self.change > 0:
            return f"the end took {_more(self.change)} the beginning: throttled, or another program began"
        if self.is_told:
            slower = _more(1 / (1 + self.change) - 1)
            return f"the beginning took {slower} the end: another program may have ended"
        if self.spread >= LEAST_SPREAD:
            return f"unsteady: slow moments took {_more(self.spread)} fast ones; something else was running"
        return None

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "sentence": self.sentence}


def _more(by: float) -> str:
    """0.25 → "25 % longer than"; 2.1 → "3.1 times as long as"."""
    return f"{by * 100:.0f} % longer than" if by < 1 else f"{by + 1:.2g} times as long as"


def drift_of(medians_ms: Sequence[float]) -> Drift:
    """Of the medians of consecutive blocks, six or more."""
    values = np.asarray(medians_ms, dtype=np.float64)
    third = len(values) // 3
    first, last = values[:third], values[-third:]
    low, high = np.percentile(values, (10, 90)).tolist()
    return Drift(
        change=float(np.median(last) / np.median(first) - 1),
        p_value=rank_sum_p(first.tolist(), last.tolist()),
        spread=high / low - 1,
    )


def rank_sum_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Mann and Whitney's test, two-sided, by the normal law: eight all below eight others → 0.0009."""
    both = np.asarray([*first, *second], dtype=np.float64)
    n, m = len(first), len(second)
    _, codes, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum() - (counts - 1) / 2)[codes]
    above = float(ranks[n:].sum()) - m * (m + 1) / 2
    ties = float((counts.astype(np.float64) ** 3 - counts).sum())
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    if variance <= 0:
        return 1.0
    far = max(abs(above - n * m / 2) - 0.5, 0.0)  # half a step: counts are whole
    return erfc(far / sqrt(variance) / sqrt(2))
