"""Answer whether a model is worse on dark skin, by a difference with its interval or by "not decided".

The pictures of skin types V–VI are compared with those of I–II. They are other pictures, so nothing is paired
but the draws: both figures come from the same draws of groups. Only labels that occur in both are compared,
because light and dark skin can have other conditions in a dataset. A label of few groups has no interval of
its own, because draws of few groups repeat: it would be falsely narrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from dermpack.metrics import RESAMPLES
from dermpack.metrics.definitions import Metric, label_auroc, label_recall
from dermpack.metrics.intervals import MIN_GROUPS, Difference, compare_parts
from dermpack.metrics.predictions import Flags, Predictions
from dermpack.metrics.skin_types import SKIN_TYPE_GROUPS, group_skin_type
from dermpack.storage.codec import encode

LIGHT, DARK = SKIN_TYPE_GROUPS[0], SKIN_TYPE_GROUPS[-1]
FIGURES = {"balanced_accuracy": label_recall, "auroc": label_auroc}  # means over the labels


class GapVerdict(Enum):
    """What the interval of the difference of balanced accuracy shows."""

    WORSE = "worse"
    BETTER = "better"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelGap:
    """The recall of one label on dark skin minus that on light skin, and its pictures."""

    label: str
    light: int
    dark: int
    recall: Difference


@dataclass(frozen=True, slots=True, kw_only=True)
class SkinTypeGap:
    """Figures on dark skin minus those on light skin, over the labels that occur on both."""

    column: str
    light: int  # pictures of these labels
    dark: int
    light_groups: int
    dark_groups: int
    figures: dict[str, Difference]
    labels: tuple[LabelGap, ...]

    @property
    def verdict(self) -> GapVerdict:
        ends = self.figures["balanced_accuracy"].ci95
        if ends is None or ends[0] <= 0 <= ends[1]:
            return GapVerdict.UNDECIDED
        return GapVerdict.WORSE if ends[1] < 0 else GapVerdict.BETTER

    @property
    def sentence(self) -> str:
        """The answer to "is it worse on dark skin?"."""
        change = self.figures["balanced_accuracy"]
        pictures = f"{self.dark} pictures of types {DARK} and {self.light} of {LIGHT}"
        if change.ci95 is None:
            return f"Is it worse on dark skin? These data cannot decide it: too few groups ({pictures})."
        low, high = change.ci95
        measured = f"balanced accuracy {change.difference:+.3f} ({low:+.3f} to {high:+.3f}), {pictures}"
        match self.verdict:
            case GapVerdict.UNDECIDED:
                return f"Is it worse on dark skin? These data cannot decide it: {measured}."
            case GapVerdict.WORSE:
                return f"It is worse on dark skin: {measured}."
            case GapVerdict.BETTER:
                return f"It is not worse on dark skin, but better: {measured}."

    def record(self) -> dict[str, Any]:
        """Return the JSON form, in which first is light skin and second dark skin."""
        content: dict[str, Any] = encode(self)
        return {**content, "verdict": self.verdict.value}


def measure_skin_type_gap(
    predictions: Predictions, column: str, cells: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> SkinTypeGap | None:
    """Return the difference, or None if fewer than two labels occur on both light and dark skin."""
    types = np.array([group_skin_type(cell) for cell in cells])
    shared = sorted(set(predictions.truth[types == LIGHT]) & set(predictions.truth[types == DARK]))
    if len(shared) < 2:
        return None
    rows = np.flatnonzero(np.isin(types, (LIGHT, DARK)) & np.isin(predictions.truth, shared))
    part = predictions.take(rows)
    is_dark = types[rows] == DARK
    codes = part.group_codes()

    def count_groups(flags: Flags) -> tuple[int, int]:
        return len(np.unique(codes[flags & ~is_dark])), len(np.unique(codes[flags & is_dark]))

    def compare(metrics: Sequence[Metric], groups: tuple[int, int]) -> Difference:
        draws = resamples if min(groups) >= MIN_GROUPS else 0
        return compare_parts(part, ~is_dark, is_dark, metrics, resamples=draws, seed=seed)

    groups = count_groups(np.ones_like(is_dark))
    labels = []
    for index in map(int, shared):
        own = part.truth == index
        light, dark = int((own & ~is_dark).sum()), int((own & is_dark).sum())
        change = compare([label_recall(index)], count_groups(own))
        labels.append(LabelGap(label=part.classes[index], light=light, dark=dark, recall=change))
    return SkinTypeGap(
        column=column,
        light=int((~is_dark).sum()),
        dark=int(is_dark.sum()),
        light_groups=groups[0],
        dark_groups=groups[1],
        figures={name: compare(list(map(metric, shared)), groups) for name, metric in FIGURES.items()},
        labels=tuple(labels),
    )
