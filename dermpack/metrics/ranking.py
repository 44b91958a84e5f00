"""Rankings of pictures by the probability of one class: ROC, AUROC and precision-recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dermpack.metrics.confusion import divide
from dermpack.metrics.predictions import Flags, Floats, Predictions

TOLERANCE = 1e-9  # for sums of weights: 0.9 × 10 pictures are nine, despite rounding


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


def rank(scores: Floats, positive: Flags, weights: Floats) -> Ranking:
    """Rank by scores [n] under weights [r, n]; equal scores share one threshold."""
    order = np.argsort(-scores, kind="stable")
    descending, own = scores[order], positive[order].astype(np.float64)
    last_of_equals = np.append(np.flatnonzero(np.diff(descending)), len(descending) - 1)
    weight = weights[:, order]
    sums = [np.cumsum(weight * flags, axis=1)[:, last_of_equals] for flags in (own, 1 - own)]
    # The curve starts at the origin: nothing is predicted above the highest threshold.
    hits, alarms = (np.pad(column, ((0, 0), (1, 0))) for column in sums)
    return Ranking(thresholds=descending[last_of_equals], hits=hits, alarms=alarms)


def rank_label(predictions: Predictions, index: int, weights: Floats | None = None) -> Ranking:
    """Rank by the probability of the class at this index, one against rest."""
    weights = np.ones((1, len(predictions))) if weights is None else weights
    return rank(predictions.probabilities[:, index], predictions.truth == index, weights)


def area_under_roc(ranking: Ranking) -> Floats:
    """Return the AUROC, [r]; ties count half; NaN unless there are positives and negatives."""
    heights = (ranking.hits[:, 1:] + ranking.hits[:, :-1]) / 2
    area = (np.diff(ranking.alarms, axis=1) * heights).sum(axis=1)
    return divide(area, (ranking.positives * ranking.negatives)[:, 0])


def average_precision(ranking: Ranking) -> Floats:
    """Return the area under the steps of the precision-recall curve, [r]."""
    predicted = ranking.hits[:, 1:] + ranking.alarms[:, 1:]
    precision = np.nan_to_num(divide(ranking.hits[:, 1:], predicted))
    return divide((np.diff(ranking.hits, axis=1) * precision).sum(axis=1), ranking.positives[:, 0])


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
