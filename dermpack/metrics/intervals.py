"""Draw 95 % intervals by bootstrap over groups: a lesion with five pictures is drawn, or left, as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from dermpack.metrics.predictions import Floats, Predictions

RESAMPLES = 1_000
LOW_PERCENT, HIGH_PERCENT = 2.5, 97.5
CHUNK_WEIGHTS = 1 << 21  # weights in memory at once: 16 MiB
LEAST_GROUPS = 10  # of fewer the draws repeat each other: their spread is falsely narrow, so none is told
ANY_GROUPS = 2  # what can be drawn at all
LEAST_DEFINED = 0.5  # a figure undefined in more than half of the draws has no interval

Measure = Callable[[Predictions, Floats], Mapping[str, Floats]]
Interval = tuple[float, float]


def bootstrap(
    predictions: Predictions,
    measure: Measure,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    least_groups: int = LEAST_GROUPS,
) -> dict[str, Floats]:
    """Every figure in every draw: name → [resamples] or [resamples, k]; empty for too few groups."""
    if predictions.group_codes().max() + 1 < least_groups:
        return {}
    parts = [
        measure(predictions, weights)
        for weights in group_weights(predictions, resamples=resamples, seed=seed)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def group_weights(predictions: Predictions, *, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each picture is drawn, [r, n] in chunks; nothing for a single group."""
    codes = predictions.group_codes()
    groups = int(codes.max()) + 1
    if groups < 2:
        return
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_WEIGHTS // len(codes))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        draws = generator.integers(groups, size=(rows, groups)) + np.arange(rows)[:, None] * groups
        drawn = np.bincount(draws.ravel(), minlength=rows * groups).reshape(rows, groups)
        yield drawn[:, codes].astype(np.float64)


def interval(draws: Floats) -> Interval | None:
    """The middle 95 % of the draws in which the figure exists, or None where it mostly does not."""
    known = draws[~np.isnan(draws)]
    if known.size == 0 or known.size < LEAST_DEFINED * draws.size:
        return None
    low, high = np.percentile(known, (LOW_PERCENT, HIGH_PERCENT))
    return float(low), float(high)
