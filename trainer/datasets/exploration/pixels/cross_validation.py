"""Predict the label of each picture by a classifier that was not fitted on it, nor on anything related to it.

Pictures of one group, of one cluster of near duplicates and of one file form a unit. The folds divide units,
never pictures: otherwise a classifier would recognise a patient or a copy instead of the condition.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from dermpack.dataset.manifest import Picture
from dermpack.metrics.definitions import (
    area_under_roc,
    rank_label,
    weighted_auroc,
    weighted_balanced_accuracy,
)
from dermpack.metrics.intervals import bootstrap
from dermpack.metrics.predictions import Floats, Integers, Predictions
from dermpack.metrics.summary import Figure, make_figure
from dermpack.progress import Track, silent
from trainer.datasets.picture_features import MIN_DEVIATION, Features
from trainer.datasets.splits.split import join_equal

FOLDS = 5
MIN_PICTURES = 10  # of a class; a classifier cannot learn a class from fewer
RESAMPLES = 200  # draws of units; the ends of an interval are stable to its second decimal
# On 1,500 pictures of HAM10000 and 3,034 clinical photographs with 5 % wrong labels, 0.001 ranked the wrong
# ones better at the top than 0.003 and 0.01: with 1,280 features, a weaker penalty fits the wrong labels.
PENALTY = 0.001
MAX_ITERATIONS, TOLERANCE = 300, 1e-3
MAX_DEVIATIONS = 5.0
DIGITS = 4  # of reported figures: the last bits depend on the number of threads
METRICS = {"balanced_accuracy": weighted_balanced_accuracy, "auroc": weighted_auroc}


@dataclass(frozen=True, slots=True, kw_only=True)
class Folds:
    """The pictures that are predicted, their labels, and the fold of each; all arrays have one item each."""

    rows: tuple[int, ...]  # indices of the pictures among all pictures
    classes: tuple[str, ...]
    truth: Integers  # indices into classes
    units: Integers
    fold: Integers
    too_small: tuple[tuple[str, int], ...]  # class, pictures: classes that cannot be learned
    refusal: str = ""  # why nothing can be predicted


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionQuality:
    """How well something predicts the label: figures with intervals over units."""

    balanced_accuracy: Figure
    auroc: Figure  # the mean over the classes, each against all others
    best_class: str  # the class that is predicted best
    best_auroc: float  # of that class, without an interval


def divide_into_folds(pictures: Sequence[Picture], *, seed: int) -> Folds:
    """Return the folds of all pictures whose class has enough pictures and units."""
    all_units = find_units(pictures)
    sizes = Counter(picture.label for picture in pictures)
    units_of_class: dict[str, set[int]] = {label: set() for label in sizes}
    for unit, picture in zip(all_units, pictures, strict=True):
        units_of_class[picture.label].add(unit)
    usable = {
        label for label, size in sizes.items() if size >= MIN_PICTURES and len(units_of_class[label]) >= FOLDS
    }
    rows = tuple(index for index, picture in enumerate(pictures) if picture.label in usable)
    classes = tuple(sorted(usable))
    truth = np.array([classes.index(pictures[index].label) for index in rows], dtype=np.int64)
    units = np.array([all_units[index] for index in rows], dtype=np.int64)
    fold = np.zeros(len(rows), dtype=np.int64)
    refusal = ""
    if len(classes) < 2:
        refusal = f"fewer than two classes have at least {MIN_PICTURES} pictures in {FOLDS} groups or more"
    else:
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for number, (_, held_out) in enumerate(splitter.split(truth, truth, units)):
            fold[held_out] = number
    return Folds(
        rows=rows,
        classes=classes,
        truth=truth,
        units=units,
        fold=fold,
        too_small=tuple(sorted((label, size) for label, size in sizes.items() if label not in usable)),
        refusal=refusal,
    )


def find_units(pictures: Sequence[Picture]) -> list[int]:
    """Return the unit of each picture, named by the index of its first picture."""
    return join_equal(
        [picture.group for picture in pictures],
        [picture.cluster for picture in pictures],
        [picture.sha256 for picture in pictures],
    )


def predict_out_of_fold(
    features: NDArray[Any], folds: Folds, classifier: Any, *, what: str, track: Track = silent
) -> Floats:
    """Return the probabilities [n, k] of the pictures of the folds; `features` has a row for each of them."""
    probabilities = np.zeros((len(folds.rows), len(folds.classes)))
    for number in track(range(FOLDS), total=FOLDS, what=what):
        held_out = folds.fold == number
        if not held_out.any() or held_out.all():
            continue
        # One thread: with several, the last bits depend on the number of processors.
        with threadpool_limits(1), warnings.catch_warnings():
            # A fit that is stopped early ranks pictures as well.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = classifier.fit(features[~held_out], folds.truth[~held_out])
        # A class whose pictures are all in this fold keeps the probability 0.
        columns = np.flatnonzero(held_out)[:, None], fitted.classes_[None, :]
        probabilities[columns] = fitted.predict_proba(features[held_out])
    return probabilities


def scale_features(features: Features) -> Features:
    """Return the features with mean 0 and deviation 1 over the pictures, cut off at MAX_DEVIATIONS.

    Without the cut, a feature that is 0 in nearly all pictures would decide about the few others alone.
    """
    scaled: Features = features - features.mean(axis=0)
    scaled /= features.std(axis=0) + MIN_DEVIATION
    return np.clip(scaled, -MAX_DEVIATIONS, MAX_DEVIATIONS, out=scaled)


def create_linear_classifier() -> LogisticRegression:
    """Return logistic regression for scaled features of the network."""
    return LogisticRegression(C=PENALTY, max_iter=MAX_ITERATIONS, tol=TOLERANCE)


def balance_classes(probabilities: Floats, truth: Integers, *, power: float) -> Floats:
    """Divide the probabilities by the classes' shares to this power: 1 makes all classes equally likely."""
    shares = np.maximum(np.bincount(truth, minlength=probabilities.shape[1]) / max(len(truth), 1), 1e-9)
    balanced = np.maximum(probabilities, 1e-9) / shares**power
    return np.asarray(balanced / balanced.sum(axis=1, keepdims=True))


