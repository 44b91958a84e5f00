"""Bootstrap intervals over groups: the pictures of one lesion are drawn, or left out, together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from dermpack.metrics.predictions import Floats, Predictions

RESAMPLES = 1_000
LOW_PERCENT, HIGH_PERCENT = 2.5, 97.5
CHUNK_WEIGHTS = 1 << 21  # weights in memory at once: 16 MiB
MIN_GROUPS = 10  # with fewer groups the draws repeat, and the interval would be falsely narrow
MIN_DRAWABLE_GROUPS = 2  # with one group every draw is the same
MIN_DEFINED_SHARE = 0.5  # a figure that is undefined in more than half of the draws has no interval

Measure = Callable[[Predictions, Floats], Mapping[str, Floats]]
Interval = tuple[float, float]


def bootstrap(
    predictions: Predictions,
    measure: Measure,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    min_groups: int = MIN_GROUPS,
) -> dict[str, Floats]:
    """Return every figure in every draw: name → [resamples] or [resamples, k]; {} for too few groups."""
    if predictions.group_codes().max() + 1 < min_groups:
        return {}
    parts = [
        measure(predictions, weights)
        for weights in group_weights(predictions, resamples=resamples, seed=seed)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def group_weights(predictions: Predictions, *, resamples: int, seed: int) -> Iterator[Floats]:
    """Yield how often each picture is drawn, [r, n] in chunks; nothing for a single group."""
    codes = predictions.group_codes()
    groups = int(codes.max()) + 1
    if groups < MIN_DRAWABLE_GROUPS:
        return
    generator = np.random.default_rng(seed)
    chunk = max(1, CHUNK_WEIGHTS // len(codes))
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        # Each row gets a range of codes of its own, so that one bincount counts all rows.
        draws = generator.integers(groups, size=(rows, groups)) + np.arange(rows)[:, None] * groups
        drawn = np.bincount(draws.ravel(), minlength=rows * groups).reshape(rows, groups)
        yield drawn[:, codes].astype(np.float64)


def percentile_interval(draws: Floats) -> Interval | None:
    """Return the middle 95 % of the defined draws, or None if most of them are undefined."""
    known = draws[~np.isnan(draws)]
    if known.size == 0 or known.size < MIN_DEFINED_SHARE * draws.size:
        return None
    low, high = np.percentile(known, (LOW_PERCENT, HIGH_PERCENT))
    return float(low), float(high)
