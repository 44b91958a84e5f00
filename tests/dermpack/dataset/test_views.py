"""A column of a dataset as its labels, models that learned one, and a part of the training pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dermpack.cli import main
from dermpack.dataset.manifest import Dataset, Manifest, Split, read_dataset, write_dataset
from dermpack.dataset.views import (
    IMPORTED_LABEL,
    label_by_column,
    match_labels,
    name_joined_groups,
    reduce_training,
)
from dermpack.errors import DatasetError
from tests.conftest import OPTIONS
from tests.support.coloured_dataset import write_coloured
from trainer.runs.run_folder import read_run

SITES = ("arm", "leg", "unknown", "arm", "leg", "")


def write_with_sites(folder: Path) -> Dataset:
    """A dataset whose pictures have a site, which two of six lack; one site is in the training split only."""
    write_coloured(folder)
    dataset = read_dataset(folder)
    sites = [SITES[index % len(SITES)] for index in range(len(dataset.pictures))]
    first = next(i for i, picture in enumerate(dataset.pictures) if picture.split is Split.TRAIN)
    sites[first] = "ear"
    pictures = tuple(
        replace(picture, metadata=(*picture.metadata, site))
        for picture, site in zip(dataset.pictures, sites, strict=True)
    )
    manifest = Manifest(pictures=pictures, columns=(*dataset.manifest.columns, "site"))
    write_dataset(replace(dataset, manifest=manifest), folder)
    return read_dataset(folder)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_with_sites(tmp_path_factory.mktemp("labels") / "dataset")


def test_the_values_of_a_column_are_the_labels(dataset: Dataset) -> None:
    labelled = label_by_column(dataset, "site")
    assert labelled.classes == ("arm", "leg")
    assert {picture.label for picture in labelled.pictures} == {"arm", "leg"}
    assert labelled.manifest.columns[-1] == IMPORTED_LABEL
    assert {picture.metadata[-1] for picture in labelled.pictures} == set(dataset.classes)


def test_only_the_same_labels_match_the_dataset_of_a_model(dataset: Dataset) -> None:
    labelled = label_by_column(dataset, "site")
    assert labelled.sha256 != dataset.sha256
    assert match_labels(dataset, labelled.sha256) == labelled
    assert match_labels(dataset, dataset.sha256) is dataset
    assert match_labels(dataset, "0" * 64) is dataset
    assert label_by_column(labelled, "site") is labelled


@pytest.mark.parametrize(("column", "code"), [("place", "unknown-column"), ("constant", "single-class")])
def test_a_column_without_two_labels_is_refused(dataset: Dataset, column: str, code: str) -> None:
    pictures = tuple(replace(each, metadata=(*each.metadata, "same")) for each in dataset.pictures)
    manifest = Manifest(pictures=pictures, columns=(*dataset.manifest.columns, "constant"))
    with pytest.raises(DatasetError) as error:
        label_by_column(replace(dataset, manifest=manifest), column)
    assert error.value.code == code


def test_a_share_of_the_training_pictures_is_made_of_whole_groups_and_part_of_a_larger_share(
    dataset: Dataset,
) -> None:
    paired = replace(
        dataset.manifest,
        pictures=tuple(replace(each, group=each.path[:-5]) for each in dataset.pictures),  # tens of a number
    )
    whole = replace(dataset, manifest=paired)
    parts = [reduce_training(whole, share, seed=1) for share in (0.25, 0.5, 1.0)]
    kept = [{picture.path for picture in part.manifest.of(Split.TRAIN)} for part in parts]
    assert kept[0] < kept[1] < kept[2]
    outside = {picture.group for picture in parts[0].manifest.of(Split.TRAIN)}
    assert {p.path for p in whole.manifest.of(Split.TRAIN) if p.group in outside} == kept[0]
    assert all(part.counts()["train"][label] for part in parts for label in dataset.classes)
    assert all(part.manifest.of(Split.TEST) == whole.manifest.of(Split.TEST) for part in parts)
    assert {part.sha256 for part in parts} == {dataset.sha256}


def test_a_smaller_share_is_a_part_of_a_larger_one_if_groups_have_several_labels(dataset: Dataset) -> None:
    training = dataset.manifest.of(Split.TRAIN)
    for seed in range(8):
        groups = np.random.default_rng(seed).integers(0, 9, len(training))
        mixed = [replace(each, group=f"g{group}") for each, group in zip(training, groups, strict=True)]
        whole = replace(dataset, manifest=replace(dataset.manifest, pictures=tuple(mixed)))
        parts = [reduce_training(whole, share / 20, seed=seed) for share in range(1, 20)]
        kept = [{picture.path for picture in part.pictures} for part in parts]
        assert all(smaller <= larger for smaller, larger in pairwise(kept))


def test_duplicates_join_the_groups_that_vary_together(dataset: Dataset) -> None:
    first = dataset.pictures[0]
    named = [
        ("b", "", ""),
        ("a", "c1", "a1"),
        ("b", "c1", ""),
        ("", "c2", "p4"),
        ("", "c2", "p3"),
        ("", "", "p5"),
    ]
    pictures = [replace(first, group=group, cluster=cluster, path=path) for group, cluster, path in named]
    assert name_joined_groups(pictures) == ("a", "a", "a", "p3", "p3", "")


def test_two_columns_in_turn_keep_two_names(dataset: Dataset) -> None:
    pictures = tuple(replace(each, metadata=(*each.metadata, each.metadata[-1])) for each in dataset.pictures)
    manifest = Manifest(pictures=pictures, columns=(*dataset.manifest.columns, "place"))
    twice = label_by_column(label_by_column(replace(dataset, manifest=manifest), "site"), "place")
    assert twice.manifest.columns[-2:] == (IMPORTED_LABEL, f"{IMPORTED_LABEL} 2")


@pytest.mark.tensorflow
def test_a_run_is_scored_by_the_column_that_it_learned(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = tmp_path / "run", str(dataset.folder)
    assert main(["train", folder, "-o", str(run), "--label", "site", *OPTIONS, "--epochs", "1"]) == 0
    trained = json.loads((run / "training.json").read_text())
    capsys.readouterr()
    assert main(["evaluate", str(run), folder, "--json", "-q"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert trained["recipe"]["label"] == "site"
    assert report["classes"] == trained["classes"] == ["arm", "leg"]
    assert report["dataset"]["sha256"] == trained["dataset"]["manifest_sha256"] != dataset.sha256
    assert {part["column"] for part in report["slices"]} == {IMPORTED_LABEL}
    # A conversion finds the dataset by its folder, and the labels by their hash.
    from converter.sources.run_source import find_dataset

    assert find_dataset(read_run(run), None).classes == ("arm", "leg")
