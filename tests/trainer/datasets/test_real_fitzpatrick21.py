"""The listed pairs of clinical photographs are found, and no cluster is divided by the split."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dermpack.dataset.manifest import Dataset
from trainer.datasets.importer import ImportRequest, import_dataset

pytestmark = pytest.mark.real_data
# The list was made by counting features that match, and many of them may match the same one. These listed
# pairs were inspected: they show different people, body parts and lesions.
WRONGLY_LISTED = {
    ("098d28da6fe1", "ddcb8094a495"),  # two melanomas of different shape, each with another ruler
    ("291bfda376c0", "21b4c6bf6533"),  # the fingers of a hand, and a wrist
    ("291bfda376c0", "7781a3d68175"),  # the fingers of a hand, and a brown lesion that two fingers hold
    ("291bfda376c0", "8314d43be9af"),  # the fingers of a hand, and the palm of a smaller one
    ("3ebdf5bc47b0", "bc5ed788e051"),  # the fingers of two people, on blue and on green cloth
    ("3ebdf5bc47b0", "ff33202c3bc7"),  # the fingers of two people, on blue and on green cloth
    ("94d83b7ef6a0", "4d6a5c8b2e73"),  # a pigmented lesion, and a red patch on a back
    ("bc3c9dd43c06", "e59bdb74a1a5"),  # groups of papules, and one scaly plaque
    ("fcc9ed389221", "a53466176187"),  # a crusted nodule on a hairy arm, and one on a freckled arm
    ("fec1fe14f417", "80af44814ea5"),  # many nodules on a leg, and one dark nodule on an arm
}


@pytest.fixture(scope="module")
def imported(fitzpatrick21: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return import_dataset(
        ImportRequest(source=fitzpatrick21, output=tmp_path_factory.mktemp("real") / "dataset")
    )


def test_the_listed_pairs_are_in_one_cluster(fitzpatrick21: Path, imported: Dataset) -> None:
    with (fitzpatrick21 / "duplicate_pairs.csv").open() as file:
        listed = [(row["first"], row["second"]) for row in csv.DictReader(file)]
    pictures = {picture.path: picture for picture in imported.pictures}
    apart = {
        (Path(first).stem, Path(second).stem)
        for first, second in listed
        if not pictures[first].cluster or pictures[first].cluster != pictures[second].cluster
    }
    assert len(listed) == 303
    assert apart <= WRONGLY_LISTED  # so no pair that shows the same thing is parted by the split


def test_no_cluster_is_divided(imported: Dataset) -> None:
    splits = {picture.cluster: picture.split for picture in imported.pictures if picture.cluster}
    assert all(picture.split is splits.get(picture.cluster, picture.split) for picture in imported.pictures)
    assert len(splits) > 250
