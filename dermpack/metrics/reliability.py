"""Ask whether a probability means what it says: Brier score, calibration error, likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dermpack.metrics.confusion import divide
from dermpack.metrics.predictions import Floats, Integers, Predictions

BINS = 15  # as in most published calibration errors: equal widths of the confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The pictures whose confidence lies in (low, high]; both means None where there is none."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def brier_of_each(predictions: Predictions) -> Floats:
    """The squared distance to the truth, summed over classes, [n]; 0 is perfect, 2 is worst."""
    wanted = np.eye(len(predictions.classes))[predictions.truth]
    return np.asarray(((predictions.probabilities - wanted) ** 2).sum(axis=1))


def weighted_ece(predictions: Predictions, weights: Floats) -> Floats:
    """Expected calibration error, [r]: the mean gap of confidence and accuracy over 15 bins."""
    members = np.eye(BINS)[_bin_of_each(predictions)]
    gaps = (predictions.confidence - predictions.correct)[:, None] * members
    return divide(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))


def reliability_bins(predictions: Predictions) -> tuple[Bin, ...]:
    """What the reliability plot draws."""
    bins = _bin_of_each(predictions)
    return tuple(_bin(predictions, at, np.flatnonzero(bins == at)) for at in range(BINS))


def negative_log_likelihood(log_probabilities: Floats, truth: Integers) -> float:
    return float(-log_probabilities[np.arange(len(truth)), truth].mean())


def _bin_of_each(predictions: Predictions) -> Integers:
    """Bins are closed above: a confidence of 1/15 is in the first one."""
    at = np.ceil(predictions.confidence * BINS - 1e-9).astype(np.int64) - 1
    return np.asarray(np.clip(at, 0, BINS - 1), dtype=np.int64)


def _bin(predictions: Predictions, at: int, rows: Integers) -> Bin:
    some = rows.size > 0
    return Bin(
        low=at / BINS,
        high=(at + 1) / BINS,
        n=int(rows.size),
        confidence=float(predictions.confidence[rows].mean()) if some else None,
        accuracy=float(predictions.correct[rows].mean()) if some else None,
    )
