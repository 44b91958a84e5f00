"""What the cells of a metadata column hold; they are a stranger's text until read here."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from dermpack.dataset.manifest import Manifest
from dermpack.metrics.slices import is_missing

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,2})?", re.ASCII)
MAX_CHARACTERS = 80  # of a cell that is kept
MOSTLY = 0.95  # of the cells are numbers where a column is one of numbers
MAX_CODES = 8  # so few different numbers are codes: the Fitzpatrick types, 0 and 1
MIN_NAMES = 20  # so many different cells may be names of things
NAMES_SHARE = 0.5  # of the cells differ where a column names each thing
AGE, OLDEST = "age", 125  # years


class ColumnKind(Enum):
    """What a column is good for."""

    NUMBERS = "numbers"
    CATEGORIES = "categories"
    NAMES = "names"  # of pictures, patients, files: nothing to learn from
    CONSTANT = "constant"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as read: one cell a picture, "" where missing."""

    name: str
    kind: ColumnKind
    cells: tuple[str, ...]
    numbers: tuple[float, ...] = ()  # NaN where missing; for a column of numbers only
    unreadable: int = 0  # words among numbers, impossible ages: taken for missing

    @property
    def missing(self) -> int:
        return sum(not cell for cell in self.cells)

    @property
    def different(self) -> int:
        return len(set(self.cells) - {""})


def read_columns(manifest: Manifest) -> tuple[Column, ...]:
    """Every metadata column of the manifest, in its order."""
    return tuple(read_column(name, manifest.column(name)) for name in manifest.columns)


def read_column(name: str, cells: Sequence[str]) -> Column:
    """Decide what a column holds: read_column("age", ["45", "unknown"]) → numbers, one missing."""
    cleaned = tuple(_clean(cell) for cell in cells)
    numbers = tuple(_plausible(name, number_in(cell)) for cell in cleaned)
    present = [cell for cell in cleaned if cell]
    readable = [number for number in numbers if not math.isnan(number)]
    if present and len(readable) >= MOSTLY * len(present):
        kind = _kind_of_numbers(name, readable)
        if kind is ColumnKind.NUMBERS:
            kept = tuple("" if math.isnan(n) else cell for cell, n in zip(cleaned, numbers, strict=True))
            unreadable = len(present) - len(readable)
            return Column(name=name, kind=kind, cells=kept, numbers=numbers, unreadable=unreadable)
    else:
        kind = _kind_of_words(present)
    return Column(name=name, kind=kind, cells=cleaned)


def number_in(cell: str) -> float:
    """The number that a cell is, or NaN: a word, an infinity and a thousands separator are none."""
    return float(cell) if NUMBER.fullmatch(cell) else math.nan


def most_common(cells: Sequence[str], most: int) -> list[str]:
    """The values that occur most often, missing ones aside; equally often: in alphabetical order."""
    counted = Counter(cell for cell in cells if cell)
    return sorted(counted, key=lambda value: (-counted[value], value))[:most]


def _plausible(name: str, number: float) -> float:
    """Nobody is -1 or 999 years old: that is how some tables write "unknown"."""
    return math.nan if name.casefold() == AGE and not 0 <= number <= OLDEST else number


def _clean(cell: str) -> str:
    text = " ".join(cell.split())[:MAX_CHARACTERS]
    return "" if is_missing(text) else text


def _kind_of_numbers(name: str, numbers: Sequence[float]) -> ColumnKind:
    different = len(set(numbers))
    if different == 1:
        return ColumnKind.CONSTANT
    if name.casefold() == AGE:
        return ColumnKind.NUMBERS
    whole = all(number.is_integer() for number in numbers)
    if whole and different > MIN_NAMES and different == len(numbers):
        return ColumnKind.NAMES
    return ColumnKind.CATEGORIES if whole and different <= MAX_CODES else ColumnKind.NUMBERS


def _kind_of_words(present: Sequence[str]) -> ColumnKind:
    different = len(set(present))
    if different < 2:
        return ColumnKind.CONSTANT if present else ColumnKind.EMPTY
    names = different > MIN_NAMES and different > NAMES_SHARE * len(present)
    return ColumnKind.NAMES if names else ColumnKind.CATEGORIES
