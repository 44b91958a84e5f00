from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from dermpack.dataset.manifest import Picture, Split
from dermpack.reporting.page import Image, Table
from tests.support.training_dataset import dataset, of_pictures, picture
from trainer.datasets.exploration.columns import ColumnKind, read_column, read_columns
from trainer.datasets.exploration.importance import (
    HEIGHT,
    MAX_COLUMNS,
    WIDTH,
    Importance,
    Imputation,
    ImputationStrategy,
    impute,
    measure_importance,
)
from trainer.datasets.exploration.report_sections import create_importance_section

N = 400
TRAIN = tuple(replace(picture(index, "nv"), split=Split.TRAIN) for index in range(5))


def filled(name: str, cells: list[str], pictures: tuple[Picture, ...] = TRAIN) -> Imputation:
    return impute(read_column(name, cells), pictures)


def test_a_missing_number_would_be_the_median() -> None:
    one = filled("age", ["10", "20", "60", "", "unknown"])
    assert (one.strategy, one.value, one.missing, one.n) == (ImputationStrategy.MEDIAN, "20", 2, 3)


def test_a_missing_word_would_be_the_most_frequent() -> None:
    one = filled("sex", ["male", "female", "male", "", "unknown"])
    assert (one.strategy, one.value, one.missing, one.n) == (ImputationStrategy.MOST_FREQUENT, "male", 2, 3)


def test_equally_frequent_words_give_the_first_in_the_alphabet() -> None:
    assert filled("sex", ["b", "a", "b", "a", ""]).value == "a"


def test_filling_values_come_from_the_train_split_alone() -> None:
    pictures = tuple(
        replace(p, split=Split.TEST if index > 1 else Split.TRAIN) for index, p in enumerate(TRAIN)
    )
    assert filled("age", ["10", "20", "90", "90", "90"], pictures).value == "15"


def test_names_and_empty_columns_are_not_filled() -> None:
    empty = filled("x", [""] * 5)
    assert (empty.kind, empty.strategy, empty.n) == (ColumnKind.EMPTY, None, 0)
    pictures = tuple(picture(index, "nv") for index in range(40))
    assert filled("id", [f"ISIC_{index}" for index in range(40)], pictures).strategy is None


@pytest.fixture(scope="module")
def planted() -> Importance:
    """A column that tells the label nine times in ten, a noise column, an id and a constant."""
    random = Random(0)
    labels = [random.choice(["mel", "nv"]) for _ in range(N)]
    noisy_labels = [label if random.random() < 0.9 else random.choice(["mel", "nv"]) for label in labels]
    columns = {
        "site": [{"mel": "back", "nv": ""}.get(word, "") or "face" for word in noisy_labels],
        "noise": [random.choice(["a", "b", "unknown"]) for _ in range(N)],
        "image_id": [f"ISIC_{index}" for index in range(N)],
        "study": ["one"] * N,
        "diagnosis": [f"is {label}" for label in labels],
    }
    made = dataset(Path("nowhere"), labels, columns)
    return measure_importance(made, read_columns(made.manifest), seed=0)


def test_a_planted_column_is_found(planted: Importance) -> None:
    assert planted.columns[0].column == "site"
    assert planted.columns[0].mean > 0.3
    assert planted.balanced_accuracy > 0.85


def test_noise_has_no_importance(planted: Importance) -> None:
    noise = next(one for one in planted.columns if one.column == "noise")
    assert abs(noise.mean) < 0.05


def test_columns_that_must_not_be_learned_are_left_aside_with_a_reason(planted: Importance) -> None:
    assert dict(planted.excluded) == {
        "image_id": "contains names: 400 different values",
        "study": "has one value only",
        "diagnosis": "is the label in other words",
        WIDTH: "has one value only",
        HEIGHT: "has one value only",
    }


