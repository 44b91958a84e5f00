"""Columns of metadata: their statistics come from the train split, and a leaking one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermpack.contract import CategoricalColumn, NumericColumn
from dermpack.dataset.manifest import Dataset, Split, read_dataset
from tests.support import training_dataset
from tests.support.errors import raises_code
from tests.support.known_patients import write_known_patients
from trainer.datasets.metadata_columns import check_leaks, fit_columns


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("patients") / "dataset"
    write_known_patients(folder)
    return read_dataset(folder)


def test_a_column_is_described_by_the_train_split_alone(tmp_path: Path) -> None:
    # Every fourth picture is in the test split; only there is an age of 80, and the site "nail".
    rows = [("20", "back"), ("40", "face"), ("30", "back"), ("80", "nail")] * 10
    ages, sites = zip(*rows, strict=True)
    cells = {"age": ages, "site": sites}
    dataset = training_dataset.dataset(tmp_path, ["a", "b"] * 20, cells)
    age, site = fit_columns(dataset, ("age", "site"))
    assert age == NumericColumn(name="age", mean=30.0, std=10.0, minimum=20.0, maximum=40.0)
    assert site == CategoricalColumn(name="site", categories=("back", "face"))


@pytest.mark.parametrize(
    ("cells", "shown"),
    [(["x"] * 40, "constant"), ([""] * 40, "empty"), ([f"p{index}" for index in range(40)] * 3, "names")],
)
def test_a_column_that_has_nothing_to_learn_is_refused(tmp_path: Path, cells: list[str], shown: str) -> None:
    dataset = training_dataset.dataset(tmp_path, ["a", "b"] * (len(cells) // 2), {"column": cells[::-1]})
    if shown == "names":
        cells = [f"p{index}" for index in range(len(cells))]
        dataset = training_dataset.dataset(tmp_path, ["a", "b"] * (len(cells) // 2), {"column": cells})
    with raises_code("unusable-column", "--metadata column", shown):
        fit_columns(dataset, ("column",))


def test_a_column_that_is_missing_is_named(patients: Dataset) -> None:
    with raises_code("unknown-column", "--metadata skin", "age", "localization"):
        fit_columns(patients, ("skin",))


def test_a_column_that_is_written_with_the_diagnosis_is_refused(patients: Dataset) -> None:
    names = ("age", "dx_type")
    with raises_code("column-leaks", "--metadata dx_type", "--allow-leak dx_type"):
        check_leaks(patients, names, allowed=())
    check_leaks(patients, names, allowed=("dx_type",))
    check_leaks(patients, ("age", "sex"), allowed=())


def test_a_column_that_predicts_the_label_is_refused_whatever_its_name(tmp_path: Path) -> None:
    labels = ["a", "b", "c"] * 40
    # Nearly the label in other words, so that only the measurement finds it.
    hints = [label.upper() if index % 10 else "?" for index, label in enumerate(labels)]
    dataset = training_dataset.dataset(tmp_path, labels, {"ward": hints, "sex": ["f", "m"] * 60})
    with raises_code("column-leaks", "--metadata ward"):
        check_leaks(dataset, ("sex", "ward"), allowed=())


def test_only_a_column_that_is_used_can_be_allowed(patients: Dataset) -> None:
    with raises_code("option-not-applicable", "--allow-leak dx_type"):
        check_leaks(patients, ("age",), allowed=("dx_type",))


def test_the_splits_of_the_patients_are_complete(patients: Dataset) -> None:
    assert all(patients.manifest.of(split) for split in Split)
