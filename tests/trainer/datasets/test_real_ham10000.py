"""The real part of HAM10000 comes in whole, without leaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermpack.dataset.manifest import Dataset
from trainer.datasets.check import check_dataset, recheck_duplicates
from trainer.datasets.importer import ImportRequest, import_dataset

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def imported(ham10000: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("real") / "dataset"
    return import_dataset(ImportRequest(source=ham10000, output=folder))


def test_every_picture_comes_in(imported: Dataset) -> None:
    assert imported.classes == ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
    assert (len(imported.pictures), imported.refused) == (5984, ())


def test_no_two_pictures_are_identical_and_none_leaks(imported: Dataset) -> None:
    assert {finding.kind for finding in imported.notes} <= {"near-duplicate", "same-scene"}


def test_hardly_any_picture_of_another_lesion_is_in_a_cluster(imported: Dataset) -> None:
    confirmed_by_geometry = {
        path for pair in imported.pairs if pair.inliers for path in (pair.first, pair.second)
    }
    assert len(confirmed_by_geometry) <= 0.002 * len(imported.pictures)


def test_the_check_finds_nothing(imported: Dataset) -> None:
    assert check_dataset(imported.folder).problems == ()


def test_duplicates_found_anew_are_the_recorded_ones(imported: Dataset) -> None:
    assert recheck_duplicates(imported) == ()
