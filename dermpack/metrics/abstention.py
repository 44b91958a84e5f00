"""Say "not sure" below a confidence: the threshold, and what is gained at each coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dermpack.errors import InputError
from dermpack.metrics.predictions import Floats, Predictions

COVERAGES = tuple(round(0.05 * step, 2) for step in range(1, 21))


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveragePoint:
    """Of all pictures, `coverage` have `threshold` or more confidence, and `accuracy` of these are right."""

    threshold: float
    coverage: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """The program answers where confidence is `threshold` or more; the curve shows other choices."""

    threshold: float
    coverage: float
    accuracy: float
    n: int
    curve: tuple[CoveragePoint, ...]

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "curve": [asdict(point) for point in self.curve]}


def abstention_from(record: Mapping[str, Any]) -> Abstention:
    """Read what `record` wrote; KeyError, TypeError or ValueError where it is something else."""
    return Abstention(
        n=int(record["n"]),
        curve=tuple(CoveragePoint(**_figures(point)) for point in record["curve"]),
        **_figures(record),
    )


def abstain(predictions: Predictions, *, coverage: float) -> Abstention:
    """The highest threshold that still answers this share of the pictures."""
    if not 0 < coverage <= 1:
        what = f"the coverage {coverage} is out of range"
        hint = "Give a coverage above 0 and at most 1."
        raise InputError("abstain", what, hint, code="invalid-option")
    points = _points(predictions)
    return _abstention(predictions, points, _first_covering(points, coverage))


def abstain_for(predictions: Predictions, *, accuracy: float) -> Abstention | None:
    """The threshold that answers most pictures at this accuracy, or None where none reaches it."""
    points = _points(predictions)
    reached = [point for point in points if point.accuracy >= accuracy]
    return _abstention(predictions, points, reached[-1]) if reached else None


def coverage_curve(predictions: Predictions) -> tuple[CoveragePoint, ...]:
    """Accuracy at coverages from 5 % to all, by steps of 5 %; fewer where confidences are equal."""
    points = _points(predictions)
    return tuple(dict.fromkeys(_first_covering(points, coverage) for coverage in COVERAGES))


def _abstention(
    predictions: Predictions, points: Sequence[CoveragePoint], chosen: CoveragePoint
) -> Abstention:
    return Abstention(
        threshold=chosen.threshold,
        coverage=chosen.coverage,
        accuracy=chosen.accuracy,
        n=len(predictions),
        curve=tuple(dict.fromkeys(_first_covering(points, coverage) for coverage in COVERAGES)),
    )


def _points(predictions: Predictions) -> list[CoveragePoint]:
    """One point a distinct confidence, falling: the coverage rises to 1."""
    confidence: Floats = predictions.confidence
    order = np.argsort(-confidence, kind="stable")
    falling, right = confidence[order], np.cumsum(predictions.correct[order])
    last_of_equals = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    n = len(falling)
    return [
        CoveragePoint(threshold=float(falling[at]), coverage=(at + 1) / n, accuracy=int(right[at]) / (at + 1))
        for at in last_of_equals.tolist()
    ]


def _first_covering(points: Sequence[CoveragePoint], coverage: float) -> CoveragePoint:
    return next(point for point in points if point.coverage >= coverage - 1e-9)


def _figures(record: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(record[name]) for name in ("threshold", "coverage", "accuracy")}
