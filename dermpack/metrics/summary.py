"""Summary of predictions: every metric with its interval, each label, and notes for the reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from dermpack.metrics import RESAMPLES
from dermpack.metrics.calibration import BINS
from dermpack.metrics.definitions import confusion, score_by_label, score_overall
from dermpack.metrics.intervals import MIN_GROUPS, Interval, bootstrap, percentile_interval
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.storage.codec import encode

FEW_GROUPS = 30  # with fewer, a figure is imprecise: one group of thirty is more than three points


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A value and its 95 % interval; None where it is undefined."""

    value: float | None
    ci95: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScores:
    """The scores of one label, which `n` pictures have and `predicted` pictures are given."""

    label: str
    n: int
    groups: int
    predicted: int
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """The scores of one model on one split; all are fractions except the Brier score (0 to 2)."""

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
        """Return the JSON form: `accuracy` and `accuracy_ci95`, null where a figure is undefined."""
        record = flat_record(self)
        labels = [flat_record(scores) for scores in self.per_class]
        record["per_class"] = {scores.pop("label"): scores for scores in labels}
        draws = {name: record.pop(name) for name in ("resamples", "seed")}
        return {**record, "bootstrap": {"over": "groups", **draws}, "ece_bins": BINS}


def score(predictions: Predictions, *, split: str, resamples: int = RESAMPLES, seed: int = 0) -> Scores:
    """Return every metric of the predictions, with bootstrap intervals over groups."""
    per_class = _score_labels(predictions, resamples=resamples, seed=seed)
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
    predictions: Predictions, *, resamples: int, seed: int, min_groups: int = MIN_GROUPS
) -> dict[str, Figure]:
    """Return the figures of all classes together, by name."""
    values = score_overall(predictions, np.ones((1, len(predictions))))
    draws = bootstrap(predictions, score_overall, resamples=resamples, seed=seed, min_groups=min_groups)
    return {name: make_figure(value[0], draws.get(name)) for name, value in values.items()}


def count_groups(predictions: Predictions) -> int:
    return int(predictions.group_codes().max()) + 1


def make_figure(value: float, draws: Floats | None) -> Figure:
    """Return the figure of a value and its bootstrap draws; NaN becomes None."""
    if np.isnan(value):
        return Figure(value=None, ci95=None)
    ci95 = None if draws is None else percentile_interval(draws)
    # If all draws are equal, the sample is too small to vary: that is not certainty.
    is_point = ci95 is not None and ci95[0] == ci95[1]
    return Figure(value=float(value), ci95=None if is_point else ci95)


def flat_record(scores: Any) -> dict[str, Any]:
    """Return the JSON form of scores: a figure is a value and an interval, by its field or in `figures`."""
    record: dict[str, Any] = {}
    for field in fields(scores):
        value = getattr(scores, field.name)
        figures = value if field.name == "figures" else {field.name: value}
        for name, each in figures.items():
            if isinstance(each, Figure):
                record |= {name: each.value, f"{name}_ci95": encode(each.ci95)}
            else:
                record[name] = encode(each)
    return record


def describe_constant_prediction(predictions: Predictions) -> str:
    """Return a sentence if all predictions are the same though the truth is not, else ""."""
    predicted, truths = np.unique(predictions.predicted), np.unique(predictions.truth)
    if len(predicted) > 1 or len(truths) < 2:
        return ""
    return f"no better than guessing: every answer is {predictions.classes[predicted[0]]}"


def _score_labels(predictions: Predictions, *, resamples: int, seed: int) -> tuple[LabelScores, ...]:
    # Value and draws come from the same function, under different weights.
    values = score_by_label(predictions, np.ones((1, len(predictions))))
    draws = bootstrap(predictions, score_by_label, resamples=resamples, seed=seed)
    codes, predicted = predictions.group_codes(), predictions.predicted
    return tuple(
        LabelScores(
            label=label,
            n=int((predictions.truth == index).sum()),
            groups=len(np.unique(codes[predictions.truth == index])),
            predicted=int((predicted == index).sum()),
            figures={
                name: make_figure(value[0, index], draws[name][:, index] if draws else None)
                for name, value in values.items()
            },
        )
        for index, label in enumerate(predictions.classes)
    )


def _notes(predictions: Predictions, per_class: Sequence[LabelScores], groups: int) -> list[str]:
    constant = describe_constant_prediction(predictions)
    absent = [scores.label for scores in per_class if scores.n == 0]
    few = [f"{scores.label} ({scores.groups})" for scores in per_class if 0 < scores.groups < FEW_GROUPS]
    notes = [constant] if constant else []
    if absent:
        notes.append(f"no picture of {', '.join(absent)}: means are over the other labels")
    if few:
        notes.append(f"fewer than {FEW_GROUPS} groups of {', '.join(few)}: their figures are imprecise")
    if groups < 2:
        notes.append("a single group: too few to draw intervals from")
    elif groups < MIN_GROUPS:
        notes.append(f"{groups} groups, fewer than {MIN_GROUPS}: too few to draw intervals from")
    return notes
