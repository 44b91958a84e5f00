"""Encode what is known about a patient as the numbers of the metadata input; Java does the same, bit for bit.

age (numeric, mean 50, std 20), sex (categorical, female | male)
{"age": "30", "sex": "male"} → -1.0, 0.0, 0.0, 1.0, 0.0
{}                           →  0.0, 1.0, 0.0, 0.0, 1.0
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from math import isfinite

from dermpack.contract.tensors import CategoricalColumn, NumericColumn
from dermpack.errors import InputError

Column = NumericColumn | CategoricalColumn


def encode_metadata_row(
    columns: Sequence[Column], cells: Mapping[str, str], *, where: object
) -> tuple[float, ...]:
    """Return the float32 numbers of a row; a cell that is empty or left out is a missing value.

    Raise InputError for an unknown column, an unknown category, and a number outside of the column's range.
    """
    if unknown := sorted(set(cells) - {column.name for column in columns}):
        names = ", ".join(column.name for column in columns)
        what = f"the model has no metadata column {unknown[0]!r}"
        raise InputError(where, what, f"Choose one of: {names}.", code="unknown-metadata-column")
    slots: list[float] = []
    for column in columns:
        cell = cells.get(column.name, "").strip()
        if isinstance(column, NumericColumn):
            slots += _encode_number(column, cell, where)
        else:
            slots += _encode_category(column, cell, where)
    return tuple(array("f", slots))  # rounds each double to the nearest float32


def _encode_number(column: NumericColumn, cell: str, where: object) -> list[float]:
    if not cell:
        return [0.0, 1.0]
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not isfinite(value) or not column.minimum <= value <= column.maximum:
        what = f"{column.name} is {cell[:40]!r}, not a number from {column.minimum:g} to {column.maximum:g}"
        hint = "Correct the value, or leave it blank."
        raise InputError(where, what, hint, code="invalid-metadata-value")
    return [(value - column.mean) / column.std, 0.0]


def _encode_category(column: CategoricalColumn, cell: str, where: object) -> list[float]:
    if cell and cell not in column.categories:
        what = f"{column.name} is {cell[:40]!r}, which the model does not know"
        hint = f"Choose one of: {', '.join(column.categories)}; or leave it blank."
        raise InputError(where, what, hint, code="invalid-metadata-value")
    return [float(cell == category) for category in column.categories] + [float(not cell)]
