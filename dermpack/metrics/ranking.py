"""Rank pictures by one class's probability: ROC, AUROC, precision-recall, what a threshold costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dermpack.metrics.confusion import divide
from dermpack.metrics.predictions import Flags, Floats, Predictions

TOLERANCE = 1e-9  # of a sum of weights: 0.9 × 10 pictures are nine, whatever the last bit says


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ranking:
    """Weight at or above each threshold, thresholds falling; column 0 is "above all"."""

    thresholds: Floats  # [t]
    hits: Floats  # [r, t + 1], weight of the class's own pictures
    alarms: Floats  # [r, t + 1], weight of the others

    @property
    def positives(self) -> Floats:
        return self.hits[:, -1:]

    @property
    def negatives(self) -> Floats:
        return self.alarms[:, -1:]


def rank(scores: Floats, positive: Flags, weights: Floats) -> Ranking:
    """Scores [n], own pictures [n], weights [r, n]; equal scores share a threshold."""
    order = np.argsort(-scores, kind="stable")
    falling, own = scores[order], positive[order].astype(np.float64)
    last_of_equals = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    weight = weights[:, order]
    return Ranking(
        thresholds=falling[last_of_equals],
        hits=_from_zero(np.cumsum(weight * own, axis=1)[:, last_of_equals]),
        alarms=_from_zero(np.cumsum(weight * (1 - own), axis=1)[:, last_of_equals]),
    )


def rank_label(predictions: Predictions, at: int, weights: Floats | None = None) -> Ranking:
    """Rank by the probability of the class at this position, one against rest."""
    weights = np.ones((1, len(predictions))) if weights is None else weights
    return rank(predictions.probabilities[:, at], predictions.truth == at, weights)


def area_under_roc(ranking: Ranking) -> Floats:
    """AUROC, [r]; ties count half; NaN without both own pictures and others."""
    heights = (ranking.hits[:, 1:] + ranking.hits[:, :-1]) / 2
    area = (np.diff(ranking.alarms, axis=1) * heights).sum(axis=1)
    return divide(area, (ranking.positives * ranking.negatives)[:, 0])


def average_precision(ranking: Ranking) -> Floats:
    """The area under the precision-recall steps, [r]."""
    called = ranking.hits[:, 1:] + ranking.alarms[:, 1:]
    precise = np.nan_to_num(divide(ranking.hits[:, 1:], called))
    return divide((np.diff(ranking.hits, axis=1) * precise).sum(axis=1), ranking.positives[:, 0])


def sensitivity_at(ranking: Ranking, *, specificity: float) -> Floats:
    """The best sensitivity of a threshold that is at least this specific, [r]."""
    allowed = (1 - specificity) * ranking.negatives + TOLERANCE
    at = (ranking.alarms <= allowed).sum(axis=1, keepdims=True) - 1
    best = divide(np.take_along_axis(ranking.hits, at, axis=1), ranking.positives)[:, 0]
    return np.where(ranking.negatives[:, 0] > 0, best, np.nan)


def specificity_at(ranking: Ranking, *, sensitivity: float) -> Floats:
    """The best specificity of a threshold that is at least this sensitive, [r]."""
    wanted = sensitivity * ranking.positives - TOLERANCE
    at = (ranking.hits < wanted).sum(axis=1, keepdims=True)
    quiet = ranking.negatives - np.take_along_axis(ranking.alarms, at, axis=1)
    best = divide(quiet, ranking.negatives)[:, 0]
    return np.where(ranking.positives[:, 0] > 0, best, np.nan)


def _from_zero(sums: Floats) -> Floats:
    return np.concatenate([np.zeros((len(sums), 1)), sums], axis=1)
