"""The definition of every metric, under any weights of the pictures.

Weights of 1 give a metric's value; the weights of a bootstrap draw give one draw of it. Value and
interval therefore always have the same definition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from dermpack.metrics.calibration import weighted_ece
from dermpack.metrics.predictions import Floats, Integers, Predictions

Metric = Callable[[Predictions, Floats], Floats]  # weights [r, n] → [r]
LEVELS = (0.80, 0.90, 0.95)  # of sensitivity and specificity
TOLERANCE = 1e-9  # for sums of weights: 0.9 × 10 pictures are nine, despite rounding


def metric_value(metric: Metric, predictions: Predictions) -> float:
    """Return the metric with every picture counted once."""
    return float(metric(predictions, np.ones((1, len(predictions))))[0])


def score_overall(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    """Return the metrics of all classes together: name → [r], by the keys of the report."""
    return {name: metric(predictions, weights) for name, metric in OVERALL.items()}


def score_by_label(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    """Return the metrics of each class: name → [r, k], by the keys of the report."""
    counted = weighted_confusion(predictions, weights)
    columns = [_score_ranking(predictions, index, weights) for index in range(len(predictions.classes))]
    ranked = {name: np.stack([column[name] for column in columns], axis=1) for name in columns[0]}
    return {**{name: metric(counted) for name, metric in BY_LABEL.items()}, **ranked}


def weighted_accuracy(predictions: Predictions, weights: Floats) -> Floats:
    return _mean(predictions.correct.astype(np.float64), weights)


def weighted_brier(predictions: Predictions, weights: Floats) -> Floats:
    """Return the mean squared distance to the truth, summed over classes: 0 is perfect, 2 is worst."""
    wanted = np.eye(len(predictions.classes))[predictions.truth]
    return _mean(((predictions.probabilities - wanted) ** 2).sum(axis=1), weights)


def _score_ranking(predictions: Predictions, index: int, weights: Floats) -> dict[str, Floats]:
    ranking = rank_label(predictions, index, weights)
    scores = {"auroc": area_under_roc(ranking), "average_precision": average_precision(ranking)}
    for level in LEVELS:
        percent = round(level * 100)
        scores[f"sensitivity_at_specificity_{percent}"] = sensitivity_at(ranking, specificity=level)
        scores[f"specificity_at_sensitivity_{percent}"] = specificity_at(ranking, sensitivity=level)
    return scores


def _mean(values: Floats, weights: Floats) -> Floats:
    return np.asarray(weights @ values / weights.sum(axis=1))


def _mean_of_rankings(measure: Callable[[Ranking], Floats]) -> Metric:
    """Return the mean of a measure, one against rest, of the classes that have pictures; NaN for one."""

    def mean(predictions: Predictions, weights: Floats) -> Floats:
        present = np.unique(predictions.truth)
        columns = [measure(rank_label(predictions, int(index), weights)) for index in present]
        values = np.stack(columns, axis=1)
        return mean_over_present(values, np.ones_like(values))

    return mean


def _macro(metric: Callable[[Floats], Floats]) -> Metric:
    """Return the mean of a class metric over the classes that have pictures."""

    def mean(predictions: Predictions, weights: Floats) -> Floats:
        counted = weighted_confusion(predictions, weights)
        return mean_over_present(metric(counted), counted.sum(axis=2))

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


# Counts


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


def label_recall(index: int) -> Metric:
    """Return the recall of one class as a metric."""
    return lambda predictions, weights: recall(weighted_confusion(predictions, weights))[:, index]


def label_auroc(index: int) -> Metric:
    """Return the AUROC of one class against all others as a metric."""
    return lambda predictions, weights: area_under_roc(rank_label(predictions, index, weights))


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


# Rankings by the probability of one class


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """Summed weights at or above each threshold, thresholds descending; column 0 is above all of them."""

    thresholds: Floats  # [t]
    hits: Floats  # [r, t + 1], weight of the class's own pictures
    alarms: Floats  # [r, t + 1], weight of the other pictures

    @property
    def positives(self) -> Floats:
        return self.hits[:, -1:]

    @property
    def negatives(self) -> Floats:
        return self.alarms[:, -1:]


def rank_label(predictions: Predictions, index: int, weights: Floats | None = None) -> Ranking:
    """Rank by the probability of the class at this index, one against rest; equal ones share a threshold."""
    weights = np.ones((1, len(predictions))) if weights is None else weights
    scores, positive = predictions.probabilities[:, index], predictions.truth == index
    order = np.argsort(-scores, kind="stable")
    descending, own = scores[order], positive[order].astype(np.float64)
    last_of_equals = np.append(np.flatnonzero(np.diff(descending)), len(descending) - 1)
    weight = weights[:, order]
    sums = [np.cumsum(weight * flags, axis=1)[:, last_of_equals] for flags in (own, 1 - own)]
    # The curve starts at the origin: nothing is predicted above the highest threshold.
    hits, alarms = (np.pad(column, ((0, 0), (1, 0))) for column in sums)
    return Ranking(thresholds=descending[last_of_equals], hits=hits, alarms=alarms)


def area_under_roc(ranking: Ranking) -> Floats:
    """Return the AUROC, [r]; ties count half; NaN unless there are positives and negatives."""
    heights = (ranking.hits[:, 1:] + ranking.hits[:, :-1]) / 2
    area = (np.diff(ranking.alarms, axis=1) * heights).sum(axis=1)
    return divide(area, (ranking.positives * ranking.negatives)[:, 0])


def average_precision(ranking: Ranking) -> Floats:
    """Return the area under the steps of the precision-recall curve, [r]."""
    predicted = ranking.hits[:, 1:] + ranking.alarms[:, 1:]
    heights = np.nan_to_num(divide(ranking.hits[:, 1:], predicted))
    return divide((np.diff(ranking.hits, axis=1) * heights).sum(axis=1), ranking.positives[:, 0])


def sensitivity_at(ranking: Ranking, *, specificity: float) -> Floats:
    """Return the best sensitivity of a threshold with at least this specificity, [r]."""
    allowed = (1 - specificity) * ranking.negatives + TOLERANCE
    # Alarms grow from left to right: the last column within the limit has the most hits.
    column = (ranking.alarms <= allowed).sum(axis=1, keepdims=True) - 1
    best = divide(np.take_along_axis(ranking.hits, column, axis=1), ranking.positives)[:, 0]
    return np.where(ranking.negatives[:, 0] > 0, best, np.nan)


def specificity_at(ranking: Ranking, *, sensitivity: float) -> Floats:
    """Return the best specificity of a threshold with at least this sensitivity, [r]."""
    required = sensitivity * ranking.positives - TOLERANCE
    # The first column with enough hits has the fewest alarms.
    column = (ranking.hits < required).sum(axis=1, keepdims=True)
    rejected = ranking.negatives - np.take_along_axis(ranking.alarms, column, axis=1)
    best = divide(rejected, ranking.negatives)[:, 0]
    return np.where(ranking.positives[:, 0] > 0, best, np.nan)


# The metrics as functions of weights, and of predictions that count once; then all of them, by their keys.
weighted_balanced_accuracy = _macro(recall)
weighted_auroc = _mean_of_rankings(area_under_roc)
accuracy = partial(metric_value, weighted_accuracy)
balanced_accuracy = partial(metric_value, weighted_balanced_accuracy)
auroc = partial(metric_value, weighted_auroc)
ece = partial(metric_value, weighted_ece)
BY_LABEL = {"precision": precision, "recall": recall, "f1": f1, "specificity": specificity}
OVERALL: dict[str, Metric] = {
    "accuracy": weighted_accuracy,
    "balanced_accuracy": weighted_balanced_accuracy,
    "auroc": weighted_auroc,
    "macro_precision": _macro(precision),
    "macro_recall": weighted_balanced_accuracy,
    "macro_f1": _macro(f1),
    "average_precision": _mean_of_rankings(average_precision),
    "top3": _top(3),
    "top5": _top(5),
    "brier": weighted_brier,
    "ece": weighted_ece,
}
