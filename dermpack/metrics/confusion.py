"""Count which class was taken for which, under any weights of the pictures."""

from __future__ import annotations

import numpy as np

from dermpack.metrics.predictions import Floats, Integers, Predictions


def confusion(predictions: Predictions) -> Integers:
    """Pictures by truth (row) and prediction (column)."""
    counted = weighted_confusion(predictions, np.ones((1, len(predictions))))
    return np.asarray(np.rint(counted[0]), dtype=np.int64)


def weighted_confusion(predictions: Predictions, weights: Floats) -> Floats:
    """Weights [r, n] → [r, k, k]."""
    k = len(predictions.classes)
    cells = predictions.truth * k + predictions.predicted
    used, at = np.unique(cells, return_inverse=True)
    sums = np.zeros((len(weights), k * k))
    sums[:, used] = weights @ np.eye(len(used))[at.ravel()]
    return sums.reshape(-1, k, k)


def recall(counted: Floats) -> Floats:
    """Right of the class's own pictures, [r, k]; NaN for a class without pictures."""
    return divide(_right(counted), counted.sum(axis=2))


def precision(counted: Floats) -> Floats:
    """Right of what was called by the class's name; 0 for a class that is there and never called."""
    called = divide(_right(counted), counted.sum(axis=1))
    return np.where(np.isnan(called) & (counted.sum(axis=2) > 0), 0.0, called)


def f1(counted: Floats) -> Floats:
    """The harmonic mean of both; NaN for a class neither there nor called."""
    return divide(2 * _right(counted), counted.sum(axis=1) + counted.sum(axis=2))


def specificity(counted: Floats) -> Floats:
    """Of the pictures of other classes, those not called by this class's name."""
    others = counted.sum(axis=(1, 2))[:, None] - counted.sum(axis=2)
    false_calls = counted.sum(axis=1) - _right(counted)
    return divide(others - false_calls, others)


def mean_over_present(values: Floats, present: Floats) -> Floats:
    """The mean over the classes that have pictures, [r, k] → [r]; NaN where none has."""
    known = (present > 0) & ~np.isnan(values)
    return divide(np.where(known, values, 0.0).sum(axis=1), known.sum(axis=1).astype(np.float64))


def divide(above: Floats, below: Floats) -> Floats:
    """A quotient that is NaN, without a warning, where there is nothing to divide by."""
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


def _right(counted: Floats) -> Floats:
    return np.diagonal(counted, axis1=1, axis2=2)
