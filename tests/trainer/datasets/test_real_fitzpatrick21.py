"""The listed pairs of clinical photographs are found, and no cluster is divided by the split."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dermpack.dataset.manifest import Dataset
from trainer.datasets.importer import ImportRequest, import_dataset

pytestmark = pytest.mark.real_data
# Listed pairs that show different things: many features of one picture match the same few of the other.
MAX_WRONGLY_LISTED = 0.04


@pytest.fixture(scope="module")
def imported(fitzpatrick21: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return import_dataset(
        ImportRequest(source=fitzpatrick21, output=tmp_path_factory.mktemp("real") / "dataset")
    )


def test_the_listed_pairs_are_in_one_cluster(fitzpatrick21: Path, imported: Dataset) -> None:
    with (fitzpatrick21 / "duplicate_pairs.csv").open() as file:
        listed = [(row["first"], row["second"]) for row in csv.DictReader(file)]
    pictures = {picture.path: picture for picture in imported.pictures}
    apart = [
        (pictures[first], pictures[second])
        for first, second in listed
        if not pictures[first].cluster or pictures[first].cluster != pictures[second].cluster
    ]
    assert len(apart) <= MAX_WRONGLY_LISTED * len(listed)


def test_no_cluster_is_divided(imported: Dataset) -> None:
    splits = {picture.cluster: picture.split for picture in imported.pictures if picture.cluster}
    assert all(picture.split is splits.get(picture.cluster, picture.split) for picture in imported.pictures)
    assert len(splits) > 250
