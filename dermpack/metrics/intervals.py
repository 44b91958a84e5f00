"""Bootstrap intervals over groups, and the paired comparison of two models on the same pictures.

The pictures of one lesion are drawn, or left out, together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dermpack.errors import InputError
from dermpack.metrics import RESAMPLES
from dermpack.metrics.definitions import Metric, mean_over_present, metric_value
from dermpack.metrics.predictions import Flags, Floats, Predictions

LOW_PERCENT, HIGH_PERCENT = 2.5, 97.5
CHUNK_WEIGHTS = 1 << 21  # weights in memory at once: 16 MiB
MIN_GROUPS = 10  # with fewer groups the draws repeat, and the interval would be falsely narrow
MIN_DRAWABLE_GROUPS = 2  # with one group every draw is the same
MIN_DEFINED_SHARE = 0.5  # a figure that is undefined in more than half of the draws has no interval

# How far the probabilities of one file may differ between two correct interpreters. Integer kernels round
# differently, and a step inside the network becomes many steps after a softmax: for a weak network with
# 66 integer layers the mean difference of XNNPACK and the built-in kernels was 0.021. Quantization itself
# moved that network by 0.036. Kernels that compute wrong results differ far more.
MAX_KERNEL_DIFFERENCE = 0.25  # of any two probabilities
MEAN_KERNEL_DIFFERENCE = 0.05  # of all of them

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
    draws = group_weights(predictions, resamples=resamples, seed=seed)
    parts = [measure(predictions, weights) for weights in draws]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Second minus first; the interval is None for a single group."""

    first: float
    second: float
    difference: float
    ci95: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordance:
    """Pictures that only one model gets right, and the p-value of McNemar's exact test.

    The test assumes independent pictures; with large groups, trust the interval instead.
    """

    only_first: int
    only_second: int
    p_value: float


def compare_metric(
    first: Predictions, second: Predictions, metric: Metric, *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Return the metric of the second minus that of the first, both under the same draws of groups."""
    _check_same_pictures(first, second)
    # Both models in every draw: the variation that they share cancels out.
    draws = group_weights(first, resamples=resamples, seed=seed)
    parts = [metric(second, weights) - metric(first, weights) for weights in draws]
    before, after = metric_value(metric, first), metric_value(metric, second)
    return Difference(
        first=before,
        second=after,
        difference=after - before,
        ci95=percentile_interval(np.concatenate(parts)) if parts else None,
    )


def compare_parts(
    predictions: Predictions,
    first: Flags,
    second: Flags,
    metrics: Sequence[Metric],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Return the mean of metrics on the second part of the pictures minus that on the first.

    The parts are other pictures, so only the draws of groups are common; without draws, there is no interval.
    Each metric is of one label. In a draw that has a label in one part alone, the mean is over the others:
    otherwise the parts would differ because a label is easy, not because the pictures are other ones.
    """
    flags = first.astype(np.float64), second.astype(np.float64)

    def measure(weights: Floats) -> tuple[Floats, Floats]:
        """Return both means [r]."""
        values = [np.stack([metric(predictions, weights * part) for metric in metrics], 1) for part in flags]
        present = ~np.isnan(values[0] + values[1])
        first_mean, second_mean = (mean_over_present(value, present) for value in values)
        return first_mean, second_mean

    before, after = (float(mean[0]) for mean in measure(np.ones((1, len(predictions)))))
    draws = group_weights(predictions, resamples=resamples, seed=seed) if resamples else ()
    parts = [second_mean - first_mean for first_mean, second_mean in map(measure, draws)]
    return Difference(
        first=before,
        second=after,
        difference=after - before,
        ci95=percentile_interval(np.concatenate(parts)) if parts else None,
    )


def mcnemar(first: Predictions, second: Predictions) -> Discordance:
    """Run the exact two-sided test: 1 and 9 discordant pictures → p = 0.0215."""
    _check_same_pictures(first, second)
    only_first = int((first.correct & ~second.correct).sum())
    only_second = int((second.correct & ~first.correct).sum())
    total = only_first + only_second
    # The tail of the binomial distribution, summed in whole numbers: exact for any count.
    tail = term = 1
    for index in range(1, min(only_first, only_second) + 1):
        term = term * (total - index + 1) // index
        tail += term
    p_value = min(1.0, float(Fraction(2 * tail, 2**total)))
    return Discordance(only_first=only_first, only_second=only_second, p_value=p_value)


def top1_agreement(first: Predictions, second: Predictions) -> float:
    """Return the share of pictures for which both predict the same class."""
    _check_same_pictures(first, second)
    return float((first.predicted == second.predicted).mean())


def _check_same_pictures(first: Predictions, second: Predictions) -> None:
    is_same = first.classes == second.classes and first.pictures == second.pictures
    if not is_same or first.groups != second.groups or not np.array_equal(first.truth, second.truth):
        what = "the two models have predictions for different pictures or classes"
        hint = "Score both models on the same split."
        raise InputError("predictions", what, hint, code="predictions-mismatch")
