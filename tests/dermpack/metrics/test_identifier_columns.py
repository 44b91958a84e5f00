"""Columns that identify people or pictures are neither slices nor in a model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.dataset.manifest import Dataset, Manifest, Split
from dermpack.evaluation.evaluate import choose_slice_columns, evaluate
from dermpack.metrics.slices import is_identifier_column, is_identifier_in_counts
from tests.dermpack.evaluation.test_evaluate import ABOUT, Brightness
from tests.support.evaluation_dataset import make_dataset

LETTERS = "abcdefghijklmnopqrstuv"


def with_column(dataset: Dataset, name: str, cells: Sequence[str], **options: str) -> Dataset:
    """The dataset with one metadata column, and the options that it was imported with."""
    pairs = zip(dataset.pictures, cells, strict=True)
    pictures = tuple(replace(picture, metadata=(cell,)) for picture, cell in pairs)
    return replace(dataset, manifest=Manifest(pictures=pictures, columns=(name,)), options=options)


def groups_of(dataset: Dataset) -> list[str]:
    return [picture.group for picture in dataset.pictures]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "set")


def test_the_group_column_of_the_import_identifies(dataset: Dataset) -> None:
    cells = ["p1", *["p1", "p2"] * 12]
    assert is_identifier_column(with_column(dataset, "Kürzel", cells, group="kürzel"), "Kürzel")
    assert not is_identifier_column(with_column(dataset, "Kürzel", cells), "Kürzel")


def test_a_column_equal_to_the_group_identifies(dataset: Dataset) -> None:
    cells = ["", *groups_of(dataset)[1:]]
    assert is_identifier_column(with_column(dataset, "who", cells), "who")


def test_nearly_one_value_a_group_identifies(dataset: Dataset) -> None:
    cells = [f"of {group}" for group in groups_of(dataset)]
    assert is_identifier_column(with_column(dataset, "who", cells), "who")


@pytest.mark.parametrize("name", ["Patientennr.", "patient", "Patient ID", "lesion_id", "Läsion", "Fall-Nr."])
def test_a_column_called_as_those_of_patients_identifies(dataset: Dataset, name: str) -> None:
    assert is_identifier_column(with_column(dataset, name, ["a"] * 25), name)


@pytest.mark.parametrize("name", ["age", "sex"])
def test_a_column_that_many_groups_share_does_not(dataset: Dataset, name: str) -> None:
    assert not is_identifier_column(dataset, name)


def test_the_group_is_not_a_slice_unless_requested(dataset: Dataset) -> None:
    named = with_column(dataset, "who", groups_of(dataset))
    assert choose_slice_columns(named, Split.TEST) == ()
    assert evaluate(Brightness(), named, model=ABOUT, columns=("who",)).slices


def test_a_column_with_one_value_per_picture_of_the_split_is_not_a_slice(dataset: Dataset) -> None:
    pictures = tuple(
        replace(picture, split=Split.TEST if at > 20 else Split.TRAIN, metadata=(LETTERS[at % len(LETTERS)],))
        for at, picture in enumerate(dataset.pictures)
    )
    many = replace(dataset, manifest=Manifest(pictures=pictures, columns=("who",)))
    assert choose_slice_columns(many, Split.TEST) == ()


@pytest.mark.parametrize(
    ("column", "groups", "options"),
    [
        ("Patientennr.", [30, 40], {}),
        ("Kürzel", [30, 40], {"group": "kürzel"}),
        ("who", [1, 1, 1, 2], {}),
    ],
)
def test_counts_of_groups_show_that_a_column_identifies(
    column: str, groups: list[int], options: dict[str, str]
) -> None:
    assert is_identifier_in_counts(column, groups, options)


def test_a_report_with_a_rare_value_does_not_identify() -> None:
    assert not is_identifier_in_counts("site", [1, 4, 6], {"group": "who"})
