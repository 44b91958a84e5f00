"""How much each metadata column alone tells of the label: permutation importance on held-out pictures."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.inspection import permutation_importance
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder

from dermpack.dataset.manifest import Dataset, Picture, Split
from trainer.datasets.exploration.columns import Column, ColumnKind
from trainer.datasets.exploration.imputation import ImputationStrategy

LUCK = 2  # standard deviations: who guesses comes further one time in forty
REPEATS = 10  # permutations of a column: the mean is steady to its second decimal
TREES, LEAF = 50, 5
MAX_ROWS = 10_000  # more change nothing but the time
MIN_ROWS = 20
MAX_VALUES = 20  # of a column of categories; the rarer ones are one
HELD_OUT_SHARE = 0.3
MAX_COLUMNS = 20
MOSTLY_MISSING = 0.95
WIDTH, HEIGHT = "(picture width)", "(picture height)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnImportance:
    """The loss of balanced accuracy when the column's cells are shuffled."""

    column: str
    mean: float
    deviation: float  # standard deviation over the permutations


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """What metadata alone can guess; `refusal` says why nothing was measured."""

    columns: tuple[ColumnImportance, ...] = ()  # the most important first
    excluded: tuple[tuple[str, str], ...] = ()  # column, reason
    n_fitted: int = 0
    n_held_out: int = 0
    held_out: str = ""  # which pictures
    balanced_accuracy: float = 0.0  # of the forest, on the held-out pictures
    chance: float = 0.0  # of who always says the same
    luck: float = 0.0  # how far above it guessing may well come on so many pictures
    repeats: int = REPEATS
    refusal: str = ""

    @property
    def is_better_than_guessing(self) -> bool:
        """Else no column was measured: the loss of nothing is noise."""
        return self.balanced_accuracy > self.chance + self.luck


def importance(dataset: Dataset, columns: Sequence[Column], *, seed: int) -> Importance:
    """Fit a forest on the metadata of the train split, then shuffle column by column on the others."""
    pictures = dataset.pictures
    candidates = (*columns, *_size_columns(pictures))
    reasons = {column.name: _reason_against(column, pictures) for column in candidates}
    used = [column for column in candidates if not reasons[column.name]]
    reasons.update({column.name: f"stands behind {MAX_COLUMNS} others" for column in used[MAX_COLUMNS:]})
    used = used[:MAX_COLUMNS]
    excluded = tuple((name, reason) for name, reason in reasons.items() if reason)
    fitted, held_out, which = _parts(pictures, seed=seed)
    refusal = _refusal(used, pictures, fitted, held_out)
    if refusal:
        return Importance(excluded=excluded, refusal=refusal)
    return _measured(used, pictures, fitted, held_out, which=which, excluded=excluded, seed=seed)


def _measured(
    columns: Sequence[Column],
    pictures: Sequence[Picture],
    fitted: list[int],
    held_out: list[int],
    *,
    which: str,
    excluded: tuple[tuple[str, str], ...],
    seed: int,
) -> Importance:
    table = _table(columns)
    labels = np.array([picture.label for picture in pictures], dtype=object)
    forest = _forest(columns, seed=seed).fit(table.iloc[fitted], labels[fitted])
    rows, truth = table.iloc[held_out], labels[held_out]
    measured = Importance(
        excluded=excluded,
        n_fitted=len(fitted),
        n_held_out=len(held_out),
        held_out=which,
        balanced_accuracy=balanced_accuracy(forest, rows, truth),
        chance=1 / len(set(truth)),
        luck=LUCK * _deviation_of_guessing(truth),
    )
    if not measured.is_better_than_guessing:
        return measured
    return replace(measured, columns=_permuted(forest, columns, rows, truth, seed=seed))


def _permuted(
    forest: Pipeline, columns: Sequence[Column], rows: pd.DataFrame, truth: Any, *, seed: int
) -> tuple[ColumnImportance, ...]:
    drops = permutation_importance(
        forest, rows, truth, scoring=balanced_accuracy, n_repeats=REPEATS, random_state=seed
    ).importances
    measured = [
        ColumnImportance(column=column.name, mean=float(drop.mean()), deviation=float(drop.std(ddof=1)))
        for column, drop in zip(columns, drops, strict=True)
    ]
    return tuple(sorted(measured, key=lambda one: (-one.mean, one.column)))


