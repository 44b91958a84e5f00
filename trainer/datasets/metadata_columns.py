"""Choose the metadata columns that a network may take, and fit their encoding on the train split.

A column that reveals the label is refused: it is written when the diagnosis is known, so an app does not have
it when it needs it. The dataset report measures the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from dermpack.contract import CategoricalColumn, MetadataColumn, NumericColumn
from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import InputError
from trainer.datasets.exploration.columns import Column, ColumnKind, read_column, read_columns

MAX_CATEGORIES = 64  # of a column: each is an input of the network
# The balanced accuracy that a random forest on all columns loses if the column is shuffled. On HAM10000 it is
# 0.28 for the method of the diagnosis (dx_type), and 0.13 for the body site, which is known beforehand.
LEAK_IMPORTANCE = 0.2
# Columns that are written with or after the diagnosis: how it was made, whether tissue was taken.
AFTER_DIAGNOSIS = re.compile(
    r"(dx|diagnos\w*)([\s_-]*(type|method|confirm\w*|source))?|diagnosis[\s_-]*\w*|biops\w*|histo\w*|path(ology)?"
    r"|patholog\w*|melanocytic|malignan\w*|benign\w*|benign[\s_-]*malignant|concomitant[\s_-]*biopsy|treat\w*|outcome",
    re.IGNORECASE,
)
ALLOW_HINT = "Omit it, or add --allow-leak {} if an app knows the value before the diagnosis."


def fit_columns(dataset: Dataset, names: Sequence[str]) -> tuple[MetadataColumn, ...]:
    """Return the columns with their statistics, which come from the train split alone."""
    manifest = dataset.manifest
    train = [index for index, picture in enumerate(manifest.pictures) if picture.split is Split.TRAIN]
    fitted = []
    for name in names:
        if name not in manifest.columns:
            hint = "Import a table with columns." if not manifest.columns else ""
            hint = hint or f"Choose from {', '.join(manifest.columns)}."
            raise InputError(f"--metadata {name}", "no such column", hint, code="unknown-column")
        cells = manifest.column(name)
        fitted.append(_fit_column(read_column(name, [cells[index] for index in train])))
    return tuple(fitted)


def check_leaks(dataset: Dataset, names: Sequence[str], *, allowed: Sequence[str]) -> None:
    """Raise InputError for a column that reveals the label, unless it is allowed."""
    for name in allowed:
        if name not in names:
            hint = "Name a column that --metadata lists."
            raise InputError(
                f"--allow-leak {name}", "the column is not used", hint, code="option-not-applicable"
            )
    if set(names) <= set(allowed):
        return
    for name, reason in _find_leaks(dataset):
        if name in names and name not in allowed:
            what = f"reveals the label ({reason})"
            raise InputError(f"--metadata {name}", what, ALLOW_HINT.format(name), code="column-leaks")


def _find_leaks(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """Yield each column that reveals the label, and why."""
    # Importing pandas and scikit-learn takes a second, which only a training with metadata needs.
    from trainer.datasets.exploration.importance import SAME_AS_LABEL, exclusion_reason, measure_importance

    for name in dataset.manifest.columns:
        if AFTER_DIAGNOSIS.fullmatch(name.strip()):
            yield name, "such a column is written with or after the diagnosis"
    columns = read_columns(dataset.manifest)
    for column in columns:
        if (reason := exclusion_reason(column, dataset.pictures)) == SAME_AS_LABEL:
            yield column.name, reason
    importance = measure_importance(dataset, columns, seed=0)
    for measured in importance.columns:
        if measured.mean >= LEAK_IMPORTANCE and measured.mean > 2 * measured.deviation:
            lost = f"without it, metadata alone loses {measured.mean:.2f} of balanced accuracy"
            yield measured.column, lost


def _fit_column(column: Column) -> MetadataColumn:
    """Return the column as a network takes it, with the statistics of these cells."""
    where = f"--metadata {column.name}"
    match column.kind:
        case ColumnKind.NUMBERS:
            numbers = np.array(column.numbers, np.float64)
            present = numbers[~np.isnan(numbers)]
            return NumericColumn(
                name=column.name,
                mean=float(present.mean()),
                std=float(present.std()),
                minimum=float(present.min()),
                maximum=float(present.max()),
            )
        case ColumnKind.CATEGORIES if column.different <= MAX_CATEGORIES:
            categories = sorted(set(column.cells) - {""})
            return CategoricalColumn(name=column.name, categories=tuple(categories))
        case ColumnKind.CATEGORIES:
            what = f"{column.different} categories are more than the supported {MAX_CATEGORIES}"
        case ColumnKind.NAMES:
            what = f"contains names: {column.different} different values"
        case ColumnKind.CONSTANT | ColumnKind.EMPTY:
            what = f"is {column.kind.value} in the train split"
    raise InputError(where, what, "Choose another column.", code="unusable-column")
