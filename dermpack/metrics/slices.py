"""Scores by metadata column (age, sex, body site, skin tone), and columns that identify people."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermpack.dataset.blank_cells import is_missing
from dermpack.dataset.manifest import Dataset
from dermpack.errors import InputError
from dermpack.metrics import RESAMPLES
from dermpack.metrics.intervals import MIN_DRAWABLE_GROUPS, MIN_GROUPS
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.skin_types import SKIN_TYPE_GROUPS, group_skin_type, is_skin_type_column
from dermpack.metrics.summary import FEW_GROUPS, Figure, count_groups, flat_record, overall_figures

MISSING = "(missing)"
MOST_VALUES = 40  # a column with more values contains names, not categories
BANDS_FROM = 9  # distinct numbers; fewer are kept as they are
MOST_BANDS = 6
WIDTHS = (1, 2, 5, 10, 20, 50)
GROUP_OPTION = "group"  # in dataset.json: the column that the import used as the group
NAMES_SHARE = 0.5  # with at least this many values per group, a column may name the groups
ALONE_SHARE = 0.9  # share of the values that must occur in one group only
NAME = re.compile(
    r"(patient(en)?|lesion|l(ä|ae?)sion(s|en)?|subject|person(en)?|case|fall|participant|proband(en)?|image|picture)"
    r"s?[\s_-]*(id|nr|no|num|number|nummer|name|kennung|code)?\W*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The scores of the pictures with one value in a column, in which `labels` classes occur."""

    column: str
    value: str
    n: int
    groups: int
    labels: int
    figures: Mapping[str, Figure]
    warning: str  # empty if the slice has enough groups

    def record(self) -> dict[str, Any]:
        return {**flat_record(self), "warning": self.warning or None}


def score_slices(
    predictions: Predictions, column: str, cells: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[Slice, ...]:
    """Score each value of the column, with numbers and skin types grouped; `cells` has one per picture."""
    values = np.array(slice_values(column, cells))
    names = sorted(set(values.tolist()), key=_sort_key)
    if len(names) > MOST_VALUES:
        what = f"the column has {len(names)} values; at most {MOST_VALUES} can be compared"
        hint = "Slice by a column with fewer values."
        raise InputError(column, what, hint, code="too-many-values")
    # If the whole has enough groups for an interval, each of its slices gets one too.
    min_groups = MIN_DRAWABLE_GROUPS if count_groups(predictions) >= MIN_GROUPS else MIN_GROUPS
    slices = []
    for name in names:
        part = predictions.take(np.flatnonzero(values == name))
        groups = count_groups(part)
        warning = f"{groups} groups, fewer than {FEW_GROUPS}: mostly chance" if groups < FEW_GROUPS else ""
        slices.append(
            Slice(
                column=column,
                value=name,
                n=len(part),
                groups=groups,
                labels=len(np.unique(part.truth)),
                figures=overall_figures(part, resamples=resamples, seed=seed, min_groups=min_groups),
                warning=warning,
            )
        )
    return tuple(slices)


def slice_values(column: str, cells: Sequence[str]) -> list[str]:
    """Return the slice of each picture: skin types in three groups, many different numbers in bands."""
    if is_skin_type_column(column, cells):
        return [group_skin_type(cell) or MISSING for cell in cells]
    return band_cells(cells)


def band_cells(cells: Sequence[str]) -> list[str]:
    """Replace many different numbers by bands: ages 0, 5, … 85 → "0 to 19", "20 to 39", …"""
    known = ["" if is_missing(cell) else cell.strip() for cell in cells]
    numbers = [_parse_number(cell) for cell in known if cell]
    finite = [number for number in numbers if number is not None]
    # Bands are for columns of numbers only; a single word makes it a column of categories.
    if len(finite) < len(numbers) or len(set(finite)) < BANDS_FROM:
        return [cell or MISSING for cell in known]
    bands = band_numbers(finite)
    return [bands[float(cell)] if cell else MISSING for cell in known]


def band_numbers(numbers: Sequence[float], *, most: int = MOST_BANDS) -> dict[float, str]:
    """Return the band of each number, in ascending order: "20 to 39", or "0.2 to < 0.4" for fractions."""
    smallest, largest = min(numbers), max(numbers)
    # The first round width that gives few enough bands: 0 to 85 → 20.
    widths = (width * 10.0**power for power in range(-6, 300, 2) for width in WIDTHS)
    width = next(width for width in widths if largest // width - smallest // width < most)
    is_whole = width >= 1 and all(number == round(number) for number in numbers)
    bands = {}
    for number in sorted(set(numbers)):
        low = number // width * width
        # Only whole numbers can state their last value; a fraction may lie just below the end.
        bands[number] = f"{low:.0f} to {low + width - 1:.0f}" if is_whole else f"{low:g} to < {low + width:g}"
    return bands


def is_identifier_column(dataset: Dataset, column: str) -> bool:
    """Return whether the column is the group, or equivalent: by its name or by its values."""
    if _has_identifier_name(column, dataset.options):
        return True
    cells = dataset.manifest.column(column)
    groups = [picture.group for picture in dataset.pictures]
    filled = [(cell, group) for cell, group in zip(cells, groups, strict=True) if cell.strip()]
    if filled and all(cell == group for cell, group in filled):
        return True
    pairs = {pair for pair in zip(band_cells(cells), groups, strict=True) if pair[0] != MISSING}
    values = {value for value, _ in pairs}
    # Nearly one value per group: every further group of a value adds one pair.
    few = len(values) < max(2, NAMES_SHARE * len({group for _, group in pairs}))
    shared = len(pairs) - len(values)
    return not few and shared <= (1 - ALONE_SHARE) * len(values)


def is_identifier_in_counts(column: str, groups: Sequence[int], options: Mapping[str, Any]) -> bool:
    """Return the same for a report, without the dataset; `groups` counts those of each known value."""
    # A value in one group only suggests a name: one value per patient.
    alone = sum(count == 1 for count in groups)
    return _has_identifier_name(column, options) or alone > NAMES_SHARE * len(groups)


def _has_identifier_name(column: str, options: Mapping[str, Any]) -> bool:
    group_column = str(options.get(GROUP_OPTION, "")).strip().casefold()
    name = column.strip()
    return name.casefold() == group_column or NAME.fullmatch(name) is not None


def _parse_number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _sort_key(name: str) -> tuple[int, float, str]:
    """Sort numbers, bands and skin types by size, then words, then the missing value."""
    if name in SKIN_TYPE_GROUPS:
        return 0, SKIN_TYPE_GROUPS.index(name), name
    number = _parse_number(name.partition(" to ")[0])
    if number is not None:
        return 0, number, name
    return (2 if name == MISSING else 1), 0.0, name
