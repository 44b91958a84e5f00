"""Verify a dataset folder: files, hashes, counts, and leaks between splits."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dermpack.dataset.manifest import (
    DATASET_FILE,
    Dataset,
    DuplicateSearch,
    Finding,
    Picture,
    read_dataset,
)
from dermpack.progress import Track, silent
from dermpack.storage.files import read_json, sha256_file
from trainer.datasets.duplicates.search import (
    choose_search,
    find_contradictions,
    require_libraries,
    search_duplicates,
    select_clusters,
)
from trainer.datasets.examine import examine_pictures
from trainer.datasets.findings import Problem, create_finding
from trainer.datasets.splits.split import cluster_of, find_leaks, group_of


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCheck:
    """A dataset and its problems."""

    dataset: Dataset
    problems: tuple[Finding, ...]


def check_dataset(folder: Path, *, track: Track = silent) -> DatasetCheck:
    """Read the folder and verify its records; needs the base installation only."""
    dataset = read_dataset(folder)
    problems: list[Finding] = []
    if not dataset.pictures:
        problems.append(create_finding(Problem.NO_PICTURE, "", "the manifest has no rows"))
    if read_json(dataset.folder / DATASET_FILE).get("counts") != dataset.counts():
        detail = f"the counts in {DATASET_FILE} differ from the manifest"
        problems.append(create_finding(Problem.COUNTS, "", detail))
    tracked = track(dataset.pictures, total=len(dataset.pictures), what="verify")
    file_problems = [found for picture in tracked for found in _check_file(dataset.file(picture), picture)]
    # If every picture is missing, the source or the dataset was moved: report this as one finding.
    is_moved = len(file_problems) >= max(len(dataset.pictures), 1)
    if is_moved and all(problem.kind == Problem.MISSING.value for problem in file_problems):
        detail = (
            f"none of the {len(file_problems):,} pictures is there: move the source along with the dataset, "
            "or import again with --copy"
        )
        file_problems = [create_finding(Problem.MOVED, str(dataset.pictures_folder), detail)]
    problems += file_problems
    # Report each leaking picture once, by its group or else by its cluster.
    group_leaks = find_leaks(dataset.pictures, group_of)
    for index, split in find_leaks(dataset.pictures, group_of, cluster_of).items():
        picture = dataset.pictures[index]
        kind, what = Problem.CLUSTER_LEAK, f"cluster {picture.cluster}"
        if index in group_leaks:
            kind, what = Problem.GROUP_LEAK, f"group {picture.group}"
        detail = f"is in {picture.split.value}, its {what} also in {split.value}"
        problems.append(create_finding(kind, picture.path, detail))
    return DatasetCheck(dataset=dataset, problems=tuple(problems))


def recheck_duplicates(
    dataset: Dataset,
    *,
    search: DuplicateSearch | None = None,
    jobs: int | None = None,
    track: Track = silent,
) -> tuple[Finding, ...]:
    """Decode all pictures and find duplicates again, independently of what the import recorded.

    Returns pictures that cannot be decoded, contradictions, and leaks that no recorded cluster explains.
    """
    search = choose_search(search, pictures=len(dataset.pictures))
    require_libraries(search)
    paths = [picture.path for picture in dataset.pictures]
    usable, refused = examine_pictures(dataset.folder / dataset.root, paths, jobs=jobs, track=track)
    picture_of_path = {picture.path: picture for picture in dataset.pictures}
    pictures = [picture_of_path[each.path] for each in usable]
    root = dataset.folder / dataset.root
    duplicates = search_duplicates(usable, root=root, search=search, jobs=jobs, track=track)
    findings = list(refused)
    for index, labels in find_contradictions(
        duplicates.exact, [picture.label for picture in pictures]
    ).items():
        detail = f"the same picture has the labels {labels}"
        findings.append(create_finding(Problem.CONTRADICTION, pictures[index].path, detail))
    # The leaks by the clusters found now, without those that `check_dataset` reports.
    clusters = {
        pictures[index].path: f"the cluster of {pictures[root].path}"
        for root, members in select_clusters(duplicates.near).items()
        for index in members
    }
    recorded = find_leaks(dataset.pictures, group_of, cluster_of)
    leaks = find_leaks(dataset.pictures, group_of, cluster_of, lambda each: clusters.get(each.path, ""))
    for index, split in leaks.items():
        if index not in recorded:
            picture = dataset.pictures[index]
            what = clusters.get(picture.path, "its group")
            detail = f"is in {picture.split.value}, {what} also in {split.value}"
            findings.append(create_finding(Problem.UNRECORDED_LEAK, picture.path, detail))
    return tuple(findings)


def _check_file(file: Path, picture: Picture) -> Iterator[Finding]:
    if picture.width < 1 or picture.height < 1:
        detail = f"the recorded size is {picture.width} × {picture.height}"
        yield create_finding(Problem.SIZE, picture.path, detail)
    try:
        mode = file.lstat().st_mode
        if stat.S_ISLNK(mode):
            yield create_finding(Problem.LINK, picture.path, "was replaced by a link")
        elif not stat.S_ISREG(mode) or sha256_file(file) != picture.sha256:
            yield create_finding(Problem.CHANGED, picture.path, "changed since the import")
    except (FileNotFoundError, NotADirectoryError):
        yield create_finding(Problem.MISSING, picture.path, "does not exist")
    except OSError as error:
        yield create_finding(Problem.UNREADABLE, picture.path, error.strerror or "cannot be read")
