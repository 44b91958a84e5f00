"""Encode patient metadata (age, sex, body site) as the row of numbers that a network takes.

The columns of a contract decide the row. The Java classes of a bundle encode the same values to the same
bits: the arithmetic is that of double, and only the result is rounded to float32.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermpack.dataset.metadata_columns import CategoricalColumn, MetadataColumn, NumericColumn
from dermpack.errors import InputError
from dermpack.metrics.slices import is_missing

Rows = NDArray[np.float32]
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?", re.ASCII)
MAX_CHARACTERS = 80  # of a category; the rest is cut off
MAX_SHOWN = 12  # categories in a message
LEAVE_BLANK = "Leave the field blank if the value is not known"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedMetadata:
    """The metadata of several pictures: float32 [n, width], in which each column has its slots."""

    columns: tuple[MetadataColumn, ...]
    rows: Rows
    ignored: Mapping[str, int]  # for each column, cells with a value that the model was not trained on

    @property
    def blank(self) -> Rows:
        return blank_row(self.columns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MetadataVariant:
    """Rows of metadata to predict the same pictures with, float32 [n, width]."""

    rows: Rows
    hides_picture: bool = False  # the network gets a mid-grey picture


def column_slices(columns: Sequence[MetadataColumn]) -> dict[str, slice]:
    """Return the slots of each column by its name: age → slice(0, 2), sex → slice(2, 5)."""
    slices, start = {}, 0
    for column in columns:
        slices[column.name] = slice(start, start + column.slots)
        start += column.slots
    return slices


def blank_row(columns: Sequence[MetadataColumn]) -> Rows:
    """Return the row of a picture about which nothing is known."""
    return _join(columns, [None] * len(columns))


def encode_values(columns: Sequence[MetadataColumn], values: Mapping[str, str]) -> Rows:
    """Return the row of one picture, float32 [width]; a field without a value is missing.

    Raise InputError for a column that the model does not take, and for a value that it was not trained on:
    {"age": "34", "sex": "female"} → [-0.96, 0, 1, 0, 0] with the columns age and sex (female, male).
    """
    known = {column.name for column in columns}
    if unknown := sorted(set(values) - known):
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Choose one of {', '.join(sorted(known))}."
        raise InputError(unknown[0], "the model has no such metadata column", hint, code="unknown-column")
    return _join(columns, [parse_value(column, values.get(column.name, "")) for column in columns])


def encode_cells(
    columns: Sequence[MetadataColumn], cells: Mapping[str, Sequence[str]], *, n: int
) -> EncodedMetadata:
    """Return the rows of the pictures of a dataset, whose values the model need not have seen.

    A value that `encode_values` refuses counts as missing here; so does a column that the dataset lacks.
    """
    rows = np.tile(blank_row(columns), (n, 1))
    ignored = {}
    for column, (name, slots) in zip(columns, column_slices(columns).items(), strict=True):
        # Encode each different cell once.
        encoded: dict[str, Rows] = {}
        refused: set[str] = set()
        own = cells.get(name, [""] * n)
        for cell in set(own):
            try:
                value = parse_value(column, cell)
            except InputError:
                value = None
                refused.add(cell)
            encoded[cell] = _join([column], [value])
        for index, cell in enumerate(own):
            rows[index, slots] = encoded[cell]
        ignored[name] = sum(cell in refused for cell in own)
    return EncodedMetadata(columns=tuple(columns), rows=rows, ignored=ignored)


def parse_value(column: MetadataColumn, cell: str) -> float | str | None:
    """Return the value in a cell, or None for a missing one; raise InputError for a value not trained on."""
    text = clean_cell(cell)
    if not text:
        return None
    if isinstance(column, CategoricalColumn):
        if text not in column.categories:
            shown = ", ".join(column.categories[:MAX_SHOWN])
            more = ", …" if len(column.categories) > MAX_SHOWN else ""
            near = difflib.get_close_matches(text, column.categories, n=1)
            hint = f"Did you mean {near[0]}? " if near else f"Choose one of {shown}{more}. "
            raise InputError(
                f"{column.name}={text}", "unknown category", f"{hint}{LEAVE_BLANK}.", code="unknown-category"
            )
        return text
    if not NUMBER.fullmatch(text):
        hint = f"Give a number such as {column.mean:.0f}. {LEAVE_BLANK}."
        raise InputError(f"{column.name}={text}", "not a number", hint, code="invalid-value")
    number = float(text)
    if not column.minimum <= number <= column.maximum:
        what = (
            f"outside of {column.minimum:g} to {column.maximum:g}, the values that the model was trained on"
        )
        raise InputError(f"{column.name}={text}", what, f"{LEAVE_BLANK}.", code="value-out-of-range")
    return number


def clean_cell(cell: str) -> str:
    """Return the text of a cell, "" where it means a missing value: " unknown" → ""."""
    text = " ".join(cell.split())[:MAX_CHARACTERS]
    return "" if is_missing(text) else text


def _join(columns: Sequence[MetadataColumn], values: Sequence[float | str | None]) -> Rows:
    pairs = zip(columns, values, strict=True)
    return np.array([number for column, value in pairs for number in _encode(column, value)], np.float32)


def _encode(column: MetadataColumn, value: float | str | None) -> Iterator[float]:
    """Yield the numbers of a column's slots."""
    if isinstance(column, NumericColumn):
        is_missing_number = value is None
        yield 0.0 if value is None else (float(value) - column.mean) / column.std
        yield float(is_missing_number)
        return
    # The last slot is for a missing value, so exactly one slot is 1.
    for category in (*column.categories, None):
        yield float(category == value)
