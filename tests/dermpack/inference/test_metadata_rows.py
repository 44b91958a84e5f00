"""Rows of metadata: the slots of each column, blank fields, and values that the model has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from dermpack.inference.metadata_rows import blank_row, column_slices, encode_cells, encode_values
from tests.support.errors import raises_code
from tests.support.known_patients import COLUMNS


def test_a_number_is_scaled_and_a_category_has_its_slot() -> None:
    row = encode_values(COLUMNS, {"age": "30", "sex": "male", "localization": "back"}, where="row")
    assert row.dtype == np.float32
    assert row.tolist() == [-1.0, 0, 0, 1, 0, 1, 0, 0, 0]


@pytest.mark.parametrize("cell", ["", " ", "unknown", "N/A"])
def test_a_blank_field_is_flagged_as_missing(cell: str) -> None:
    assert (
        encode_values(COLUMNS, {"age": cell, "sex": cell}, where="row").tolist()
        == blank_row(COLUMNS).tolist()
    )
    assert blank_row(COLUMNS).tolist() == [0, 1, 0, 0, 1, 0, 0, 0, 1]


def test_the_slots_of_each_column_follow_each_other() -> None:
    assert column_slices(COLUMNS) == {"age": slice(0, 2), "sex": slice(2, 5), "localization": slice(5, 9)}


@pytest.mark.parametrize(
    ("values", "code", "shown"),
    [
        ({"sex": "femal"}, "unknown-category", ("sex=femal", "female")),
        ({"localization": "Back"}, "unknown-category", ("back",)),
        ({"age": "86"}, "value-out-of-range", ("age=86", "0 to 85")),
        ({"age": "-1"}, "value-out-of-range", ("age=-1",)),
        ({"age": "old"}, "invalid-value", ("age=old",)),
        ({"age": "inf"}, "invalid-value", ("age=inf",)),
        ({"site": "back"}, "unknown-column", ("site",)),
    ],
)
def test_a_value_that_the_model_has_not_seen_is_refused(
    values: dict[str, str], code: str, shown: tuple[str, ...]
) -> None:
    with raises_code(code, *shown):
        encode_values(COLUMNS, values, where="row")


def test_in_a_dataset_such_a_value_counts_as_missing() -> None:
    cells = {"age": ["30", "86", "x"], "sex": ["male", "unknown", "diverse"]}
    encoded = encode_cells(COLUMNS, cells, n=3)
    assert (
        encoded.rows[0].tolist() == encode_values(COLUMNS, {"age": "30", "sex": "male"}, where="row").tolist()
    )
    assert encoded.rows[1].tolist() == encoded.rows[2].tolist() == blank_row(COLUMNS).tolist()
    assert encoded.ignored == {"age": 2, "sex": 1, "localization": 0}
