"""Summarise predictions: every figure with its interval, every label, what a reader must know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermpack.metrics.confusion import confusion
from dermpack.metrics.constant_prediction import guess
from dermpack.metrics.definitions import by_label, overall
from dermpack.metrics.intervals import LEAST_GROUPS, RESAMPLES, Interval, bootstrap, interval
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.metrics.reliability import BINS

FEW_GROUPS = 30  # below, a figure says little: one of thirty is more than three points


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value and its 95 % interval; None where there is nothing to compute it from."""

    value: float | None
    ci95: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScores:
    """What one label got: `n` pictures of it, `predicted` pictures called by its name."""

    label: str
    n: int
    groups: int
    predicted: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The figures of one model on one split, all of them fractions but the Brier score (0 to 2)."""

    split: str
    n: int
    groups: int
    classes: tuple[str, ...]
    figures: Mapping[str, Figure]
    per_class: tuple[LabelScores, ...]
    confusion: tuple[tuple[int, ...], ...]  # truth in rows, in the order of classes
    resamples: int
    seed: int
    notes: tuple[str, ...]

    def value(self, name: str) -> float | None:
        return self.figures[name].value

    def record(self) -> dict[str, Any]:
        """The JSON form: `accuracy` beside `accuracy_ci95`, null where a figure does not exist."""
        return {
            **figure_record(self.figures),
            "split": self.split,
            "n": self.n,
            "groups": self.groups,
            "classes": list(self.classes),
            "per_class": {of.label: _label_record(of) for of in self.per_class},
            "confusion": [list(row) for row in self.confusion],
            "bootstrap": {"over": "groups", "resamples": self.resamples, "seed": self.seed},
            "ece_bins": BINS,
            "notes": list(self.notes),
        }


def score(predictions: Predictions, *, split: str, resamples: int = RESAMPLES, seed: int = 0) -> Scores:
    """Every figure of the predictions, with intervals by bootstrap over groups."""
    per_class = _per_class(predictions, resamples=resamples, seed=seed)
    groups = count_groups(predictions)
    return Scores(
        split=split,
        n=len(predictions),
        groups=groups,
        classes=predictions.classes,
        figures=overall_figures(predictions, resamples=resamples, seed=seed),
        per_class=per_class,
        confusion=tuple(tuple(row) for row in confusion(predictions).tolist()),
        resamples=resamples,
        seed=seed,
        notes=tuple(_notes(predictions, per_class, groups)),
    )


def overall_figures(
    predictions: Predictions, *, resamples: int, seed: int, least_groups: int = LEAST_GROUPS
) -> dict[str, Figure]:
    """The figures of all classes together, by name."""
    values = overall(predictions, np.ones((1, len(predictions))))
    draws = bootstrap(predictions, overall, resamples=resamples, seed=seed, least_groups=least_groups)
    return {name: figure_from(value[0], draws.get(name)) for name, value in values.items()}


def count_groups(predictions: Predictions) -> int:
    return int(predictions.group_codes().max()) + 1


def figure_record(figures: Mapping[str, Figure]) -> dict[str, Any]:
    values = {name: figure.value for name, figure in figures.items()}
    ranges = {f"{name}_ci95": figure.ci95 and list(figure.ci95) for name, figure in figures.items()}
    return {**values, **ranges}


def _per_class(predictions: Predictions, *, resamples: int, seed: int) -> tuple[LabelScores, ...]:
    values = by_label(predictions, np.ones((1, len(predictions))))
    draws = bootstrap(predictions, by_label, resamples=resamples, seed=seed)
    codes, predicted = predictions.group_codes(), predictions.predicted
    return tuple(
        LabelScores(
            label=label,
            n=int((predictions.truth == at).sum()),
            groups=len(np.unique(codes[predictions.truth == at])),
            predicted=int((predicted == at).sum()),
            figures={
                name: figure_from(value[0, at], draws[name][:, at] if draws else None)
                for name, value in values.items()
            },
        )
        for at, label in enumerate(predictions.classes)
    )


def figure_from(value: float, draws: Floats | None) -> Figure:
    """A figure of its value and its draws; None for what does not exist."""
    if np.isnan(value):
        return Figure(value=None, ci95=None)
    found = None if draws is None else interval(draws)
    is_point = found is not None and found[0] == found[1]  # no draw changed it: that is not certainty
    return Figure(value=float(value), ci95=None if is_point else found)


def _label_record(scores: LabelScores) -> dict[str, Any]:
    counted = {"n": scores.n, "groups": scores.groups, "predicted": scores.predicted}
    return {**figure_record(scores.figures), **counted}


def _notes(predictions: Predictions, per_class: Sequence[LabelScores], groups: int) -> list[str]:
    guessed = guess(predictions)
    absent = [of.label for of in per_class if of.n == 0]
    few = [f"{of.label} ({of.groups})" for of in per_class if 0 < of.groups < FEW_GROUPS]
    notes = [guessed] if guessed else []
    if absent:
        notes.append(f"no picture of {', '.join(absent)}: means are over the other labels")
    if few:
        notes.append(f"fewer than {FEW_GROUPS} groups of {', '.join(few)}: their figures say little")
    if groups < 2:
        notes.append("a single group: there is nothing to draw intervals from")
    elif groups < LEAST_GROUPS:
        notes.append(f"{groups} groups, fewer than {LEAST_GROUPS}: too few to draw intervals from")
    return notes
