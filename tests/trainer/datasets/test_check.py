"""A dataset that is not what was imported, or that leaks, does not pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.dataset.manifest import Dataset, Finding, Manifest, Picture, Split, read_dataset, write_dataset
from tests.support.colour_patches import class_folders, jpeg, patch, png, write
from tests.support.errors import raises_code
from trainer.datasets.check import check_dataset, recheck_duplicates
from trainer.datasets.importer import ImportRequest, import_dataset

Change = Callable[[Picture], Picture]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound dataset, one near duplicate in it."""
    source = class_folders(tmp_path / "source")
    write(source / "class0" / "near.jpg", jpeg(patch(0)))
    import_dataset(ImportRequest(source=source, output=tmp_path / "dataset", jobs=1))
    return tmp_path / "dataset"


def rewrite(folder: Path, change: Change) -> Dataset:
    """The same dataset with other rows, written soundly."""
    dataset = read_dataset(folder)
    pictures = tuple(change(picture) for picture in dataset.pictures)
    write_dataset(replace(dataset, manifest=Manifest(pictures=pictures)), folder)
    return read_dataset(folder)


def kinds(problems: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(problem.kind, problem.picture) for problem in problems}


def found(folder: Path) -> set[tuple[str, str]]:
    return kinds(check_dataset(folder).problems)


def parted(picture: Picture) -> Picture:
    """Of the near duplicates, one in train, one in test."""
    if picture.path == "class0/0.png":
        return replace(picture, split=Split.TRAIN)
    return replace(picture, split=Split.TEST) if picture.path == "class0/near.jpg" else picture


def test_a_sound_dataset_has_no_problem(folder: Path) -> None:
    assert found(folder) == set()
    assert recheck_duplicates(read_dataset(folder), jobs=1) == ()


def test_a_missing_file_is_found(folder: Path) -> None:
    (folder.parent / "source" / "class0" / "1.png").unlink()
    assert found(folder) == {("missing", "class0/1.png")}


def test_a_changed_file_is_found(folder: Path) -> None:
    write(folder.parent / "source" / "class0" / "1.png", png(patch(500)))
    assert found(folder) == {("changed", "class0/1.png")}


def test_a_link_is_found(folder: Path) -> None:
    path = folder.parent / "source" / "class0" / "1.png"
    path.rename(path.with_suffix(".away"))
    path.symlink_to("1.away")
    assert found(folder) == {("link", "class0/1.png")}


def test_a_parted_cluster_is_found(folder: Path) -> None:
    rewrite(folder, parted)
    assert found(folder) == {("cluster-leak", "class0/0.png")}


def test_a_parted_group_is_found(folder: Path) -> None:
    rewrite(folder, lambda picture: replace(picture, group="one"))
    lesser = [p for p in read_dataset(folder).pictures if p.split is not Split.TEST]
    assert found(folder) == {("group-leak", picture.path) for picture in lesser}


def test_the_error_for_a_moved_dataset_names_the_folder_and_a_fix(folder: Path) -> None:
    moved = folder.parent / "elsewhere" / "dataset"
    moved.parent.mkdir()
    folder.rename(moved)
    (problem,) = check_dataset(moved).problems
    assert (problem.kind, problem.picture) == ("missing-folder", str(folder.parent / "elsewhere" / "source"))
    assert "none of the 13 pictures is there: move the source along" in problem.detail


def test_a_picture_s_file_is_named_without_a_detour_unless_a_link_needs_it(folder: Path) -> None:
    picture = read_dataset(folder).pictures[0]
    assert read_dataset(folder).file(picture) == folder.parent / "source" / picture.path
    link = folder.parent / "deep" / "link"
    link.parent.mkdir()
    link.symlink_to(folder)
    assert read_dataset(link).file(picture).is_file()


def test_a_path_that_no_system_opens_is_a_finding(folder: Path) -> None:
    long = "x" * 5000
    rewrite(folder, lambda p: replace(p, path=long) if p.path == "class1/2.png" else p)
    assert found(folder) == {("unreadable", long)}


def test_a_folder_in_the_place_of_a_picture_is_a_change(folder: Path) -> None:
    file = folder.parent / "source" / "class1" / "2.png"
    file.unlink()
    file.mkdir()
    assert found(folder) == {("changed", "class1/2.png")}


def test_an_impossible_size_is_found(folder: Path) -> None:
    rewrite(folder, lambda picture: replace(picture, width=0) if picture.path == "class1/2.png" else picture)
    assert found(folder) == {("size", "class1/2.png")}


def test_counts_that_are_not_the_manifest_s_are_found(folder: Path) -> None:
    path = folder / "dataset.json"
    record = json.loads(path.read_text())
    record["counts"]["train"]["class0"] += 1
    path.write_text(json.dumps(record))
    assert found(folder) == {("counts", "")}


def test_a_manifest_that_was_edited_is_refused(folder: Path) -> None:
    with (folder / "manifest.csv").open("a") as file:
        file.write("x.png,0,1,1,class0,train,,\n")
    with raises_code("invalid-format", "manifest.csv"):
        check_dataset(folder)


def test_what_is_no_dataset_is_an_error(tmp_path: Path) -> None:
    with raises_code("dataset-not-found", tmp_path, "dataset.json", "dermpack data import"):
        check_dataset(tmp_path)


def test_a_duplicate_that_no_cluster_records_is_found_again(folder: Path) -> None:
    dataset = rewrite(folder, lambda picture: replace(parted(picture), cluster=""))
    assert found(folder) == set()
    assert kinds(recheck_duplicates(dataset, jobs=1)) == {("unrecorded-leak", "class0/0.png")}


def test_a_contradiction_is_found_again(folder: Path) -> None:
    write(folder.parent / "source" / "class1" / "0.png", png(patch(1)))
    again = kinds(recheck_duplicates(read_dataset(folder), jobs=1))
    assert {("contradiction", "class0/1.png"), ("contradiction", "class1/0.png")} <= again
