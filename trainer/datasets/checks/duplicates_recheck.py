"""Find the duplicates of a dataset anew, without believing what it records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dermpack.dataset.manifest import Dataset, Finding, Picture
from dermpack.progress import Track, silent
from trainer.datasets.checks.check import Problem, cluster_of, group_of, problem
from trainer.datasets.duplicates.find_duplicates import clusters, find_duplicates
from trainer.datasets.examine import examine
from trainer.datasets.splits.leaks import leaking


def check_again(dataset: Dataset, *, jobs: int | None = None, track: Track = silent) -> tuple[Finding, ...]:
    """What no longer decodes, contradicts itself, or stands in two splits without a cluster that says so."""
    root = dataset.folder / dataset.root
    paths = [picture.path for picture in dataset.pictures]
    usable, refused = examine(root, paths, jobs=jobs, track=track)
    by_path = {picture.path: picture for picture in dataset.pictures}
    pictures = [by_path[each.path] for each in usable]
    alike = find_duplicates([each.signature for each in usable], track=track)
    contradictions = _contradictions(pictures, clusters(alike.exact).values())
    return (*refused, *contradictions, *_unrecorded(dataset, pictures, clusters(alike.near)))


def _contradictions(pictures: Sequence[Picture], sets: Iterable[list[int]]) -> Iterator[Finding]:
    for members in sets:
        labels = sorted({pictures[at].label for at in members})
        if len(labels) > 1:
            detail = f"the same picture stands under {', '.join(labels)}"
            yield from (problem(Problem.CONTRADICTION, pictures[at].path, detail) for at in members)


def _unrecorded(
    dataset: Dataset, pictures: Sequence[Picture], sets: dict[int, list[int]]
) -> Iterator[Finding]:
    """Leaks of what was found now, without those that the recorded clusters tell already."""
    found = {
        pictures[at].path: f"the cluster of {pictures[root].path}"
        for root, members in sets.items()
        for at in members
    }
    by_look = leaking(dataset.pictures, group_of, cluster_of, lambda picture: found.get(picture.path, ""))
    told = leaking(dataset.pictures, group_of, cluster_of)
    for at, into in by_look.items():
        if at not in told:
            picture = dataset.pictures[at]
            detail = (
                f"is in {picture.split.value}, {found.get(picture.path, 'its group')} also in {into.value}"
            )
            yield problem(Problem.UNRECORDED_LEAK, picture.path, detail)
