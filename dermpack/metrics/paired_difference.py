"""Paired comparison of two models on the same pictures: difference, interval and McNemar's exact test."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dermpack.errors import InputError
from dermpack.metrics.definitions import Metric, metric_value
from dermpack.metrics.intervals import RESAMPLES, Interval, group_weights, percentile_interval
from dermpack.metrics.predictions import Predictions

# How far the probabilities of one file may differ between two correct interpreters. Integer kernels round
# differently, and a step inside the network becomes many steps after a softmax: for a weak network with
# 66 integer layers the mean difference of XNNPACK and the built-in kernels was 0.021. Quantization itself
# moved that network by 0.036. Kernels that compute wrong results differ far more.
MAX_KERNEL_DIFFERENCE = 0.25  # of any two probabilities
MEAN_KERNEL_DIFFERENCE = 0.05  # of all of them


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
    parts = [
        metric(second, weights) - metric(first, weights)
        for weights in group_weights(first, resamples=resamples, seed=seed)
    ]
    before, after = metric_value(metric, first), metric_value(metric, second)
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
