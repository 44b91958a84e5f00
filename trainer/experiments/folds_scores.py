"""What folds say together: over all out-of-fold predictions, and from fold to fold."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermpack.evaluation.evaluate import predictions_table
from dermpack.metrics.definitions import overall
from dermpack.metrics.intervals import Interval
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import Scores, score

SCHEMA = 1
SPLIT = "out of fold"
# The 97.5 % points of Student's t, by degrees of freedom from 1: 2 to 20 folds.
STUDENT = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930),
)
HIGHEST: Mapping[str, float] = {"brier": 2.0}  # of the others: 1
NOTE = (
    "folds share most of their training pictures, so the interval over folds is rather too narrow; that over "
    "out-of-fold predictions leaves out how trainings differ"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One fold: its run, and what that said of the pictures it has not seen."""

    number: int  # from 1
    run: str  # relative to the folder of all
    weights_sha256: str
    counts: Mapping[str, int]  # train, validation, held out
    training_seconds: float  # measured: never the same twice
    predictions: Predictions

    def figures(self) -> dict[str, float]:
        values = overall(self.predictions, np.ones((1, len(self.predictions))))
        return {name: float(value[0]) for name, value in values.items()}

    def record(self) -> dict[str, Any]:
        return {
            "fold": self.number,
            "run": self.run,
            "weights_sha256": self.weights_sha256,
            "pictures": dict(self.counts),
            "training_seconds": self.training_seconds,
            "figures": {name: _finite(value) for name, value in self.figures().items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OverFolds:
    """A figure from fold to fold; the interval is that of the mean, 95 %, by Student's t."""

    mean: float
    deviation: float | None
    ci95: Interval | None
    folds: int  # in which the figure exists

    def record(self) -> dict[str, Any]:
        ci95 = self.ci95 and list(self.ci95)
        return {"mean": self.mean, "standard_deviation": self.deviation, "ci95": ci95, "folds": self.folds}


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldsResult:
    """All folds, and their figures together."""

    dataset: Mapping[str, str]
    recipe: Mapping[str, Any]
    seed: int
    folds: tuple[Fold, ...]
    out_of_fold: Scores
    over_folds: Mapping[str, OverFolds]

    def record(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "dataset": dict(self.dataset),
            "recipe": dict(self.recipe),
            "seed": self.seed,
            "folds": [fold.record() for fold in self.folds],
            "out_of_fold": self.out_of_fold.record(),
            "over_folds": {name: of.record() for name, of in self.over_folds.items()},
            "notes": [NOTE],
        }


def folded(
    folds: Sequence[Fold], *, dataset: Mapping[str, str], recipe: Mapping[str, Any], seed: int
) -> FoldsResult:
    """The figures with their intervals: by bootstrap over groups, and over folds."""
    each = [fold.figures() for fold in folds]
    return FoldsResult(
        dataset=dataset,
        recipe=recipe,
        seed=seed,
        folds=tuple(folds),
        out_of_fold=score(together(folds), split=SPLIT),
        over_folds=_over_folds(each),
    )


def _over_folds(each: Sequence[Mapping[str, float]]) -> dict[str, OverFolds]:
    found = {
        name: over_folds([figures[name] for figures in each], highest=HIGHEST.get(name, 1.0))
        for name in each[0]
    }
    return {name: of for name, of in found.items() if of is not None}


def over_folds(values: Sequence[float], *, highest: float = 1.0) -> OverFolds | None:
    """The mean of the folds in which the figure exists: (0.7, 0.8) → 0.75, its interval (0.11 to 1)."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    mean = math.fsum(known) / len(known)
    if len(known) < 2:
        return OverFolds(mean=mean, deviation=None, ci95=None, folds=len(known))
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))
    half = STUDENT[len(known) - 2] * deviation / math.sqrt(len(known))
    ci95 = (max(mean - half, 0.0), min(mean + half, highest))
    return OverFolds(mean=mean, deviation=deviation, ci95=ci95, folds=len(known))


def together(folds: Sequence[Fold]) -> Predictions:
    """Every picture once, by the run that has not seen it, in the order of their paths."""
    parts = [fold.predictions for fold in folds]
    names = [name for part in parts for name in part.pictures]
    order = sorted(range(len(names)), key=names.__getitem__)
    groups = [group for part in parts for group in part.groups]
    return Predictions(
        classes=parts[0].classes,
        pictures=tuple(names[at] for at in order),
        groups=tuple(groups[at] for at in order),
        truth=np.concatenate([part.truth for part in parts])[order],
        probabilities=np.concatenate([part.probabilities for part in parts])[order],
    )


def out_of_fold_table(folds: Sequence[Fold]) -> str:
    """CSV with a row a picture: which fold held it out, what it is, what it was taken for."""
    number_of = {name: fold.number for fold in folds for name in fold.predictions.pictures}
    header, *rows = csv.reader(io.StringIO(predictions_table(together(folds)), newline=""))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow((header[0], "fold", *header[1:]))
    writer.writerows((row[0], number_of[row[0]], *row[1:]) for row in rows)
    return buffer.getvalue()


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value
