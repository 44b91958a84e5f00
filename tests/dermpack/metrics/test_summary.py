"""The summary and its slices: stable keys, undefined figures, warnings for few groups."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dermpack.evaluation.report import find_worst_mistakes
from dermpack.metrics import slices
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import describe_constant_prediction, score
from tests.dermpack.metrics.test_definitions import exact, made
from tests.support.errors import raises_code

PROMISED = (
    *("n", "groups", "split", "accuracy", "accuracy_ci95", "balanced_accuracy", "balanced_accuracy_ci95"),
    *("auroc", "auroc_ci95", "top3", "top5", "ece", "brier", "per_class", "confusion"),
)


def test_the_record_has_the_promised_keys_and_is_json() -> None:
    record = score(made(60, 7), split="test").record()
    assert set(PROMISED) <= set(record)
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_a_value_lies_in_its_interval() -> None:
    record = score(made(200, 4), split="test").record()
    for name in ("accuracy", "balanced_accuracy", "auroc", "macro_f1"):
        low, high = record[f"{name}_ci95"]
        assert low < record[name] < high


def test_each_label_has_its_own_interval() -> None:
    of = score(made(200, 4), split="test").record()["per_class"]["c2"]
    assert of["recall_ci95"][0] < of["recall"] < of["recall_ci95"][1]
    assert of["sensitivity_at_specificity_90_ci95"] is not None


def test_the_same_seed_gives_the_same_record() -> None:
    assert score(made(60, 3), split="test").record() == score(made(60, 3), split="test").record()


def test_a_label_without_pictures_is_null_and_named() -> None:
    predictions = made(90, 4)
    record = score(replace(predictions, truth=predictions.truth % 3), split="test").record()
    of = record["per_class"]["c3"]
    assert (of["n"], of["recall"], of["recall_ci95"], of["auroc"]) == (0, None, None, None)
    assert any("no picture of c3" in note for note in record["notes"])


def test_a_single_picture_has_figures_and_no_interval() -> None:
    record = score(exact([0], [[0.7, 0.3]]), split="test").record()
    assert (record["n"], record["accuracy"], record["accuracy_ci95"], record["auroc"]) == (1, 1.0, None, None)
    assert any("single group" in note for note in record["notes"])


def test_an_interval_without_width_is_left_out() -> None:
    record = score(exact([0, 0, 0], [[0.7, 0.3]] * 3), split="test").record()
    assert record["accuracy"] == 1.0
    assert record["accuracy_ci95"] is None


def test_labels_of_few_groups_are_named() -> None:
    assert any("fewer than 30 groups of c0" in note for note in score(made(20, 2), split="test").notes)


def test_slices_cover_all_pictures() -> None:
    cells = ["f", "m", ""] * 30
    parts = slices.score_slices(made(90, 3), "sex", cells)
    assert [(part.value, part.n) for part in parts] == [("f", 30), ("m", 30), ("(missing)", 30)]


def test_a_slice_is_scored_on_its_own_pictures() -> None:
    predictions = made(90, 3)
    part = slices.score_slices(predictions, "sex", ["f", "m"] * 45)[1]
    assert part.figures["accuracy"].value == pytest.approx(predictions.correct[1::2].mean())


def test_a_small_slice_warns_and_a_large_one_does_not() -> None:
    parts = slices.score_slices(made(90, 3), "sex", ["f"] * 61 + ["m"] * 29)
    assert [bool(part.warning) for part in parts] == [False, True]


def test_a_slice_is_counted_by_groups_not_pictures() -> None:
    predictions = replace(made(90, 3), groups=tuple(f"g{at % 10}" for at in range(90)))
    assert slices.score_slices(predictions, "sex", ["f"] * 90)[0].warning


def test_ages_come_in_bands_of_twenty_years() -> None:
    ages = [f"{age}.0" for age in range(0, 90, 5)] + [""]
    expected = ["0 to 19"] * 4 + ["20 to 39"] * 4 + ["40 to 59"] * 4 + ["60 to 79"] * 4 + ["80 to 99"] * 2
    assert slices.band_cells(ages) == [*expected, "(missing)"]


def test_bands_are_in_the_order_of_their_numbers() -> None:
    cells = [str(age) for age in range(0, 120, 2)]
    parts = slices.score_slices(made(60, 3), "age", cells)
    assert [part.value for part in parts][:3] == ["0 to 19", "20 to 39", "40 to 59"]


@pytest.mark.parametrize(
    "cells",
    [["1", "2", "3"] * 5, ["i", "ii"] * 5, [f"{at}" for at in range(20)] + ["old"], ["one", "inf"] * 9],
)
def test_words_and_few_numbers_are_not_banded(cells: list[str]) -> None:
    assert slices.band_cells(cells) == cells


@pytest.mark.parametrize("top", [1e-9, 0.7, 1e5, 1e300])
def test_any_numbers_come_in_few_bands(top: float) -> None:
    assert len(set(slices.band_cells([str(at * top / 50 - top / 3) for at in range(51)]))) <= 6


def test_a_column_of_names_is_refused() -> None:
    with raises_code("too-many-values", "lesion_id", 60):
        slices.score_slices(made(60, 3), "lesion_id", [f"l{at}" for at in range(60)])


def test_the_least_probable_truth_is_the_worst_mistake() -> None:
    rows = [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.7, 0.3]]
    worst = find_worst_mistakes(exact([1, 1, 1, 1], rows), most=2)
    assert [(of.picture, of.truth, of.predicted, of.confidence) for of in worst] == [
        ("0", "b", "a", 0.9),
        ("3", "b", "a", 0.7),
    ]


def test_a_model_without_mistakes_has_none_to_show() -> None:
    assert find_worst_mistakes(exact([0, 1], [[0.9, 0.1], [0.1, 0.9]]), most=5) == ()


def test_a_constant_prediction_is_noted_if_the_truth_varies() -> None:
    predictions = made(40, 3)
    always = replace(predictions, probabilities=np.tile([0.1, 0.7, 0.2], (40, 1)))
    assert describe_constant_prediction(always) == "no better than guessing: every answer is c1"
    assert score(always, split="test").notes[0] == describe_constant_prediction(always)
    assert describe_constant_prediction(predictions) == ""
    assert describe_constant_prediction(replace(always, truth=np.ones_like(always.truth))) == ""


def test_words_for_missing_values_do_not_prevent_bands() -> None:
    ages = [str(at) for at in range(0, 90, 5)]
    assert slices.band_cells([*ages, "unknown", " N/A "])[-3:] == ["80 to 99", "(missing)", "(missing)"]
    assert slices.band_cells(["f", "Unknown"]) == ["f", "(missing)"]


def test_bands_of_fractions_have_an_open_end() -> None:
    assert slices.band_cells([f"{at}.5" for at in range(0, 90, 5)])[0] == "0 to < 20"


def of_groups(count: int) -> Predictions:
    return replace(made(90, 3), groups=tuple(f"g{at % count}" for at in range(90)))


def test_nine_groups_have_no_interval_and_ten_have() -> None:
    nine, ten = (score(of_groups(count), split="test") for count in (9, 10))
    assert all(of.ci95 is None for of in nine.figures.values())
    assert all(of.ci95 is None for label in nine.per_class for of in label.figures.values())
    assert "9 groups, fewer than 10: too few to draw intervals from" in nine.notes
    assert ten.figures["accuracy"].ci95 is not None


def test_a_small_slice_of_many_groups_keeps_its_interval() -> None:
    cells = ["f" if at % 30 < 5 else "m" for at in range(90)]
    few, many = (slices.score_slices(of_groups(count), "sex", cells)[0] for count in (6, 30))
    assert (few.figures["accuracy"].ci95 is None, many.groups) == (True, 5)
    assert many.figures["accuracy"].ci95 is not None
