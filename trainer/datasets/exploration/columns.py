"""Interpret the metadata columns of a dataset, and count the classes within the values of a column."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from dermpack.dataset.blank_cells import is_missing
from dermpack.dataset.manifest import Manifest
from dermpack.metrics.slices import band_numbers

# Stricter than float(): no infinities, no underscores, no digits of other scripts.
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?", re.ASCII)
MAX_CHARACTERS = 80  # of a cell; the rest is cut off
MIN_NUMBERS_SHARE = 0.95  # of the cells are numbers in a column of numbers
MAX_CODES = 8  # a column with so few different whole numbers has codes: the Fitzpatrick types, 0 and 1
MIN_NAMES = 20  # a column with more different cells may have names
MIN_NAMES_SHARE = 0.5  # of the cells differ in a column of names
AGE, MAX_AGE = "age", 125  # years
MAX_VALUES = 20  # rows of a cross table; rarer values share one
MAX_BANDS = 10  # of a column of numbers
MAX_AGE_BAND = 90  # years; few people are older, and could be identified by their age
ROMAN = ("I", "II", "III", "IV", "V", "VI")  # the Fitzpatrick types
OTHER, MISSING = "(other values)", "(missing)"


class ColumnKind(Enum):
    """The kind of the cells of a column."""

    NUMBERS = "numbers"
    CATEGORIES = "categories"
    NAMES = "names"  # of pictures, patients, files: nothing to learn from
    CONSTANT = "constant"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column with one cell for each picture, "" where missing."""

    name: str
    kind: ColumnKind
    cells: tuple[str, ...]
    numbers: tuple[float, ...] = ()  # NaN where missing; only in a column of numbers
    unreadable: int = 0  # words among numbers and impossible ages, which count as missing

    @property
    def missing(self) -> int:
        return sum(not cell for cell in self.cells)

    @property
    def different(self) -> int:
        return len(set(self.cells) - {""})


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosstab:
    """Pictures by value and class: `counts[i][j]` belongs to `values[i]` and to class j of the dataset."""

    column: str
    kind: ColumnKind
    values: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    folded: int = 0  # number of rare values that share the row of the other values


def read_columns(manifest: Manifest) -> tuple[Column, ...]:
    """Return every metadata column of the manifest, in its order."""
    return tuple(read_column(name, manifest.column(name)) for name in manifest.columns)


def read_column(name: str, cells: Sequence[str]) -> Column:
    """Return the column with its kind: read_column("age", ["45", "unknown"]) → numbers, one missing."""
    texts = (" ".join(cell.split())[:MAX_CHARACTERS] for cell in cells)
    cleaned = tuple("" if is_missing(text) else text for text in texts)
    numbers = tuple(_parse_number(cell) for cell in cleaned)
    if name.casefold() == AGE:
        # Some tables write an unknown age as -1 or 999.
        numbers = tuple(number if 0 <= number <= MAX_AGE else math.nan for number in numbers)
    present = [cell for cell in cleaned if cell]
    readable = [number for number in numbers if not math.isnan(number)]
    kind = _find_kind(name, present, readable)
    if kind is not ColumnKind.NUMBERS:
        return Column(name=name, kind=kind, cells=cleaned)
    # The few words among the numbers become missing cells.
    kept = tuple("" if math.isnan(n) else cell for cell, n in zip(cleaned, numbers, strict=True))
    unreadable = len(present) - len(readable)
    return Column(name=name, kind=kind, cells=kept, numbers=numbers, unreadable=unreadable)


def count_classes(column: Column, labels: Sequence[str], classes: Sequence[str]) -> Crosstab:
    """Return a cross table with bands of numbers or the most frequent values; missing cells have a row."""
    if column.kind is ColumnKind.NUMBERS:
        band_of_number = _find_bands(column)
        row_names = list(dict.fromkeys(band_of_number.values()))
        values = [band_of_number.get(number, "") for number in column.numbers]
        folded = 0
    else:
        row_names, values = _select_frequent(column), list(column.cells)
        folded = max(column.different - MAX_VALUES, 0)
    known = set(row_names)
    rows = [MISSING if not value else value if value in known else OTHER for value in values]
    # Rows that no picture has are not shown.
    counts = Counter(zip(rows, labels, strict=True))
    used = set(rows)
    shown = [name for name in dict.fromkeys((*row_names, OTHER, MISSING)) if name in used]
    return Crosstab(
        column=column.name,
        kind=column.kind,
        values=tuple(shown),
        counts=tuple(tuple(counts[name, label] for label in classes) for name in shown),
        folded=folded,
    )


def _parse_number(cell: str) -> float:
    """Return the number in the cell, or NaN."""
    return float(cell) if NUMBER.fullmatch(cell) else math.nan


def _find_kind(name: str, cells: Sequence[str], numbers: Sequence[float]) -> ColumnKind:
    """Return the kind of a column with these cells, of which some are numbers."""
    if len(numbers) < MIN_NUMBERS_SHARE * len(cells) or not cells:
        different = len(set(cells))
        if different < 2:
            return ColumnKind.CONSTANT if cells else ColumnKind.EMPTY
        are_names = different > MIN_NAMES and different > MIN_NAMES_SHARE * len(cells)
        return ColumnKind.NAMES if are_names else ColumnKind.CATEGORIES
    different = len(set(numbers))
    if different == 1:
        return ColumnKind.CONSTANT
    if name.casefold() == AGE or not all(number.is_integer() for number in numbers):
        return ColumnKind.NUMBERS
    # Whole numbers that are all different are running numbers of pictures or patients.
    if different > MIN_NAMES and different == len(numbers):
        return ColumnKind.NAMES
    return ColumnKind.CATEGORIES if different <= MAX_CODES else ColumnKind.NUMBERS


def _find_bands(column: Column) -> dict[float, str]:
    """Return number → band in ascending order: 47 years → "40–49"; other columns have ten bands at most."""
    numbers = sorted({number for number in column.numbers if not math.isnan(number)})
    if column.name.casefold() != AGE:
        return band_numbers(numbers, most=MAX_BANDS)
    bands = {}
    for years in numbers:
        start = int(years // 10) * 10
        bands[years] = f"{MAX_AGE_BAND}+" if start >= MAX_AGE_BAND else f"{start}–{start + 9}"
    return bands


def _select_frequent(column: Column) -> list[str]:
    """Return the most frequent values first; codes (the skin types 1 to 6, or I to VI) in their own order."""
    counts = Counter(cell for cell in column.cells if cell)
    values = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_VALUES]
    if all(value in ROMAN for value in values):
        return sorted(values, key=ROMAN.index)
    if any(math.isnan(_parse_number(value)) for value in values):
        return values
    return sorted(values, key=_parse_number)
