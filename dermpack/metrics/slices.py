"""Score the pictures by what is known of them: age, sex, place on the body, skin tone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermpack.errors import InputError
from dermpack.metrics.intervals import ANY_GROUPS, LEAST_GROUPS, RESAMPLES
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import FEW_GROUPS, Figure, count_groups, figure_record, overall_figures

MISSING = "(missing)"
MISSING_WORDS = frozenset(
    ("", "-", "--", "?", ".", "na", "n/a", "#n/a", "nan", "none", "null", "unknown", "undefined", "missing")
)
MOST_VALUES = 40  # more are names, not kinds
BANDS_FROM = 9  # distinct numbers: fewer are kept as they are
MOST_BANDS = 6
WIDTHS = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """The pictures with one value in a column; `labels` of the classes occur in it."""

    column: str
    value: str
    n: int
    groups: int
    labels: int
    figures: Mapping[str, Figure]
    warning: str  # empty where the slice is large enough to speak

    def record(self) -> dict[str, Any]:
        return {
            **figure_record(self.figures),
            **{"column": self.column, "value": self.value, "n": self.n, "groups": self.groups},
            **{"labels": self.labels, "warning": self.warning or None},
        }


def score_slices(
    predictions: Predictions,
    column: str,
    cells: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[Slice, ...]:
    """One slice a value of the column, numbers in bands; `cells` has one a picture."""
    values = np.array(banded(cells))
    names = sorted(set(values.tolist()), key=_order)
    if len(names) > MOST_VALUES:
        what = f"the column has {len(names)} values; at most {MOST_VALUES} can be compared"
        hint = "Slice by a column with fewer values."
        raise InputError(column, what, hint, code="too-many-values")
    parts = [(name, predictions.take(np.flatnonzero(values == name))) for name in names]
    least = ANY_GROUPS if count_groups(predictions) >= LEAST_GROUPS else LEAST_GROUPS
    return tuple(
        _slice(column, name, part, resamples=resamples, seed=seed, least_groups=least) for name, part in parts
    )


def banded(cells: Sequence[str]) -> list[str]:
    """Numbers in bands, where there are many: ages 0, 5, … 85 → "0 to 19", "20 to 39", …"""
    known = ["" if is_missing(cell) else cell.strip() for cell in cells]
    numbers = [_number(cell) for cell in known if cell]
    finite = [number for number in numbers if number is not None]
    if len(finite) < len(numbers) or len(set(finite)) < BANDS_FROM:
        return [cell or MISSING for cell in known]
    named = bands(finite)
    return [named[float(cell)] if cell else MISSING for cell in known]


def bands(numbers: Sequence[float], *, most: int = MOST_BANDS) -> dict[float, str]:
    """Each number's band, in ascending order: no number stands in two."""
    width = _width(min(numbers), max(numbers), most=most)
    whole = width >= 1 and all(number == round(number) for number in numbers)
    return {number: _band(number, width, whole=whole) for number in sorted(set(numbers))}


def is_missing(cell: str) -> bool:
    """Whether a cell says that nothing is known: is_missing("Unknown") → True."""
    return " ".join(cell.split()).casefold() in MISSING_WORDS


def _slice(
    column: str, value: str, part: Predictions, *, resamples: int, seed: int, least_groups: int
) -> Slice:
    groups = count_groups(part)
    few = f"{groups} groups, fewer than {FEW_GROUPS}: mostly chance"
    return Slice(
        column=column,
        value=value,
        n=len(part),
        groups=groups,
        labels=len(np.unique(part.truth)),
        figures=overall_figures(part, resamples=resamples, seed=seed, least_groups=least_groups),
        warning=few if groups < FEW_GROUPS else "",
    )


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _width(low: float, high: float, *, most: int) -> float:
    """The first round width that makes few bands: 0 to 85 → 20."""
    rounds = (width * 10.0**power for power in range(-6, 300, 2) for width in WIDTHS)
    return next(width for width in rounds if high // width - low // width < most)


def _band(number: float, width: float, *, whole: bool) -> str:
    """ "20 to 39" for whole numbers; a fraction's band says where it ends: "0.2 to < 0.4"."""
    low = number // width * width
    return f"{low:.0f} to {low + width - 1:.0f}" if whole else f"{low:g} to < {low + width:g}"


def _order(name: str) -> tuple[int, float, str]:
    """Numbers and bands by size, then words, then what is missing."""
    number = _number(name.partition(" to ")[0])
    if number is not None:
        return 0, number, name
    return (2 if name == MISSING else 1), 0.0, name
