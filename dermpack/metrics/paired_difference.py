"""Compare two models on the same pictures: the difference, its interval, and McNemar's exact test."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dermpack.errors import InputError
from dermpack.metrics.definitions import Metric, value
from dermpack.metrics.intervals import RESAMPLES, Interval, group_weights, interval
from dermpack.metrics.predictions import Predictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Second minus first; the interval is None for a single group."""

    first: float
    second: float
    difference: float
    ci95: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discordance:
    """Pictures that only one of the two gets right, and how probable so uneven a share is by chance.

    The test takes pictures for independent; where groups are large, believe the interval instead.
    """

    only_first: int
    only_second: int
    p_value: float


def difference(
    first: Predictions, second: Predictions, metric: Metric, *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """The metric of the second minus that of the first, both under the same draws of groups."""
    _check_same_pictures(first, second)
    parts = [
        metric(second, weights) - metric(first, weights)
        for weights in group_weights(first, resamples=resamples, seed=seed)
    ]
    before, after = value(metric, first), value(metric, second)
    return Difference(
        first=before,
        second=after,
        difference=after - before,
        ci95=interval(np.concatenate(parts)) if parts else None,
    )


def mcnemar(first: Predictions, second: Predictions) -> Discordance:
    """The exact two-sided test: 1 and 9 discordant pictures → p = 0.0215."""
    _check_same_pictures(first, second)
    only_first = int((first.correct & ~second.correct).sum())
    only_second = int((second.correct & ~first.correct).sum())
    p_value = _two_sided(min(only_first, only_second), only_first + only_second)
    return Discordance(only_first=only_first, only_second=only_second, p_value=p_value)


def agreement(first: Predictions, second: Predictions) -> float:
    """How often both predict the same class."""
    _check_same_pictures(first, second)
    return float((first.predicted == second.predicted).mean())


def _two_sided(fewer: int, total: int) -> float:
    """Whole numbers to the end: no rounding for any count."""
    tail = term = 1
    for at in range(1, fewer + 1):
        term = term * (total - at + 1) // at
        tail += term
    return min(1.0, float(Fraction(2 * tail, 2**total)))


def _check_same_pictures(first: Predictions, second: Predictions) -> None:
    same = first.classes == second.classes and first.pictures == second.pictures
    if not same or first.groups != second.groups or not np.array_equal(first.truth, second.truth):
        what = "the two models have predictions for different pictures or classes"
        hint = "Score both models on the same split."
        raise InputError("predictions", what, hint, code="predictions-mismatch")
