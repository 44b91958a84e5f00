"""Calibration of probabilities: expected calibration error, reliability bins and a fitted temperature."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dermpack.contract import COLDEST, HOTTEST, LARGEST_FLOOR, Temperature
from dermpack.metrics.predictions import Floats, Integers, Predictions

HALVINGS = 60  # of the bracket: beyond the last bit of a double
BINS = 15  # as in most published calibration errors: equal widths of confidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The pictures whose confidence is in (low, high]; both means are None if there are none."""

    low: float
    high: float
    n: int
    confidence: float | None
    accuracy: float | None


def fit_temperature(predictions: Predictions) -> Temperature:
    """Return the temperature with the lowest negative log-likelihood on the predictions.

    The problem is convex in 1 / temperature: bisection finds where the slope changes its sign.
    """
    # An 8-bit output rounds small probabilities to 0, whose logarithm does not exist.
    positive = predictions.probabilities[predictions.probabilities > 0]
    floor = min(LARGEST_FLOOR, float(positive.min()) / 2)
    logs = np.asarray(np.log(np.maximum(predictions.probabilities, floor)))
    rows = np.arange(len(predictions))
    log_of_truth = logs[rows, predictions.truth]
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        # Derivative of the likelihood: expected log-probability minus that of the true class.
        slope = float(((np.exp(_log_softmax(logs * middle)) * logs).sum(axis=1) - log_of_truth).mean())
        low, high = (middle, high) if slope < 0 else (low, middle)
    value = 1 / min(max((low + high) / 2, 1 / HOTTEST), 1 / COLDEST)
    before, after = _log_softmax(logs), _log_softmax(logs / value)
    scaled = replace(predictions, probabilities=np.exp(after))
    once = np.ones((1, len(predictions)))
    return Temperature(
        value=value,
        floor=floor,
        n=len(predictions),
        nll_before=float(-before[rows, predictions.truth].mean()),
        nll_after=float(-after[rows, predictions.truth].mean()),
        ece_before=float(weighted_ece(predictions, once)[0]),
        ece_after=float(weighted_ece(scaled, once)[0]),
    )


def apply_temperature(probabilities: Floats, temperature: Temperature) -> Floats:
    """Return the calibrated probabilities, [n, k]."""
    logs = np.log(np.maximum(probabilities, temperature.floor))
    return np.asarray(np.exp(_log_softmax(logs / temperature.value)))


def calibrate(predictions: Predictions, temperature: Temperature) -> Predictions:
    """Return the predictions with calibrated probabilities."""
    return replace(predictions, probabilities=apply_temperature(predictions.probabilities, temperature))


def weighted_ece(predictions: Predictions, weights: Floats) -> Floats:
    """Return the expected calibration error, [r]: the mean gap of confidence and accuracy over 15 bins."""
    members = np.eye(BINS)[_bin_indices(predictions)]
    gaps = (predictions.confidence - predictions.correct)[:, None] * members
    return np.asarray(np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1))


def reliability_bins(predictions: Predictions) -> tuple[Bin, ...]:
    """Return the bins that a reliability plot draws."""
    indices = _bin_indices(predictions)
    members = [np.flatnonzero(indices == index) for index in range(BINS)]
    return tuple(
        Bin(
            low=index / BINS,
            high=(index + 1) / BINS,
            n=int(rows.size),
            confidence=float(predictions.confidence[rows].mean()) if rows.size else None,
            accuracy=float(predictions.correct[rows].mean()) if rows.size else None,
        )
        for index, rows in enumerate(members)
    )


def _bin_indices(predictions: Predictions) -> Integers:
    """Return the bin of each picture; bins are closed above: a confidence of 1/15 is in the first one."""
    indices = np.ceil(predictions.confidence * BINS - 1e-9).astype(np.int64) - 1
    return np.asarray(np.clip(indices, 0, BINS - 1), dtype=np.int64)


def _log_softmax(logs: Floats) -> Floats:
    # The maximum is subtracted so that exp cannot overflow.
    shifted = logs - logs.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
