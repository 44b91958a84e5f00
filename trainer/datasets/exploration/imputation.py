"""How missing metadata would be filled: the median of numbers, the most frequent of all else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from sklearn.impute import SimpleImputer

from dermpack.dataset.manifest import Picture, Split
from trainer.datasets.exploration.columns import Column, ColumnKind


class ImputationStrategy(Enum):
    """What is put into an empty cell; the values are scikit-learn's words."""

    MEDIAN = "median"
    MOST_FREQUENT = "most_frequent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imputation:
    """A column's gaps, and what would fill them; learned from `n` present cells of the train split."""

    column: str
    kind: ColumnKind
    missing: int
    unreadable: int  # words among numbers, impossible ages: they count as missing
    different: int
    n: int = 0
    strategy: ImputationStrategy | None = None  # None: nothing to learn a value from
    value: str = ""


def imputation(column: Column, pictures: Sequence[Picture]) -> Imputation:
    """Learn the filling value where the column has one: on the train split, or on all without one."""
    rows = [at for at, picture in enumerate(pictures) if picture.split is Split.TRAIN]
    rows = [at for at in rows or range(len(pictures)) if column.cells[at]]
    strategy = _strategy(column) if rows else None
    return Imputation(
        column=column.name,
        kind=column.kind,
        missing=column.missing,
        unreadable=column.unreadable,
        different=column.different,
        n=len(rows) if strategy else 0,
        strategy=strategy,
        value=_value(column, rows, strategy) if strategy else "",
    )


def _strategy(column: Column) -> ImputationStrategy | None:
    if column.kind in (ColumnKind.NAMES, ColumnKind.EMPTY):
        return None
    return (
        ImputationStrategy.MEDIAN if column.kind is ColumnKind.NUMBERS else ImputationStrategy.MOST_FREQUENT
    )


def _value(column: Column, rows: Sequence[int], strategy: ImputationStrategy) -> str:
    source = column.numbers if strategy is ImputationStrategy.MEDIAN else column.cells
    cells = np.array(
        [[source[at]] for at in rows], dtype=float if strategy is ImputationStrategy.MEDIAN else object
    )
    value = SimpleImputer(strategy=strategy.value).fit(cells).statistics_[0]
    return f"{value:g}" if strategy is ImputationStrategy.MEDIAN else str(value)