def balanced_accuracy(forest: Pipeline, rows: pd.DataFrame, truth: Any) -> float:
    """The mean recall of the classes that are there; a class that was fitted on alone does not count."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        return float(balanced_accuracy_score(truth, forest.predict(rows)))


def _deviation_of_guessing(truth: Any) -> float:
    """The standard deviation of the balanced accuracy of who names the classes at random, each as often.

    Two classes of 50 pictures each: sqrt(0.25 / 50 + 0.25 / 50) / 2 → 0.05
    """
    sizes = list(Counter(truth).values())
    chance = 1 / len(sizes)
    return math.sqrt(sum(chance * (1 - chance) / size for size in sizes)) / len(sizes)


def _size_columns(pictures: Sequence[Picture]) -> tuple[Column, ...]:
    """The size of a picture is metadata too: where it tells the label, a model will learn the camera."""
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


def _reason_against(column: Column, pictures: Sequence[Picture]) -> str:
    """Why a column says nothing that a model should learn, or an empty text."""
    if all(cell == picture.group for cell, picture in zip(column.cells, pictures, strict=True)):
        return "is the group"
    if column.kind is ColumnKind.NAMES:
        return f"names things: {column.different:,} different values"
    if column.kind in (ColumnKind.CONSTANT, ColumnKind.EMPTY):
        return "is the same everywhere" if column.kind is ColumnKind.CONSTANT else "is empty"
    if column.missing > MOSTLY_MISSING * len(pictures):
        return f"is missing in {column.missing / len(pictures):.0%} of the pictures"
    if _same_partition(column.cells, [picture.label for picture in pictures]):
        return "is the label in other words"
    return ""


def _same_partition(first: Sequence[str], second: Sequence[str]) -> bool:
    pairs = set(zip(first, second, strict=True))
    return len(pairs) == len(set(first)) == len(set(second))


def _parts(pictures: Sequence[Picture], *, seed: int) -> tuple[list[int], list[int], str]:
    """Rows to fit on, rows to measure on; no group and no cluster is in both."""
    ties = [picture.cluster or picture.group or picture.path for picture in pictures]
    fitted = [at for at, picture in enumerate(pictures) if picture.split is Split.TRAIN]
    seen = {key for at in fitted for key in (pictures[at].group, pictures[at].cluster) if key}
    others = [at for at, picture in enumerate(pictures) if picture.split is not Split.TRAIN]
    held_out = [at for at in others if not seen & {pictures[at].group, pictures[at].cluster}]
    which = "the validation and test splits"
    if not fitted or not held_out:
        if len(set(ties)) < 2:
            return [], [], ""
        splitter = GroupShuffleSplit(n_splits=1, test_size=HELD_OUT_SHARE, random_state=seed)
        fitted, held_out = (list(part) for part in next(splitter.split(ties, groups=ties)))
        which = f"a random {HELD_OUT_SHARE:.0%} of the groups"
    return _at_most(fitted, seed=seed), _at_most(held_out, seed=seed), which


def _at_most(rows: Sequence[int], *, seed: int) -> list[int]:
    if len(rows) <= MAX_ROWS:
        return list(rows)
    chosen = np.random.default_rng(seed).choice(len(rows), MAX_ROWS, replace=False)
    return [rows[at] for at in sorted(chosen)]


def _refusal(
    columns: Sequence[Column], pictures: Sequence[Picture], fitted: Sequence[int], held_out: Sequence[int]
) -> str:
    if not columns:
        return "no column tells one picture from another"
    if min(len(fitted), len(held_out)) < MIN_ROWS:
        return f"fewer than {MIN_ROWS} pictures to fit on, or to measure on"
    if len({pictures[at].label for at in fitted}) < 2 or len({pictures[at].label for at in held_out}) < 2:
        return "fewer than two classes to fit on, or to measure on"
    return ""


def _table(columns: Sequence[Column]) -> pd.DataFrame:
    return pd.DataFrame({str(at): _values(column) for at, column in enumerate(columns)})


def _values(column: Column) -> Any:
    if column.kind is ColumnKind.NUMBERS:
        return np.array(column.numbers, dtype=float)
    return pd.Series([cell or np.nan for cell in column.cells], dtype=object)


def _forest(columns: Sequence[Column], *, seed: int) -> Pipeline:
    """Impute as the report says, then a forest that weighs every class alike."""
    numbers = [str(at) for at, column in enumerate(columns) if column.kind is ColumnKind.NUMBERS]
    words = [str(at) for at, column in enumerate(columns) if column.kind is not ColumnKind.NUMBERS]
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=MAX_VALUES)
    filled = ColumnTransformer(
        [
            (
                "numbers",
                SimpleImputer(strategy=ImputationStrategy.MEDIAN.value, keep_empty_features=True),
                numbers,
            ),
            (
                "words",
                make_pipeline(SimpleImputer(strategy=ImputationStrategy.MOST_FREQUENT.value), encoder),
                words,
            ),
        ]
    )
    forest = RandomForestClassifier(
        n_estimators=TREES, min_samples_leaf=LEAF, class_weight="balanced", random_state=seed
    )
    return make_pipeline(filled, forest)
