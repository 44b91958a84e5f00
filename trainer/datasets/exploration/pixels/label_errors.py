"""Find pictures whose label may be wrong: a classifier that never saw them is sure of another label.

The classifier is logistic regression on the features of a small pretrained network, fitted on the other
folds. Suspects are ranked by the odds of the most likely other label against the given one. The odds are
corrected by the square root of the classes' shares: without the correction, pictures of rare classes lead
the list; with the full one, pictures of frequent classes do. With 5 % of the labels changed at random, by
the classes' shares, and features of one orientation (AUROC of the ranking, precision among the first 50):

    pictures                            odds as here    without correction    full    margin of cleanlab 2.9
    HAM10000, 1,500 of 7 classes        .91, .56        .89, .56              .87, .36       .89, .56
    fitzpatrick21, 3,034 of 21 classes  .86, .48        .84, .44              .86, .40       .79, .32

cleanlab ranks by the same kind of probabilities, and its choice of pictures (a fifth of HAM10000, 40 % of
fitzpatrick21) is too long to look at: it is not a dependency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dermpack.dataset.manifest import Picture
from dermpack.metrics.calibration import apply_temperature, fit_temperature
from dermpack.metrics.predictions import Floats, Integers
from trainer.datasets.exploration.pixels.cross_validation import (
    Folds,
    PredictionQuality,
    balance_classes,
    join_predictions,
    score_probabilities,
)

# Of 5 % labels changed at random, these odds found 41 % in 1,500 pictures of HAM10000, 39 % in fitzpatrick21
# and 70 % in 309 generated pictures; 67 %, 19 % and all of the suspects were changed ones. The other suspects
# are difficult pictures and errors of the original labels.
MIN_ODDS = 10.0
CORRECTION = 0.5  # the exponent of the classes' shares
MAX_ODDS = 1_000.0  # larger ones are extrapolation
MAX_SUSPECTS = 200  # in report.json


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectedLabel:
    """A picture whose label may be wrong."""

    picture: str
    label: str
    suggested: str
    odds: float  # of the suggested label against the given one


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelErrors:
    """The suspects, the most suspicious first, and how well the classifier predicts the classes."""

    judged: int = 0
    suspected: int = 0  # pictures with at least `min_odds`
    min_odds: float = MIN_ODDS
    suspects: tuple[SuspectedLabel, ...] = ()
    not_judged: tuple[tuple[str, int], ...] = ()  # class, pictures: too few to learn it
    quality: PredictionQuality | None = None  # of the classifier, measured by the given labels
    refusal: str = ""  # why nothing was judged


def find_label_errors(
    pictures: Sequence[Picture], probabilities: Floats, folds: Folds, *, seed: int
) -> LabelErrors:
    """Return the suspects; `probabilities` are those of the folds' pictures, predicted out of fold."""
    odds, suggested = rank_labels(calibrate_probabilities(probabilities, folds), folds)
    order = np.lexsort((np.array(folds.rows), -odds))
    chosen = [index for index in order if odds[index] >= MIN_ODDS]
    balanced = balance_classes(probabilities, folds.truth, power=1.0)
    return LabelErrors(
        judged=len(folds.rows),
        suspected=len(chosen),
        suspects=tuple(
            SuspectedLabel(
                picture=pictures[folds.rows[index]].path,
                label=folds.classes[folds.truth[index]],
                suggested=folds.classes[suggested[index]],
                odds=float(odds[index]),
            )
            for index in chosen[:MAX_SUSPECTS]
        ),
        not_judged=folds.too_small,
        quality=score_probabilities(balanced, folds, seed=seed),
    )


def calibrate_probabilities(probabilities: Floats, folds: Folds) -> Floats:
    """Return the probabilities at the temperature that fits the labels best.

    Of few pictures, a classifier with a strong penalty learns the right order, but is sure of nothing: on 309
    generated pictures, no odds would reach MIN_ODDS.
    """
    positive = np.maximum(probabilities, 1e-9)
    positive /= positive.sum(axis=1, keepdims=True)
    return apply_temperature(positive, fit_temperature(join_predictions(positive, folds)))


def rank_labels(probabilities: Floats, folds: Folds) -> tuple[Floats, Integers]:
    """Return the odds of the most likely other label against the given one, and the index of the other."""
    corrected = balance_classes(probabilities, folds.truth, power=CORRECTION)
    everyone = np.arange(len(folds.truth))
    given = corrected[everyone, folds.truth]
    others = corrected.copy()
    others[everyone, folds.truth] = -1
    odds = np.minimum(others.max(axis=1) / given, MAX_ODDS)
    return np.round(odds, 2), np.asarray(others.argmax(axis=1), dtype=np.int64)
