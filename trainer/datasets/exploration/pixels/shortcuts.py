"""Measure how well each metadata column, and the outer border of the pictures alone, predict the label.

A model learns whatever predicts the label: the clinic, the camera, letters in a corner. Each predictor is
scored out of fold (see cross_validation) by the balanced accuracy and the mean AUROC of the classes, each
against all others. The border may also show the condition itself, so the score of whole pictures stands next
to it. It is measured by colours, contrasts and edges (see picture_measures) and a random forest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from dermpack.dataset.manifest import Picture
from dermpack.metrics.predictions import Floats, Integers
from dermpack.metrics.slices import band_numbers
from dermpack.progress import Track, silent
from trainer.datasets.exploration.columns import MAX_BANDS, Column
from trainer.datasets.exploration.importance import SAME_AS_LABEL, exclusion_reason, size_columns
from trainer.datasets.exploration.pixels.cross_validation import (
    FOLDS,
    Folds,
    PredictionQuality,
    balance_classes,
    predict_out_of_fold,
    score_probabilities,
)

MAX_COLUMNS = 20
PRIOR_WEIGHT = 2.0  # pictures; a value that few pictures have says little
TREES, MIN_LEAF = 100, 5
CHANCE = 0.5  # the AUROC of guessing
MIN_AUROC = 0.6  # the lower end of the interval, for a warning


class PredictorKind(Enum):
    """The data from which the label is predicted."""

    COLUMN = "column"
    BORDER = "border"
    PICTURE = "whole picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPredictor:
    """How well a column, or a part of the pictures, predicts the label."""

    name: str
    kind: PredictorKind
    values: int  # different values of a column; 0 for pictures
    quality: PredictionQuality

    @property
    def is_suspicious(self) -> bool:
        """Whether the AUROC is better than guessing by a margin, even at the low end of its interval."""
        low = self.quality.auroc.ci95[0] if self.quality.auroc.ci95 else self.quality.auroc.value
        return self.kind is not PredictorKind.PICTURE and (low or 0.0) >= MIN_AUROC


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcuts:
    """The predictors, the best first, measured on `n` pictures of `classes` classes in `groups` units."""

    n: int = 0
    groups: int = 0
    classes: int = 0
    predictors: tuple[LabelPredictor, ...] = ()
    excluded: tuple[tuple[str, str], ...] = ()  # column, reason
    refusal: str = ""  # why nothing was measured

    @property
    def same_as_label(self) -> tuple[str, ...]:
        """The columns that divide the pictures as the label does."""
        return tuple(name for name, reason in self.excluded if reason == SAME_AS_LABEL)


def measure_shortcuts(
    pictures: Sequence[Picture],
    columns: Sequence[Column],
    folds: Folds,
    *,
    border: NDArray[np.float32] | None,
    whole: PredictionQuality | None,
    seed: int,
    track: Track = silent,
) -> Shortcuts:
    """Return the scores; `columns` have a cell for each picture, `border` a row for each one of the folds.

    `whole` is the score of whole pictures, to compare with; None if it was not measured.
    """
    candidates = (*columns, *size_columns(pictures))
    reasons = {column.name: exclusion_reason(column, pictures) for column in candidates}
    used = [column for column in candidates if not reasons[column.name]]
    reasons |= {column.name: f"comes after {MAX_COLUMNS} others" for column in used[MAX_COLUMNS:]}
    predictors = []
    for column in track(used[:MAX_COLUMNS], total=len(used[:MAX_COLUMNS]), what="columns"):
        codes = number_values(column)[list(folds.rows)]
        quality = score_probabilities(predict_by_value(codes, folds), folds, seed=seed)
        different = len(np.unique(codes))
        predictors.append(
            LabelPredictor(name=column.name, kind=PredictorKind.COLUMN, values=different, quality=quality)
        )
    if border is not None:
        forest = RandomForestClassifier(
            TREES, min_samples_leaf=MIN_LEAF, class_weight="balanced", random_state=seed
        )
        probabilities = predict_out_of_fold(border, folds, forest, what="border", track=track)
        # A class can be missing from the training pictures of a fold, and then has the probability 0 in it.
        balanced = balance_classes(probabilities, folds.truth, power=0.0)
        quality = score_probabilities(balanced, folds, seed=seed)
        predictors.append(
            LabelPredictor(name="(outer border)", kind=PredictorKind.BORDER, values=0, quality=quality)
        )
    if whole is not None:
        predictors.append(
            LabelPredictor(name="(whole picture)", kind=PredictorKind.PICTURE, values=0, quality=whole)
        )
    predictors.sort(key=lambda one: (-(one.quality.auroc.value or 0.0), one.name))
    return Shortcuts(
        n=len(folds.rows),
        groups=len(np.unique(folds.units)),
        classes=len(folds.classes),
        predictors=tuple(predictors),
        excluded=tuple((name, reason) for name, reason in reasons.items() if reason),
    )


def number_values(column: Column) -> Integers:
    """Return a number for each cell; equal values, numbers of one band and missing cells share theirs."""
    if not column.numbers:
        names: Sequence[str] = column.cells
    else:
        present = [number for number in column.numbers if not math.isnan(number)]
        band_of_number = band_numbers(present, most=MAX_BANDS) if present else {}
        names = [band_of_number.get(number, "") for number in column.numbers]
    code_of_name: dict[str, int] = {}
    return np.array([code_of_name.setdefault(name, len(code_of_name)) for name in names], dtype=np.int64)


def predict_by_value(codes: Integers, folds: Folds) -> Floats:
    """Return the probabilities of balanced classes by the shares of the classes within each value.

    The shares come from the other folds. Each value starts with PRIOR_WEIGHT pictures of the overall shares.
    """
    probabilities = np.zeros((len(codes), len(folds.classes)))
    for number in range(FOLDS):
        held_out = folds.fold == number
        counts = np.zeros((codes.max() + 1, len(folds.classes)))
        np.add.at(counts, (codes[~held_out], folds.truth[~held_out]), 1)
        shares = counts.sum(axis=0) / max(counts.sum(), 1)
        smoothed = counts + PRIOR_WEIGHT * shares
        within = smoothed / smoothed.sum(axis=1, keepdims=True)
        probabilities[held_out] = balance_classes(within[codes[held_out]], folds.truth[~held_out], power=1.0)
    return probabilities
