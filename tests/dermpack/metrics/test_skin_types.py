"""Skin types are recognised in every spelling and scored in three groups."""

from __future__ import annotations

import numpy as np
import pytest

from dermpack.metrics.predictions import Predictions
from dermpack.metrics.skin_types import group_skin_type, is_skin_type_column, parse_skin_type
from dermpack.metrics.slices import score_slices, slice_values


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        *(("1", 1), (" 3.0 ", 3), ("IV", 4), ("vi", 6), ("FST2", 2), ("type 5", 5), ("type III", 3)),
        *(
            ("", 0),
            ("-1", 0),
            ("0", 0),
            ("7", 0),
            ("12", 0),
            ("unknown", 0),
            ("NONE_SELECTED", 0),
            ("2.5", 0),
        ),
    ],
)
def test_a_skin_type_is_read_in_every_spelling(cell: str, number: int) -> None:
    assert parse_skin_type(cell) == number


@pytest.mark.parametrize(
    ("name", "cells", "is_one"),
    [
        ("skin_type", ["1", "6", ""], True),
        ("fitzpatrick_centaur", ["-1", "3"], True),
        ("fitspatrick", ["3.0", "", "2.0"], True),
        ("dermatologist_fitzpatrick_skin_type_label_2", ["FST1", "unknown"], True),
        ("Skin Type", ["I", "VI"], True),
        ("dermatologist_gradable_for_fitzpatrick_skin_type_2", ["YES", "NO"], False),
        ("skin_type", ["1", "12"], False),
        ("skin_type", ["dry", "oily", "I", "dry"], False),
        ("skin_type", ["", "-1"], False),
        ("type", ["1", "2"], False),
        ("monk_skin_tone_label_us", ["1", "2"], False),
    ],
)
def test_name_and_cells_make_a_column_of_skin_types(name: str, cells: list[str], is_one: bool) -> None:
    assert is_skin_type_column(name, cells) is is_one


def test_skin_types_are_grouped_in_three() -> None:
    assert [group_skin_type(str(number)) for number in range(7)] == [
        *("", "I–II", "I–II", "III–IV", "III–IV", "V–VI", "V–VI")
    ]


def test_slices_of_skin_types_are_in_the_order_of_the_groups() -> None:
    cells = ["5", "1", "3", "-1", "2", "6"]
    predictions = Predictions(
        classes=("a", "b"),
        pictures=tuple(f"{index}.png" for index in range(6)),
        groups=tuple(f"g{index}" for index in range(6)),
        truth=np.array([0, 1, 0, 1, 0, 1]),
        probabilities=np.tile([0.7, 0.3], (6, 1)),
    )
    slices = score_slices(predictions, "skin_type", cells, resamples=10)
    assert [(each.value, each.n) for each in slices] == [
        *(("I–II", 2), ("III–IV", 1), ("V–VI", 2), ("(missing)", 1))
    ]


def test_other_columns_keep_their_values() -> None:
    assert slice_values("sex", ["male", ""]) == ["male", "(missing)"]
