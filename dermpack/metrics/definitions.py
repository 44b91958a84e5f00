"""The definition of every metric, under any weights of the pictures.

Weights of 1 give a metric's value; the weights of a bootstrap draw give one draw of it. Value and
interval therefore always have the same definition.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dermpack.metrics import confusion as counts
from dermpack.metrics import ranking as ranks
from dermpack.metrics.calibration import weighted_ece
from dermpack.metrics.predictions import Floats, Predictions

Metric = Callable[[Predictions, Floats], Floats]  # weights [r, n] → [r]
LEVELS = (0.80, 0.90, 0.95)  # of sensitivity and specificity


def accuracy(predictions: Predictions) -> float:
    return metric_value(weighted_accuracy, predictions)


def balanced_accuracy(predictions: Predictions) -> float:
    """Return the mean recall of the classes that have pictures."""
    return metric_value(weighted_balanced_accuracy, predictions)


def auroc(predictions: Predictions) -> float:
    """Return the mean one-against-rest AUROC of the classes that have pictures; NaN for one class."""
    return metric_value(weighted_auroc, predictions)


def top_k_accuracy(predictions: Predictions, *, k: int) -> float:
    """Return how often the true class is among the k most probable classes."""
    return metric_value(_top(k), predictions)


def brier(predictions: Predictions) -> float:
    return metric_value(weighted_brier, predictions)


def ece(predictions: Predictions) -> float:
    """Return the expected calibration error of the predicted class over 15 bins."""
    return metric_value(weighted_ece, predictions)


def metric_value(metric: Metric, predictions: Predictions) -> float:
    """Return the metric with every picture counted once."""
    return float(metric(predictions, np.ones((1, len(predictions))))[0])


def score_overall(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    """Return the metrics of all classes together: name → [r], by the keys of the report."""
    return {name: metric(predictions, weights) for name, metric in OVERALL.items()}


def score_by_label(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    """Return the metrics of each class: name → [r, k], by the keys of the report."""
    counted = counts.weighted_confusion(predictions, weights)
    columns = [_score_ranking(predictions, index, weights) for index in range(len(predictions.classes))]
    ranked = {name: np.stack([column[name] for column in columns], axis=1) for name in columns[0]}
    return {**{name: metric(counted) for name, metric in BY_LABEL.items()}, **ranked}


def weighted_accuracy(predictions: Predictions, weights: Floats) -> Floats:
    return _mean(predictions.correct.astype(np.float64), weights)


def weighted_balanced_accuracy(predictions: Predictions, weights: Floats) -> Floats:
    return _macro(counts.recall)(predictions, weights)


def weighted_brier(predictions: Predictions, weights: Floats) -> Floats:
    """Return the mean squared distance to the truth, summed over classes: 0 is perfect, 2 is worst."""
    wanted = np.eye(len(predictions.classes))[predictions.truth]
    return _mean(((predictions.probabilities - wanted) ** 2).sum(axis=1), weights)


def weighted_auroc(predictions: Predictions, weights: Floats) -> Floats:
    return _mean_of_rankings(ranks.area_under_roc, predictions, weights)


def weighted_average_precision(predictions: Predictions, weights: Floats) -> Floats:
    return _mean_of_rankings(ranks.average_precision, predictions, weights)


def _mean_of_rankings(
    measure: Callable[[ranks.Ranking], Floats], predictions: Predictions, weights: Floats
) -> Floats:
    present = np.unique(predictions.truth)
    columns = [measure(ranks.rank_label(predictions, int(index), weights)) for index in present]
    values = np.stack(columns, axis=1)
    return counts.mean_over_present(values, np.ones_like(values))


def _score_ranking(predictions: Predictions, index: int, weights: Floats) -> dict[str, Floats]:
    ranking = ranks.rank_label(predictions, index, weights)
    scores = {"auroc": ranks.area_under_roc(ranking), "average_precision": ranks.average_precision(ranking)}
    for level in LEVELS:
        percent = round(level * 100)
        scores[f"sensitivity_at_specificity_{percent}"] = ranks.sensitivity_at(ranking, specificity=level)
        scores[f"specificity_at_sensitivity_{percent}"] = ranks.specificity_at(ranking, sensitivity=level)
    return scores


def _mean(values: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ values / weights.sum(axis=1))


def _macro(metric: Callable[[Floats], Floats]) -> Metric:
    """Return the mean of a class metric over the classes that have pictures."""

    def mean(predictions: Predictions, weights: Floats) -> Floats:
        counted = counts.weighted_confusion(predictions, weights)
        return counts.mean_over_present(metric(counted), counted.sum(axis=2))

    return mean


def _top(k: int) -> Metric:
    def share(predictions: Predictions, weights: Floats) -> Floats:
        # With k classes or fewer the answer is always right: there is nothing to measure.
        if len(predictions.classes) <= k:
            return np.full(len(weights), np.nan)
        order = np.argsort(-predictions.probabilities, axis=1, kind="stable")[:, :k]
        among = (order == predictions.truth[:, None]).any(axis=1)
        return _mean(among.astype(np.float64), weights)

    return share


BY_LABEL = {
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
