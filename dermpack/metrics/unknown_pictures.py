"""Score how well a number separates unknown pictures from known ones.

Known and unknown pictures become the two classes of one Predictions, so that the definitions, the intervals
and the paired comparison are those of every other figure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dermpack.metrics import RESAMPLES
from dermpack.metrics.definitions import Metric, area_under_roc, rank_label, sensitivity_at
from dermpack.metrics.intervals import Difference, bootstrap, compare_metric
from dermpack.metrics.predictions import Floats, Predictions, as_truth
from dermpack.metrics.summary import Figure, flat_record, make_figure
from dermpack.metrics.thresholds import share_figures
from dermpack.storage.codec import encode

ACCEPTED = 0.95  # share of the known pictures
KNOWN, UNKNOWN = 0, 1  # the classes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnknownScore:
    """A number for each picture of a set, higher for less familiar ones, and the groups of the pictures."""

    groups: tuple[str, ...]
    values: Floats  # finite

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Separation:
    """How well one score separates unknown from known pictures."""

    auroc: Figure
    # The share of the unknown pictures below the threshold that accepts 95 % of the known ones.
    false_acceptance: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownComparison:
    """The separation by the familiarity score and by the confidence, on the same pictures."""

    known: int
    unknown: int
    familiarity: Separation
    confidence: Separation  # one minus the probability of the most probable label
    auroc_difference: Difference  # of the familiarity score, minus that of the confidence
    false_acceptance_difference: Difference
    known_accepted: Figure  # share at or below the threshold of the contract
    unknown_accepted: Figure

    def record(self) -> dict[str, Any]:
        """Return the JSON form: a value and an interval for each figure."""
        return {
            "known": self.known,
            "unknown": self.unknown,
            "familiarity": flat_record(self.familiarity),
            "confidence": flat_record(self.confidence),
            "auroc_difference": encode(self.auroc_difference),
            "false_acceptance_difference": encode(self.false_acceptance_difference),
            "known_accepted": encode(self.known_accepted),
            "unknown_accepted": encode(self.unknown_accepted),
        }


def compare_separation(
    familiarity: tuple[UnknownScore, UnknownScore],
    confidence: tuple[UnknownScore, UnknownScore],
    *,
    threshold: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> UnknownComparison:
    """Compare two scores of the known and the unknown pictures, each a pair in this order.

    `threshold` is that of the contract, for the familiarity score.
    """
    first, second = _as_predictions(*confidence), _as_predictions(*familiarity)

    def separate(predictions: Predictions) -> Separation:
        values = _measure(predictions, np.ones((1, len(predictions))))
        draws = bootstrap(predictions, _measure, resamples=resamples, seed=seed)
        return Separation(**{name: make_figure(value[0], draws.get(name)) for name, value in values.items()})

    def compare(metric: Metric) -> Difference:
        return compare_metric(first, second, metric, resamples=resamples, seed=seed)

    is_accepted = np.concatenate([score.values for score in familiarity]) <= threshold
    parts = {"known": (is_accepted, second.truth == KNOWN), "unknown": (is_accepted, second.truth == UNKNOWN)}
    accepted = share_figures(second, parts, resamples=resamples, seed=seed)
    return UnknownComparison(
        known=len(familiarity[0]),
        unknown=len(familiarity[1]),
        familiarity=separate(second),
        confidence=separate(first),
        auroc_difference=compare(weighted_separation),
        false_acceptance_difference=compare(weighted_false_acceptance),
        known_accepted=accepted["known"],
        unknown_accepted=accepted["unknown"],
    )


def weighted_separation(predictions: Predictions, weights: Floats) -> Floats:
    """Return the AUROC of unknown against known pictures."""
    return area_under_roc(rank_label(predictions, UNKNOWN, weights))


def weighted_false_acceptance(predictions: Predictions, weights: Floats) -> Floats:
    """Return the share of unknown pictures that are accepted where at least 95 % of the known ones are."""
    return np.asarray(1 - sensitivity_at(rank_label(predictions, UNKNOWN, weights), specificity=ACCEPTED))


def _measure(predictions: Predictions, weights: Floats) -> dict[str, Floats]:
    return {
        "auroc": weighted_separation(predictions, weights),
        "false_acceptance": weighted_false_acceptance(predictions, weights),
    }


def _as_predictions(known: UnknownScore, unknown: UnknownScore) -> Predictions:
    """Return the two sets as two classes, with the rank of each value as the probability of "unknown"."""
    values = np.concatenate([known.values, unknown.values])
    # Only the order matters, and ranks stay apart where a probability near 1 would be rounded.
    distinct, ranks = np.unique(values, return_inverse=True)
    shares = ranks.reshape(-1) / max(len(distinct) - 1, 1)
    sets = [("known", known), ("unknown", unknown)]
    return Predictions(
        classes=("known", "unknown"),
        pictures=tuple(f"{name}/{index}" for name, score in sets for index in range(len(score))),
        groups=tuple(group and f"{name}/{group}" for name, score in sets for group in score.groups),
        truth=as_truth([KNOWN] * len(known) + [UNKNOWN] * len(unknown)),
        probabilities=np.stack([1 - shares, shares], axis=1),
    )
