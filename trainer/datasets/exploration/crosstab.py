"""Count the classes within each value, or each band, of a metadata column."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dermpack.metrics.slices import bands
from trainer.datasets.exploration.columns import AGE, Column, ColumnKind, most_common, number_in

MAX_VALUES = 20
BANDS = 10
OLDEST_BAND = 90  # years; few are older, and they are easily known by it
ROMAN = ("I", "II", "III", "IV", "V", "VI")  # the Fitzpatrick types
OTHER, MISSING = "(other values)", "(missing)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosstab:
    """Pictures by value and class: `counts[i][j]` are of `values[i]` and of the dataset's class j."""

    column: str
    kind: ColumnKind
    values: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    folded: int = 0  # rare values that share the row of the others


def cross(column: Column, labels: Sequence[str], classes: Sequence[str]) -> Crosstab:
    """Bands for numbers, the most frequent values for all else; missing cells have a row of their own."""
    named = _bands(column) if column.kind is ColumnKind.NUMBERS else {}
    in_order = list(dict.fromkeys(named.values())) or _frequent(column)
    known = set(in_order)
    values = [named.get(number, "") for number in column.numbers] if named else column.cells
    rows = [MISSING if not value else value if value in known else OTHER for value in values]
    counted = Counter(zip(rows, labels, strict=True))
    there = set(rows)
    shown = [name for name in dict.fromkeys((*in_order, OTHER, MISSING)) if name in there]
    return Crosstab(
        column=column.name,
        kind=column.kind,
        values=tuple(shown),
        counts=tuple(tuple(counted[name, label] for label in classes) for name in shown),
        folded=0 if named else max(column.different - MAX_VALUES, 0),
    )


def _frequent(column: Column) -> list[str]:
    """The most frequent values first; codes in their own order: the skin types from 1 to 6, or I to VI."""
    values = most_common(column.cells, MAX_VALUES)
    if all(value in ROMAN for value in values):
        return sorted(values, key=ROMAN.index)
    codes = [number_in(value) for value in values]
    return values if any(map(math.isnan, codes)) else sorted(values, key=number_in)


def _bands(column: Column) -> dict[float, str]:
    """Each number's band, in ascending order: 47 years → "40–49"; other columns have ten bands at most."""
    numbers = sorted({number for number in column.numbers if not math.isnan(number)})
    if column.name.casefold() == AGE:
        return {number: _age_band(number) for number in numbers}
    return bands(numbers, most=BANDS)


def _age_band(years: float) -> str:
    start = int(years // 10) * 10
    return f"{OLDEST_BAND}+" if start >= OLDEST_BAND else f"{start}–{start + 9}"
