"""Measure how well each metadata column predicts the label: permutation importance on held-out pictures.

A random forest learns the label from the metadata alone. The importance of a column is the balanced accuracy
that is lost on other pictures when the cells of the column are shuffled. A column that predicts the label
well may be written after the diagnosis, or show from which clinic a picture is.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from dermpack.dataset.manifest import Dataset, Picture, Split
from trainer.datasets.exploration.columns import Column, ColumnKind

LUCK_DEVIATIONS = 2  # standard deviations: guessing is better than that one time in forty
REPEATS = 10  # permutations of a column: the mean is stable to its second decimal
TREES, MIN_LEAF = 50, 5
MAX_ROWS = 10_000  # more rows change only the time
MIN_ROWS = 20
MAX_CATEGORIES = 20  # of a column; rarer values share one
HELD_OUT_SHARE = 0.3
MAX_COLUMNS = 20
MAX_MISSING_SHARE = 0.95
WIDTH, HEIGHT = "(picture width)", "(picture height)"


class ImputationStrategy(Enum):
    """How an empty cell is filled; the values are scikit-learn's names."""

    MEDIAN = "median"
    MOST_FREQUENT = "most_frequent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imputation:
    """The missing cells of a column and their filling value, learned from `n` cells of the train split."""

    column: str
    kind: ColumnKind
    missing: int
    unreadable: int  # words among numbers and impossible ages, which count as missing
    different: int
    n: int = 0
    strategy: ImputationStrategy | None = None  # None: nothing to learn a value from
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnImportance:
    """The loss of balanced accuracy when the column's cells are shuffled."""

    column: str
    mean: float
    deviation: float  # standard deviation over the permutations


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """How well metadata alone predicts the label; `refusal` is the reason why nothing was measured."""

    columns: tuple[ColumnImportance, ...] = ()  # the most important first
    excluded: tuple[tuple[str, str], ...] = ()  # column, reason
    n_fitted: int = 0
    n_held_out: int = 0
    held_out: str = ""  # which pictures
    balanced_accuracy: float = 0.0  # of the forest, on the held-out pictures
    chance: float = 0.0  # the balanced accuracy of a constant answer
    luck: float = 0.0  # how much better guessing may be by luck on this number of pictures
    repeats: int = REPEATS
    refusal: str = ""

    @property
    def is_better_than_guessing(self) -> bool:
        """If false, `columns` is empty: the importance of columns that predict nothing is noise."""
        return self.balanced_accuracy > self.chance + self.luck


def impute(column: Column, pictures: Sequence[Picture]) -> Imputation:
    """Return the filling value of a column, learned on the train split, or on all pictures without one."""
    train = [index for index, picture in enumerate(pictures) if picture.split is Split.TRAIN]
    rows = [index for index in train or range(len(pictures)) if column.cells[index]]
    strategy, value = None, ""
    if rows and column.kind is ColumnKind.NUMBERS:
        strategy = ImputationStrategy.MEDIAN
        value = f"{np.median([column.numbers[index] for index in rows]):g}"
    elif rows and column.kind is not ColumnKind.NAMES:
        strategy = ImputationStrategy.MOST_FREQUENT
        # As scikit-learn's imputer: the first of several values that are equally frequent.
        value = str(pd.Series([column.cells[index] for index in rows]).mode()[0])
    return Imputation(
        column=column.name,
        kind=column.kind,
        missing=column.missing,
        unreadable=column.unreadable,
        different=column.different,
        n=len(rows) if strategy else 0,
        strategy=strategy,
        value=value,
    )


def measure_importance(dataset: Dataset, columns: Sequence[Column], *, seed: int) -> Importance:
    """Return the importance of each column, and why columns are excluded."""
    pictures = dataset.pictures
    candidates = (*columns, *size_columns(pictures))
    reasons = {column.name: exclusion_reason(column, pictures) for column in candidates}
    used = [column for column in candidates if not reasons[column.name]]
    reasons.update({column.name: f"comes after {MAX_COLUMNS} others" for column in used[MAX_COLUMNS:]})
    used = used[:MAX_COLUMNS]
    excluded = tuple((name, reason) for name, reason in reasons.items() if reason)
    fitted, held_out, which = _divide_rows(pictures, seed=seed)
    refusal = _find_refusal(used, pictures, fitted, held_out)
    if refusal:
        return Importance(excluded=excluded, refusal=refusal)
    # Fit a forest on the metadata of the train split, and measure it on the other splits.
    # The names in the table are indices: names of columns could collide, indices cannot.
    table = pd.DataFrame()
    for index, column in enumerate(used):
        values = column.numbers or [cell or np.nan for cell in column.cells]
        table[str(index)] = pd.Series(values, dtype=float if column.numbers else object)
    labels = np.array([picture.label for picture in pictures], dtype=object)
    forest = _create_forest(seed=seed).fit(table.iloc[fitted], labels[fitted])
    rows, truth = table.iloc[held_out], labels[held_out]
    # The standard deviation of the balanced accuracy of random guesses, all classes equally often. Two
    # classes of 50 pictures each: sqrt(0.25 / 50 + 0.25 / 50) / 2 → 0.05
    sizes = list(Counter(truth).values())
    chance = 1 / len(sizes)
    deviation_of_guessing = math.sqrt(sum(chance * (1 - chance) / size for size in sizes)) / len(sizes)
    importance = Importance(
        excluded=excluded,
        n_fitted=len(fitted),
        n_held_out=len(held_out),
        held_out=which,
        balanced_accuracy=_balanced_accuracy(forest, rows, truth),
        chance=chance,
        luck=LUCK_DEVIATIONS * deviation_of_guessing,
    )
    if not importance.is_better_than_guessing:
        return importance
    # Shuffle column by column.
    losses = permutation_importance(
        forest, rows, truth, scoring=_balanced_accuracy, n_repeats=REPEATS, random_state=seed
    ).importances
    measured = [
        ColumnImportance(column=column.name, mean=float(loss.mean()), deviation=float(loss.std(ddof=1)))
        for column, loss in zip(used, losses, strict=True)
    ]
    return replace(importance, columns=tuple(sorted(measured, key=lambda one: (-one.mean, one.column))))


