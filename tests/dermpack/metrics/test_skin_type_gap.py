"""The question "is it worse on dark skin?" has an answer only where the data can decide it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dermpack.metrics.predictions import Predictions, as_truth
from dermpack.metrics.skin_type_gap import GapVerdict, SkinTypeGap, measure_skin_type_gap


def predicted(*, n: int, right_on_light: float, right_on_dark: float) -> tuple[Predictions, list[str]]:
    """n pictures of each of two labels on light and on dark skin, and as many of type III, all right."""
    truth, probabilities, cells = [], [], []
    for skin, share in (("1", right_on_light), ("6", right_on_dark), ("3", 1.0)):
        for label in (0, 1):
            for index in range(n):
                answer = label if index < share * n else 1 - label
                truth.append(label)
                probabilities.append([0.9, 0.1] if answer == 0 else [0.1, 0.9])
                cells.append(skin)
    names = tuple(map(str, range(len(truth))))
    made = Predictions(
        classes=("eczema", "other"),
        pictures=names,
        groups=names,
        truth=as_truth(truth),
        probabilities=np.array(probabilities),
    )
    return made, cells


def gap_of(predictions: Predictions, cells: list[str]) -> SkinTypeGap:
    gap = measure_skin_type_gap(predictions, "skin_type", cells, seed=0)
    assert gap is not None
    return gap


@pytest.mark.parametrize(
    ("light", "dark", "verdict"),
    [(0.9, 0.5, GapVerdict.WORSE), (0.5, 0.9, GapVerdict.BETTER), (0.8, 0.8, GapVerdict.UNDECIDED)],
)
def test_the_interval_of_the_difference_decides(light: float, dark: float, verdict: GapVerdict) -> None:
    gap = gap_of(*predicted(n=40, right_on_light=light, right_on_dark=dark))
    assert gap.verdict is verdict
    assert gap.figures["balanced_accuracy"].difference == pytest.approx(dark - light)
    assert (gap.light, gap.dark, gap.dark_groups) == (80, 80, 80)
    assert gap.labels[0].recall.difference == pytest.approx(dark - light)
    assert gap.record()["verdict"] == verdict.value


def test_few_groups_decide_nothing() -> None:
    gap = gap_of(*predicted(n=4, right_on_light=1.0, right_on_dark=0.0))
    assert gap.figures["balanced_accuracy"].ci95 is None
    assert gap.verdict is GapVerdict.UNDECIDED
    assert "cannot decide" in gap.sentence


def test_a_label_of_few_groups_has_no_interval_of_its_own() -> None:
    predictions, cells = predicted(n=20, right_on_light=0.9, right_on_dark=0.5)
    dark_eczema = [i for i, cell in enumerate(cells) if cell == "6" and predictions.truth[i] == 0]
    for index in dark_eczema[4:]:
        cells[index] = "3"
    eczema, other = gap_of(predictions, cells).labels
    assert (eczema.dark, eczema.recall.ci95) == (4, None)
    assert other.recall.ci95 is not None


def test_a_draw_without_a_label_on_dark_skin_compares_the_other_labels_alone() -> None:
    """Both kinds of skin have the same recalls, 0 and 1; the easy label has one picture on dark skin."""
    made, cells = predicted(n=20, right_on_light=1.0, right_on_dark=1.0)
    predictions = replace(made, probabilities=np.tile([0.1, 0.9], (len(made), 1)))
    easy = [i for i, cell in enumerate(cells) if cell == "6" and predictions.truth[i] == 1]
    for index in easy[1:]:
        cells[index] = "3"
    assert gap_of(predictions, cells).figures["balanced_accuracy"].ci95 == (0, 0)


def test_only_labels_on_both_kinds_of_skin_are_compared() -> None:
    predictions, cells = predicted(n=20, right_on_light=1.0, right_on_dark=1.0)
    only_light = [
        "1" if cell == "6" and label else cell for cell, label in zip(cells, predictions.truth, strict=True)
    ]
    assert measure_skin_type_gap(predictions, "skin_type", only_light) is None
