"""Confusion matrices and the metrics of their counts, under any weights of the pictures."""

from __future__ import annotations

import numpy as np

from dermpack.metrics.predictions import Floats, Integers, Predictions


def confusion(predictions: Predictions) -> Integers:
    """Return the number of pictures by truth (row) and prediction (column)."""
    counts = weighted_confusion(predictions, np.ones((1, len(predictions))))
    return np.asarray(np.rint(counts[0]), dtype=np.int64)


def weighted_confusion(predictions: Predictions, weights: Floats) -> Floats:
    """Return one confusion matrix per row of weights: [r, n] → [r, k, k]."""
    k = len(predictions.classes)
    cells = predictions.truth * k + predictions.predicted
    # One matrix product sums all draws at once; only the cells that occur become columns.
    used, columns = np.unique(cells, return_inverse=True)
    sums = np.zeros((len(weights), k * k))
    sums[:, used] = weights @ np.eye(len(used))[columns.ravel()]
    return sums.reshape(-1, k, k)


def recall(counts: Floats) -> Floats:
    """Return the correct share of each class's pictures, [r, k]; NaN for a class without pictures."""
    return divide(_correct(counts), counts.sum(axis=2))


def precision(counts: Floats) -> Floats:
    """Return the correct share of each class's predictions; 0 for a class that is never predicted."""
    shares = divide(_correct(counts), counts.sum(axis=1))
    return np.where(np.isnan(shares) & (counts.sum(axis=2) > 0), 0.0, shares)


def f1(counts: Floats) -> Floats:
    """Return the harmonic mean of recall and precision; NaN for a class that never occurs."""
    return divide(2 * _correct(counts), counts.sum(axis=1) + counts.sum(axis=2))


def specificity(counts: Floats) -> Floats:
    """Return the share of the other classes' pictures that are not predicted as this class."""
    others = counts.sum(axis=(1, 2))[:, None] - counts.sum(axis=2)
    false_positives = counts.sum(axis=1) - _correct(counts)
    return divide(others - false_positives, others)


def mean_over_present(values: Floats, present: Floats) -> Floats:
    """Return the mean over the classes that have pictures, [r, k] → [r]; NaN if there are none."""
    known = (present > 0) & ~np.isnan(values)
    return divide(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def divide(numerator: Floats, denominator: Floats) -> Floats:
    """Return the quotient, and NaN without a warning where the denominator is not positive."""
    empty = np.full(np.shape(numerator), np.nan)
    return np.divide(numerator, denominator, out=empty, where=denominator > 0)


def _correct(counts: Floats) -> Floats:
    return np.diagonal(counts, axis1=1, axis2=2)
