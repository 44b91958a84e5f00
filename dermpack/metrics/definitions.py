"""Every figure, defined once: under unit weights its value, under drawn weights its spread."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dermpack.metrics import confusion as counts
from dermpack.metrics import ranking as ranks
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.metrics.reliability import brier_of_each, weighted_ece

Metric = Callable[[Predictions, Floats], Floats]  # weights [r, n] → [r]
LEVELS = (0.80, 0.90, 0.95)  # of sensitivity and specificity


def accuracy(predictions: Predictions) -> float:
    return value(weighted_accuracy, predictions)


def balanced_accuracy(predictions: Predictions) -> float:
    """The mean recall of the classes that have pictures."""
    return value(weighted_balanced_accuracy, predictions)


def auroc(predictions: Predictions) -> float:
    """One against rest, the mean over the classes that have pictures; NaN where only one has."""
    return value(weighted_auroc, predictions)


def macro_f1(predictions: Predictions) -> float:
    return value(_macro(counts.f1), predictions)


def top(predictions: Predictions, *, k: int) -> float:
    """How often the truth is among the k most probable classes."""
    return value(_top(k), predictions)


def brier(predictions: Predictions) -> float:
    return value(weighted_brier, predictions)


def ece(predictions: Predictions) -> float:
    """Expected calibration error of the predicted class, 15 bins."""
    return value(weighted_ece, predictions)


def value(metric: Metric, predictions: Predictions) -> float:
    """The metric with every picture counted once."""
    return float(metric(predictions, np.ones((1, len(predictions))))[0])


def overall(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    """Name → [r], by the keys of the report."""
    return {name: metric(predictions, weights) for name, metric in OVERALL.items()}


def by_label(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    """Name → [r, k], by the keys of the report."""
    counted = counts.weighted_confusion(predictions, weights)
    found = {name: metric(counted) for name, metric in COUNTED.items()}
    columns = [_ranked(predictions, at, weights) for at in range(len(predictions.classes))]
    ranked = {name: np.stack([column[name] for column in columns], axis=1) for name in columns[0]}
    return {**found, **ranked}


def weighted_accuracy(predictions: Predictions, weights: Floats) -> Floats:
    return _mean(predictions.correct.astype(np.float64), weights)


def weighted_balanced_accuracy(predictions: Predictions, weights: Floats) -> Floats:
    return _macro(counts.recall)(predictions, weights)


def weighted_brier(predictions: Predictions, weights: Floats) -> Floats:
    return _mean(brier_of_each(predictions), weights)


def weighted_auroc(predictions: Predictions, weights: Floats) -> Floats:
    return _mean_of_rankings(ranks.area_under_roc, predictions, weights)


def weighted_average_precision(predictions: Predictions, weights: Floats) -> Floats:
    return _mean_of_rankings(ranks.average_precision, predictions, weights)


def _mean_of_rankings(
    measure: Callable[[ranks.Ranking], Floats], predictions: Predictions, weights: Floats
) -> Floats:
    present = np.unique(predictions.truth)
    columns = [measure(ranks.rank_label(predictions, int(at), weights)) for at in present]
    values = np.stack(columns, axis=1)
    return counts.mean_over_present(values, np.ones_like(values))


def _ranked(predictions: Predictions, at: int, weights: Floats) -> dict[str, Floats]:
    ranking = ranks.rank_label(predictions, at, weights)
    found = {"auroc": ranks.area_under_roc(ranking), "average_precision": ranks.average_precision(ranking)}
    for level in LEVELS:
        percent = round(level * 100)
        found[f"sensitivity_at_specificity_{percent}"] = ranks.sensitivity_at(ranking, specificity=level)
        found[f"specificity_at_sensitivity_{percent}"] = ranks.specificity_at(ranking, sensitivity=level)
    return found


def _mean(values: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ values / weights.sum(axis=1))


def _macro(metric: Callable[[Floats], Floats]) -> Metric:
    def mean(predictions: Predictions, weights: Floats) -> Floats:
        counted = counts.weighted_confusion(predictions, weights)
        return counts.mean_over_present(metric(counted), counted.sum(axis=2))

    return mean


def _top(k: int) -> Metric:
    def share(predictions: Predictions, weights: Floats) -> Floats:
        if len(predictions.classes) <= k:  # true of every guess: says nothing
            return np.full(len(weights), np.nan)
        order = np.argsort(-predictions.probabilities, axis=1, kind="stable")[:, :k]
        among = (order == predictions.truth[:, None]).any(axis=1)
        return _mean(among.astype(np.float64), weights)

    return share


COUNTED = {
    "precision": counts.precision,
    "recall": counts.recall,
    "f1": counts.f1,
    "specificity": counts.specificity,
}
OVERALL: dict[str, Metric] = {
    "accuracy": weighted_accuracy,
    "balanced_accuracy": weighted_balanced_accuracy,
    "auroc": weighted_auroc,
    "macro_precision": _macro(counts.precision),
    "macro_recall": _macro(counts.recall),
    "macro_f1": _macro(counts.f1),
    "average_precision": weighted_average_precision,
    "top3": _top(3),
    "top5": _top(5),
    "brier": weighted_brier,
    "ece": weighted_ece,
}
