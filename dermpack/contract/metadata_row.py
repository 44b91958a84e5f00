"""Encode what is known about a patient as the numbers of the metadata input; Java does the same, bit for bit.

age (numeric, mean 50, std 20), sex (categorical, female | male)
{"age": "30", "sex": "male"} → -1.0, 0.0, 0.0, 1.0, 0.0
{}                           →  0.0, 1.0, 0.0, 0.0, 1.0
"""

from __future__ import annotations

import difflib
import re
from array import array
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from dermpack.contract.tensors import CategoricalColumn, NumericColumn
from dermpack.errors import InputError

MetadataColumn: TypeAlias = NumericColumn | CategoricalColumn
# Stricter than float(): no infinities, no underscores, no digits of other scripts.
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?", re.ASCII)
MAX_SHOWN = 12  # categories in a message
LEAVE_BLANK = "leave the field blank if the value is not known"


def encode_metadata_row(
    columns: Sequence[MetadataColumn], cells: Mapping[str, str], *, where: object
) -> tuple[float, ...]:
    """Return the float32 numbers of a row; a cell that is empty or left out is a missing value.

    Raise InputError for an unknown column, an unknown category, and a number outside of the column's range.
    """
    known = [column.name for column in columns]
    if unknown := sorted(set(cells) - set(known)):
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Choose one of: {', '.join(known)}."
        what = f"the model has no metadata column {unknown[0]!r}"
        raise InputError(where, what, hint, code="unknown-column")
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
    if not NUMBER.fullmatch(cell):
        hint = f"Give a number such as {column.mean:.0f}, or {LEAVE_BLANK}."
        raise InputError(where, f"{column.name}={cell[:40]} is not a number", hint, code="invalid-value")
    value = float(cell)
    if not column.minimum <= value <= column.maximum:
        trained = f"{column.minimum:g} to {column.maximum:g}, the values that the model was trained on"
        what = f"{column.name}={cell[:40]} is outside of {trained}"
        raise InputError(where, what, f"Correct it, or {LEAVE_BLANK}.", code="value-out-of-range")
    return [(value - column.mean) / column.std, 0.0]


def _encode_category(column: CategoricalColumn, cell: str, where: object) -> list[float]:
    if cell and cell not in column.categories:
        near = difflib.get_close_matches(cell, column.categories, n=1)
        more = ", …" if len(column.categories) > MAX_SHOWN else ""
        choices = f"Choose one of: {', '.join(column.categories[:MAX_SHOWN])}{more}"
        hint = f"{f'Did you mean {near[0]}?' if near else f'{choices}.'} Or {LEAVE_BLANK}."
        what = f"{column.name}={cell[:40]} is a category that the model does not know"
        raise InputError(where, what, hint, code="unknown-category")
    return [float(cell == category) for category in column.categories] + [float(not cell)]