def test_importance_has_the_number_of_pictures(planted: Importance) -> None:
    assert (planted.n_fitted, planted.n_held_out) == (N // 2, N // 2)
    assert planted.held_out == "the validation and test splits"
    assert planted.chance == 0.5


def test_the_size_of_the_pictures_can_predict_the_label() -> None:
    rows = [picture(index, "mel" if index % 3 else "nv") for index in range(120)]
    rows = [replace(row, width=600 if row.label == "mel" else 450 + index) for index, row in enumerate(rows)]
    measured = measure_importance(of_pictures(Path("nowhere"), rows), (), seed=0)
    assert measured.columns[0].column == WIDTH
    assert measured.columns[0].mean > 0.2


def test_a_group_that_was_fitted_on_is_not_measured_on() -> None:
    labels = ["mel", "nv"] * 60
    made = dataset(Path("nowhere"), labels, {"sex": ["m", "f", "f"] * 40})
    leaking = [replace(p, group="one") if index < 40 else p for index, p in enumerate(made.pictures)]
    measured = measure_importance(
        of_pictures(Path("nowhere"), leaking, columns=("sex",)), read_columns(made.manifest), seed=0
    )
    assert measured.n_held_out == 40  # of 60: twenty of the test and validation rows are in the leaking group


def test_without_splits_whole_groups_are_held_out() -> None:
    labels = ["mel", "nv"] * 60
    made = dataset(Path("nowhere"), labels, {"sex": ["m", "f", "f"] * 40})
    rows = [replace(p, split=Split.TEST, group=f"g{index // 4}") for index, p in enumerate(made.pictures)]
    measured = measure_importance(
        of_pictures(Path("nowhere"), rows, columns=("sex",)), read_columns(made.manifest), seed=0
    )
    assert measured.n_fitted + measured.n_held_out == 120
    assert measured.n_held_out % 4 == 0
    assert "groups" in measured.held_out


@pytest.mark.parametrize("labels", [["nv"] * 200, ["nv", "mel"] * 4])
def test_too_little_to_measure_is_said(labels: list[str]) -> None:
    made = dataset(Path("nowhere"), labels, {"sex": ["m", "f"] * (len(labels) // 2)})
    assert measure_importance(made, read_columns(made.manifest), seed=0).refusal


def test_the_same_seed_measures_the_same() -> None:
    labels = ["mel", "nv", "nv"] * 40
    made = dataset(Path("nowhere"), labels, {"sex": ["m", "f"] * 60})
    columns = read_columns(made.manifest)
    assert measure_importance(made, columns, seed=1) == measure_importance(made, columns, seed=1)


def test_so_many_columns_that_it_would_never_end_are_cut() -> None:
    made = dataset(
        Path("nowhere"), ["mel", "nv"], {f"c{index}": ["m", "f"] for index in range(MAX_COLUMNS + 2)}
    )
    columns = [
        replace(column, kind=ColumnKind.CATEGORIES, cells=("m", "m"))
        for column in read_columns(made.manifest)
    ]
    excluded = dict(measure_importance(made, columns, seed=0).excluded)
    assert "c19" not in excluded
    assert excluded["c20"] == excluded["c21"] == "comes after 20 others"


def test_metadata_that_predicts_nothing_has_no_importances_and_the_page_has_the_reason() -> None:
    random = Random(0)
    labels = [random.choice(["mel", "nv"]) for _ in range(N)]
    made = dataset(Path("nowhere"), labels, {"noise": [random.choice("abc") for _ in range(N)]})
    measured = measure_importance(made, read_columns(made.manifest), seed=0)
    assert (measured.columns, measured.is_better_than_guessing) == ((), False)
    section = create_importance_section(measured, [filled("noise", ["a"] * 5)])
    assert section is not None
    first, *others = section.blocks
    assert isinstance(first, str) and "better than guessing" in first
    assert [block.caption for block in others if isinstance(block, Table)] == ["Excluded columns"]
    assert not any(isinstance(block, Image) for block in others)


def test_the_luck_of_guessing_shrinks_with_the_pictures(planted: Importance) -> None:
    half = math.sqrt(0.25 / (planted.n_held_out / 2) * 2) / 2
    assert planted.luck == pytest.approx(2 * half, rel=0.02)  # the classes are nearly of one size
