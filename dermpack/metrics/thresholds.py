"""Find the threshold of one label that reaches a wanted sensitivity, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dermpack.errors import InputError
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.ranking import TOLERANCE, rank_label


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A picture is called `label` where the label's probability is `threshold` or more."""

    label: str
    threshold: float
    wanted_sensitivity: float
    sensitivity: float  # reached on the pictures it was fitted on
    specificity: float | None  # None where no picture is of another class
    positives: int
    n: int

    def record(self) -> dict[str, Any]:
        return asdict(self)


def operating_point_from(record: Mapping[str, Any]) -> OperatingPoint:
    """Read what `record` wrote; KeyError, TypeError or ValueError where it is something else."""
    specificity = record["specificity"]
    return OperatingPoint(
        label=str(record["label"]),
        threshold=float(record["threshold"]),
        wanted_sensitivity=float(record["wanted_sensitivity"]),
        sensitivity=float(record["sensitivity"]),
        specificity=None if specificity is None else float(specificity),
        positives=int(record["positives"]),
        n=int(record["n"]),
    )


def operating_threshold(predictions: Predictions, label: str, *, sensitivity: float) -> OperatingPoint:
    """The highest threshold that finds the wanted share of the label's pictures."""
    at = _position(predictions, label)
    if not 0 < sensitivity <= 1:
        what = f"the sensitivity {sensitivity} is out of range"
        hint = "Give a sensitivity above 0 and at most 1."
        raise InputError(label, what, hint, code="invalid-option")
    ranking = rank_label(predictions, at)
    hits, alarms = ranking.hits[0], ranking.alarms[0]
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


def _position(predictions: Predictions, label: str) -> int:
    if label not in predictions.classes:
        known = ", ".join(predictions.classes)
        raise InputError(label, "not a label of this model", f"Choose one of: {known}.", code="unknown-label")
    at = predictions.classes.index(label)
    if not (predictions.truth == at).any():
        what = "there are no pictures of this label to fit a threshold on"
        hint = "Import pictures of this label."
        raise InputError(label, what, hint, code="label-without-pictures")
    return at
