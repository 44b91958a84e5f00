"""Score thresholds that were fitted elsewhere: what a run brings along, on other pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dermpack.metrics.abstention import Abstention
from dermpack.metrics.confusion import divide
from dermpack.metrics.intervals import RESAMPLES, bootstrap
from dermpack.metrics.predictions import Flags, Floats, Predictions
from dermpack.metrics.summary import Figure, figure_from, figure_record
from dermpack.metrics.thresholds import OperatingPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachedPoint:
    """What a threshold of one label reaches here, beside what was wanted of it."""

    label: str
    threshold: float
    wanted_sensitivity: float
    positives: int
    sensitivity: Figure
    specificity: Figure

    def record(self) -> dict[str, Any]:
        figures = {"sensitivity": self.sensitivity, "specificity": self.specificity}
        return {
            **figure_record(figures),
            **{"label": self.label, "threshold": self.threshold, "positives": self.positives},
            "wanted_sensitivity": self.wanted_sensitivity,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredShare:
    """How many pictures are answered here at an abstention's threshold, and how many of these right."""

    threshold: float
    coverage: Figure
    accuracy: Figure

    def record(self) -> dict[str, Any]:
        figures = {"coverage": self.coverage, "accuracy": self.accuracy}
        return {**figure_record(figures), "threshold": self.threshold}


def reached(
    predictions: Predictions, point: OperatingPoint, *, resamples: int = RESAMPLES, seed: int = 0
) -> ReachedPoint:
    """The operating point on these pictures."""
    at = predictions.classes.index(point.label)
    own = predictions.truth == at
    called = predictions.probabilities[:, at] >= point.threshold
    parts = {"sensitivity": (called, own), "specificity": (~called, ~own)}
    figures = _shares(predictions, parts, resamples=resamples, seed=seed)
    return ReachedPoint(
        label=point.label,
        threshold=point.threshold,
        wanted_sensitivity=point.wanted_sensitivity,
        positives=int(own.sum()),
        **figures,
    )


def answered(
    predictions: Predictions, abstention: Abstention, *, resamples: int = RESAMPLES, seed: int = 0
) -> AnsweredShare:
    """The abstention on these pictures."""
    sure = predictions.confidence >= abstention.threshold
    parts = {"coverage": (sure, np.ones_like(sure)), "accuracy": (predictions.correct, sure)}
    figures = _shares(predictions, parts, resamples=resamples, seed=seed)
    return AnsweredShare(threshold=abstention.threshold, **figures)


def _shares(
    predictions: Predictions, parts: dict[str, tuple[Flags, Flags]], *, resamples: int, seed: int
) -> dict[str, Figure]:
    """How many of the second flags have the first too, by name."""

    def measure(_: Predictions, weights: Floats) -> dict[str, Floats]:
        return {
            name: divide(weights @ (some & of).astype(np.float64), weights @ of.astype(np.float64))
            for name, (some, of) in parts.items()
        }

    values = measure(predictions, np.ones((1, len(predictions))))
    draws = bootstrap(predictions, measure, resamples=resamples, seed=seed)
    return {name: figure_from(value[0], draws.get(name)) for name, value in values.items()}