def join_predictions(probabilities: Floats, folds: Folds) -> Predictions:
    """Return the probabilities with the truth and the units of the folds."""
    return Predictions(
        classes=folds.classes,
        pictures=tuple(map(str, folds.rows)),
        groups=tuple(map(str, folds.units)),
        truth=folds.truth,
        probabilities=probabilities,
    )


def score_probabilities(probabilities: Floats, folds: Folds, *, seed: int) -> PredictionQuality:
    """Return balanced accuracy and AUROC with their intervals; the probabilities are of balanced classes."""
    predictions = join_predictions(probabilities, folds)

    def measure(scored: Predictions, weights: Floats) -> dict[str, Floats]:
        return {name: metric(scored, weights) for name, metric in METRICS.items()}

    values = measure(predictions, np.ones((1, len(predictions))))
    draws = bootstrap(predictions, measure, resamples=RESAMPLES, seed=seed)
    figures = {name: make_figure(value[0], draws.get(name)) for name, value in values.items()}
    everyone = np.ones((1, len(predictions)))
    areas = [
        float(area_under_roc(rank_label(predictions, index, everyone))[0])
        for index in range(len(folds.classes))
    ]
    best = int(np.argmax(areas))
    return PredictionQuality(
        **{name: _round_figure(figure) for name, figure in figures.items()},
        best_class=folds.classes[best],
        best_auroc=round(areas[best], DIGITS),
    )


def _round_figure(figure: Figure) -> Figure:
    value = None if figure.value is None else round(figure.value, DIGITS)
    ci95 = None if figure.ci95 is None else (round(figure.ci95[0], DIGITS), round(figure.ci95[1], DIGITS))
    return Figure(value=value, ci95=ci95)
