"""Figures of a cross-validation: over all out-of-fold predictions, and their means over the folds."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermpack.evaluation.evaluate import predictions_table
from dermpack.metrics.definitions import score_overall
from dermpack.metrics.intervals import Interval
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import Scores, score

SCHEMA = 1
SPLIT = "out of fold"
# The 97.5 % quantiles of Student's t for 1 to 19 degrees of freedom, which are 2 to 20 folds.
STUDENT = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930),
)
HIGHEST: Mapping[str, float] = {"brier": 2.0}  # all other figures are at most 1
NOTE = (
    "the folds share most of their training pictures, so the interval over folds is rather too narrow; the "
    "interval over out-of-fold predictions does not contain the variation between trainings"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One fold: its run, and the run's predictions for the pictures of the fold."""

    number: int  # from 1
    run: str  # relative to the output folder
    weights_sha256: str
    counts: Mapping[str, int]  # train, validation, held_out
    training_seconds: float  # measured, so never the same twice
    predictions: Predictions

    def figures(self) -> dict[str, float]:
        values = score_overall(self.predictions, np.ones((1, len(self.predictions))))
        return {name: float(value[0]) for name, value in values.items()}

    def record(self) -> dict[str, Any]:
        figures = {name: None if math.isnan(value) else value for name, value in self.figures().items()}
        return {
            "fold": self.number,
            "run": self.run,
            "weights_sha256": self.weights_sha256,
            "pictures": dict(self.counts),
            "training_seconds": self.training_seconds,
            "figures": figures,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanOverFolds:
    """The mean of a figure over the folds, with its 95 % interval by Student's t."""

    mean: float
    deviation: float | None
    ci95: Interval | None
    folds: int  # in which the figure is defined

    def record(self) -> dict[str, Any]:
        ci95 = self.ci95 and list(self.ci95)
        return {"mean": self.mean, "standard_deviation": self.deviation, "ci95": ci95, "folds": self.folds}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldsResult:
    """All folds and their common figures."""

    dataset: Mapping[str, str]
    recipe: Mapping[str, Any]
    seed: int
    folds: tuple[Fold, ...]
    out_of_fold: Scores
    over_folds: Mapping[str, MeanOverFolds]

    def record(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "dataset": dict(self.dataset),
            "recipe": dict(self.recipe),
            "seed": self.seed,
            "folds": [fold.record() for fold in self.folds],
            "out_of_fold": self.out_of_fold.record(),
            "over_folds": {name: mean.record() for name, mean in self.over_folds.items()},
            "notes": [NOTE],
        }


def summarize_folds(
    folds: Sequence[Fold], *, dataset: Mapping[str, str], recipe: Mapping[str, Any], seed: int
) -> FoldsResult:
    """Return the figures with their intervals: by bootstrap over groups, and over the folds."""
    figures = [fold.figures() for fold in folds]
    means = {
        name: mean_over_folds([values[name] for values in figures], highest=HIGHEST.get(name, 1.0))
        for name in figures[0]
    }
    return FoldsResult(
        dataset=dataset,
        recipe=recipe,
        seed=seed,
        folds=tuple(folds),
        out_of_fold=score(join_predictions(folds), split=SPLIT),
        over_folds={name: mean for name, mean in means.items() if mean is not None},
    )


def mean_over_folds(values: Sequence[float], *, highest: float = 1.0) -> MeanOverFolds | None:
    """Return the mean over the folds in which the figure is defined: (0.7, 0.8) → 0.75 (0.11 to 1)."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    mean = math.fsum(known) / len(known)
    # One value has no variation to estimate an interval from.
    if len(known) < 2:
        return MeanOverFolds(mean=mean, deviation=None, ci95=None, folds=len(known))
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))
    # The half width of the interval: the quantile times the standard error of the mean.
    half = STUDENT[len(known) - 2] * deviation / math.sqrt(len(known))
    ci95 = (max(mean - half, 0.0), min(mean + half, highest))
    return MeanOverFolds(mean=mean, deviation=deviation, ci95=ci95, folds=len(known))


def join_predictions(folds: Sequence[Fold]) -> Predictions:
    """Return every picture once, predicted by the run that was not trained on it, sorted by path."""
    parts = [fold.predictions for fold in folds]
    names = [name for part in parts for name in part.pictures]
    # Sorted by path, the order does not depend on which fold a picture is in.
    order = sorted(range(len(names)), key=names.__getitem__)
    groups = [group for part in parts for group in part.groups]
    return Predictions(
        classes=parts[0].classes,
        pictures=tuple(names[index] for index in order),
        groups=tuple(groups[index] for index in order),
        truth=np.concatenate([part.truth for part in parts])[order],
        probabilities=np.concatenate([part.probabilities for part in parts])[order],
    )


def out_of_fold_table(folds: Sequence[Fold]) -> str:
    """Return a CSV with one row for each picture: its fold, its label and the prediction."""
    # The table is the usual table of predictions with one more column, directly after the path.
    number_of = {name: fold.number for fold in folds for name in fold.predictions.pictures}
    header, *rows = csv.reader(io.StringIO(predictions_table(join_predictions(folds)), newline=""))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow((header[0], "fold", *header[1:]))
    writer.writerows((row[0], number_of[row[0]], *row[1:]) for row in rows)
    return buffer.getvalue()
