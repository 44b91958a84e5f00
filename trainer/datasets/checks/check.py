"""Verify a dataset folder: files, hashes, and nothing that belongs together in two splits."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from dermpack.dataset.manifest import DATASET_FILE, Dataset, Finding, Picture, read_dataset
from dermpack.progress import Track, silent
from dermpack.storage.files import read_json, sha256_file
from trainer.datasets.splits.leaks import leaking


class Problem(Enum):
    """What can be wrong; `.value` is the word in the finding."""

    MISSING = "missing"
    MOVED = "missing-folder"  # none of the pictures is where they are looked for
    CHANGED = "changed"
    UNREADABLE = "unreadable"
    LINK = "link"
    SIZE = "size"
    COUNTS = "counts"
    GROUP_LEAK = "group-leak"
    CLUSTER_LEAK = "cluster-leak"
    UNRECORDED_LEAK = "unrecorded-leak"  # duplicates in two splits that no cluster records
    CONTRADICTION = "contradiction"  # pixel-identical under different labels
    NO_PICTURE = "no-picture"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCheck:
    """A dataset and everything that is wrong with it."""

    dataset: Dataset
    problems: tuple[Finding, ...]


def check_dataset(folder: Path, *, track: Track = silent) -> DatasetCheck:
    """Read the folder and verify what it says; needs the base install only."""
    dataset = read_dataset(folder)
    problems = (*_counts(dataset), *_together(_files(dataset, track), dataset), *_leaks(dataset))
    return DatasetCheck(dataset=dataset, problems=problems)


def problem(word: Problem, picture: str, detail: str) -> Finding:
    return Finding(kind=word.value, picture=picture, detail=detail)


def _counts(dataset: Dataset) -> Iterator[Finding]:
    if not dataset.pictures:
        yield problem(Problem.NO_PICTURE, "", "the manifest names no picture")
    if read_json(dataset.folder / DATASET_FILE).get("counts") != dataset.counts():
        yield problem(Problem.COUNTS, "", f"the counts in {DATASET_FILE} are not those of the manifest")


def _files(dataset: Dataset, track: Track) -> list[Finding]:
    pictures = track(dataset.pictures, total=len(dataset.pictures), what="verify")
    return [found for picture in pictures for found in _file(dataset.file(picture), picture)]


def _together(found: list[Finding], dataset: Dataset) -> list[Finding]:
    """One finding in the place of as many as there are pictures: the folder is not where it was."""
    if not found or not all(each.kind == Problem.MISSING.value for each in found):
        return found
    if len(found) < len(dataset.pictures):
        return found
    where = str(dataset.pictures_folder)
    detail = (
        f"none of the {len(found):,} pictures is there: move the source along with the dataset, "
        "or import again with --copy"
    )
    return [problem(Problem.MOVED, where, detail)]


def _file(file: Path, picture: Picture) -> Iterator[Finding]:
    if picture.width < 1 or picture.height < 1:
        yield problem(Problem.SIZE, picture.path, f"is said to be {picture.width} × {picture.height}")
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield problem(Problem.LINK, picture.path, "is a link now")
        elif not stat.S_ISREG(mode) or sha256_file(file) != picture.sha256:
            yield problem(Problem.CHANGED, picture.path, "is not the file that was imported")
    except (FileNotFoundError, NotADirectoryError):
        yield problem(Problem.MISSING, picture.path, "is not there")
    except OSError as error:
        yield problem(Problem.UNREADABLE, picture.path, error.strerror or "cannot be read")


def _leaks(dataset: Dataset) -> Iterator[Finding]:
    """A finding for each picture that leaks, by its group or else by its cluster."""
    by_group = leaking(dataset.pictures, group_of)
    for at, into in leaking(dataset.pictures, group_of, cluster_of).items():
        picture = dataset.pictures[at]
        word, what = (
            (Problem.GROUP_LEAK, f"group {picture.group}")
            if at in by_group
            else (Problem.CLUSTER_LEAK, f"cluster {picture.cluster}")
        )
        yield problem(word, picture.path, f"is in {picture.split.value}, its {what} also in {into.value}")


def group_of(picture: Picture) -> str:
    return picture.group


def cluster_of(picture: Picture) -> str:
    return picture.cluster
