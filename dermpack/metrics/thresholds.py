"""Decision thresholds: fit operating points and abstention, and score them on other pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermpack.contract import Abstention, CoveragePoint, OperatingPoint
from dermpack.errors import InputError
from dermpack.metrics import RESAMPLES
from dermpack.metrics.definitions import TOLERANCE, divide, rank_label
from dermpack.metrics.intervals import bootstrap
from dermpack.metrics.predictions import Flags, Floats, Predictions
from dermpack.metrics.summary import Figure, flat_record, make_figure

COVERAGE = 0.9  # of the pictures that an abstention is fitted on; its curve shows other choices
COVERAGES = tuple(round(0.05 * step, 2) for step in range(1, 21))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedPoint:
    """The sensitivity and specificity of an operating point on other pictures."""

    label: str
    threshold: float
    wanted_sensitivity: float
    positives: int
    sensitivity: Figure
    specificity: Figure

    def record(self) -> dict[str, Any]:
        return flat_record(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredShare:
    """The share of other pictures above an abstention's threshold, and the accuracy on these."""

    threshold: float
    coverage: Figure
    accuracy: Figure

    def record(self) -> dict[str, Any]:
        return flat_record(self)


def fit_operating_point(predictions: Predictions, label: str, *, sensitivity: float) -> OperatingPoint:
    """Return the highest threshold that finds the wanted share of the label's pictures."""
    if label not in predictions.classes:
        known = ", ".join(predictions.classes)
        raise InputError(label, "not a label of this model", f"Choose one of: {known}.", code="unknown-label")
    index = predictions.classes.index(label)
    if not (predictions.truth == index).any():
        what = "there are no pictures of this label to fit a threshold on"
        hint = "Import pictures of this label."
        raise InputError(label, what, hint, code="label-without-pictures")
    _check_share(sensitivity, "sensitivity", where=label)
    ranking = rank_label(predictions, index)
    hits, alarms = ranking.hits[0], ranking.alarms[0]
    # The first column with enough hits; column 0 is above all thresholds and has none.
    column = int(np.argmax(hits >= sensitivity * hits[-1] - TOLERANCE))
    return OperatingPoint(
        label=label,
        threshold=float(ranking.thresholds[column - 1]),
        wanted_sensitivity=sensitivity,
        sensitivity=float(hits[column] / hits[-1]),
        specificity=float(1 - alarms[column] / alarms[-1]) if alarms[-1] else None,
        positives=round(float(hits[-1])),
        n=len(predictions),
    )


def fit_abstention(predictions: Predictions, *, coverage: float) -> Abstention:
    """Return the highest threshold that still answers this share of the pictures."""
    _check_share(coverage, "coverage", where="abstain")
    points = _coverage_points(predictions)
    chosen = _find_coverage(points, coverage)
    return Abstention(
        threshold=chosen.threshold,
        coverage=chosen.coverage,
        accuracy=chosen.accuracy,
        n=len(predictions),
        curve=_thin_curve(points),
    )


def _check_share(share: float, name: str, *, where: str) -> None:
    if not 0 < share <= 1:
        what, hint = f"the {name} {share} is out of range", f"Give a {name} above 0 and at most 1."
        raise InputError(where, what, hint, code="invalid-option")


def coverage_curve(predictions: Predictions) -> tuple[CoveragePoint, ...]:
    """Return the accuracy at coverages of 5 %, 10 %, … 100 %; fewer if confidences are equal."""
    return _thin_curve(_coverage_points(predictions))


def score_operating_point(
    predictions: Predictions, point: OperatingPoint, *, resamples: int = RESAMPLES, seed: int = 0
) -> ReachedPoint:
    """Return what the operating point reaches on these pictures."""
    index = predictions.classes.index(point.label)
    own = predictions.truth == index
    called = predictions.probabilities[:, index] >= point.threshold
    parts = {"sensitivity": (called, own), "specificity": (~called, ~own)}
    return ReachedPoint(
        label=point.label,
        threshold=point.threshold,
        wanted_sensitivity=point.wanted_sensitivity,
        positives=int(own.sum()),
        **share_figures(predictions, parts, resamples=resamples, seed=seed),
    )


def score_abstention(
    predictions: Predictions, abstention: Abstention, *, resamples: int = RESAMPLES, seed: int = 0
) -> AnsweredShare:
    """Return what the abstention reaches on these pictures."""
    sure = predictions.confidence >= abstention.threshold
    parts = {"coverage": (sure, np.ones_like(sure)), "accuracy": (predictions.correct, sure)}
    figures = share_figures(predictions, parts, resamples=resamples, seed=seed)
    return AnsweredShare(threshold=abstention.threshold, **figures)


def _coverage_points(predictions: Predictions) -> list[CoveragePoint]:
    """Return one point per distinct confidence, descending: the coverage rises to 1."""
    order = np.argsort(-predictions.confidence, kind="stable")
    confidence = predictions.confidence[order]
    correct = np.cumsum(predictions.correct[order])
    n = len(order)
    # Equal confidences cannot be separated: a point is only at the last of them.
    last_of_equals = np.append(np.flatnonzero(np.diff(confidence)), n - 1)
    return [
        CoveragePoint(
            threshold=float(confidence[index]),
            coverage=(index + 1) / n,
            accuracy=int(correct[index]) / (index + 1),
        )
        for index in last_of_equals.tolist()
    ]


def _thin_curve(points: Sequence[CoveragePoint]) -> tuple[CoveragePoint, ...]:
    return tuple(dict.fromkeys(_find_coverage(points, coverage) for coverage in COVERAGES))


def _find_coverage(points: Sequence[CoveragePoint], coverage: float) -> CoveragePoint:
    return next(point for point in points if point.coverage >= coverage - 1e-9)


def share_figures(
    predictions: Predictions, parts: Mapping[str, tuple[Flags, Flags]], *, resamples: int, seed: int
) -> dict[str, Figure]:
    """Return, by name, the share of pictures with the second flag that have the first flag too."""

    def measure(_: Predictions, weights: Floats) -> dict[str, Floats]:
        return {
            name: divide(weights @ (part & whole).astype(np.float64), weights @ whole.astype(np.float64))
            for name, (part, whole) in parts.items()
        }

    values = measure(predictions, np.ones((1, len(predictions))))
    draws = bootstrap(predictions, measure, resamples=resamples, seed=seed)
    return {name: make_figure(value[0], draws.get(name)) for name, value in values.items()}