def size_columns(pictures: Sequence[Picture]) -> tuple[Column, ...]:
    """Return the size of the pictures as columns: if it predicts the label, a model can learn the camera."""
    sizes = {WIDTH: [p.width for p in pictures], HEIGHT: [p.height for p in pictures]}
    return tuple(
        Column(
            name=name,
            kind=ColumnKind.NUMBERS if len(set(values)) > 1 else ColumnKind.CONSTANT,
            cells=tuple(str(value) for value in values),
            numbers=tuple(float(value) for value in values),
        )
        for name, values in sizes.items()
    )


SAME_AS_LABEL = "is the label in other words"


def exclusion_reason(column: Column, pictures: Sequence[Picture]) -> str:
    """Return why a model must not learn from the column, or ""."""
    if all(cell == picture.group for cell, picture in zip(column.cells, pictures, strict=True)):
        return "is the group"
    if column.kind is ColumnKind.NAMES:
        return f"contains names: {column.different:,} different values"
    if column.kind is ColumnKind.CONSTANT:
        return "has one value only"
    if column.kind is ColumnKind.EMPTY:
        return "is empty"
    if column.missing > MAX_MISSING_SHARE * len(pictures):
        return f"is missing in {column.missing / len(pictures):.0%} of the pictures"
    # The same partition of the pictures, in other words: "malignant" where the label is "mel".
    pairs = {(cell, picture.label) for cell, picture in zip(column.cells, pictures, strict=True)}
    if len(pairs) == len(set(column.cells)) == len({picture.label for picture in pictures}):
        return SAME_AS_LABEL
    return ""


def _divide_rows(pictures: Sequence[Picture], *, seed: int) -> tuple[list[int], list[int], str]:
    """Return rows to fit on and rows to measure on; no group and no cluster is in both."""
    fitted = [index for index, picture in enumerate(pictures) if picture.split is Split.TRAIN]
    others = [index for index, picture in enumerate(pictures) if picture.split is not Split.TRAIN]
    seen = {name for index in fitted for name in (pictures[index].group, pictures[index].cluster) if name}
    held_out = [index for index in others if not seen & {pictures[index].group, pictures[index].cluster}]
    which = "the validation and test splits"
    if not fitted or not held_out:
        # A dataset without splits: hold out a share of the groups.
        units = [picture.cluster or picture.group or picture.path for picture in pictures]
        if len(set(units)) < 2:
            return [], [], ""
        splitter = GroupShuffleSplit(n_splits=1, test_size=HELD_OUT_SHARE, random_state=seed)
        fitted, held_out = (list(part) for part in next(splitter.split(units, groups=units)))
        which = f"a random {HELD_OUT_SHARE:.0%} of the groups"
    return _sample_rows(fitted, seed=seed), _sample_rows(held_out, seed=seed), which


def _sample_rows(rows: Sequence[int], *, seed: int) -> list[int]:
    if len(rows) <= MAX_ROWS:
        return list(rows)
    chosen = np.random.default_rng(seed).choice(len(rows), MAX_ROWS, replace=False)
    return [rows[index] for index in sorted(chosen)]


def _find_refusal(
    columns: Sequence[Column], pictures: Sequence[Picture], fitted: Sequence[int], held_out: Sequence[int]
) -> str:
    if not columns:
        return "no column with usable values"
    if min(len(fitted), len(held_out)) < MIN_ROWS:
        return f"fewer than {MIN_ROWS} pictures to fit on, or to measure on"
    if any(len({pictures[index].label for index in rows}) < 2 for rows in (fitted, held_out)):
        return "fewer than two classes to fit on, or to measure on"
    return ""


def _create_forest(*, seed: int) -> Pipeline:
    """Return a pipeline that imputes as the report states, then a forest with equal weights of classes."""
    median = SimpleImputer(strategy=ImputationStrategy.MEDIAN.value, keep_empty_features=True)
    most_frequent = SimpleImputer(strategy=ImputationStrategy.MOST_FREQUENT.value)
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_CATEGORIES)
    imputer = make_column_transformer(
        (median, make_column_selector(dtype_include="number")),
        (make_pipeline(most_frequent, encoder), make_column_selector(dtype_exclude="number")),
    )
    forest = RandomForestClassifier(
        n_estimators=TREES, min_samples_leaf=MIN_LEAF, class_weight="balanced", random_state=seed
    )
    return make_pipeline(imputer, forest)


def _balanced_accuracy(forest: Pipeline, rows: pd.DataFrame, truth: Any) -> float:
    """Return the mean recall of the classes that occur in `truth`."""
    with warnings.catch_warnings():
        # The forest may answer a class that occurs only where it was fitted.
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        return float(balanced_accuracy_score(truth, forest.predict(rows)))
