"""Which pictures belong together, and whether splits or classes part them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dermpack.dataset.manifest import Picture
from trainer.datasets.splits.leaks import leaking

MAX_CLUSTERS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateCluster:
    """Pictures that are near duplicates of each other."""

    name: str
    pictures: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRelations:
    """Groups, clusters of near duplicates and repeated files, counted."""

    groups: int
    groups_of_several: int
    largest_group: int
    groups_across_classes: int
    groups_across_splits: int
    clusters: int
    clustered: int  # pictures in a cluster
    cluster_sizes: tuple[tuple[int, int], ...]  # size, clusters of it
    clusters_across_classes: int
    clusters_across_splits: int
    files_repeated: int  # byte for byte
    files_across_classes: int
    files_across_splits: int
    leaks: int  # pictures, as the import counts them
    largest_clusters: tuple[DuplicateCluster, ...]


def kinship(pictures: Sequence[Picture]) -> PictureRelations:
    """Count what belongs together, and what is parted although it does."""
    groups = _gathered(pictures, lambda picture: picture.group)
    clusters = _gathered(pictures, lambda picture: picture.cluster)
    files = {sha: same for sha, same in _gathered(pictures, lambda p: p.sha256).items() if len(same) > 1}
    return PictureRelations(
        groups=len(groups) + sum(not picture.group for picture in pictures),
        groups_of_several=sum(len(group) > 1 for group in groups.values()),
        largest_group=max(map(len, groups.values()), default=0),
        groups_across_classes=_parted(groups, lambda picture: picture.label),
        groups_across_splits=_parted(groups, lambda picture: picture.split),
        clusters=len(clusters),
        clustered=sum(map(len, clusters.values())),
        cluster_sizes=tuple(sorted(Counter(map(len, clusters.values())).items())),
        clusters_across_classes=_parted(clusters, lambda picture: picture.label),
        clusters_across_splits=_parted(clusters, lambda picture: picture.split),
        files_repeated=len(files),
        files_across_classes=_parted(files, lambda picture: picture.label),
        files_across_splits=_parted(files, lambda picture: picture.split),
        leaks=len(leaking(pictures, lambda p: p.group, lambda p: p.cluster, lambda p: p.sha256)),
        largest_clusters=_largest(clusters),
    )


def _gathered(pictures: Sequence[Picture], key: Callable[[Picture], str]) -> dict[str, list[Picture]]:
    """The pictures by a key; those without one belong to nobody."""
    gathered: dict[str, list[Picture]] = {}
    for picture in pictures:
        if key(picture):
            gathered.setdefault(key(picture), []).append(picture)
    return gathered


def _parted(gathered: dict[str, list[Picture]], by: Callable[[Picture], object]) -> int:
    """How many of the gatherings differ in something that they should share."""
    return sum(len({by(picture) for picture in together}) > 1 for together in gathered.values())


def _largest(clusters: dict[str, list[Picture]]) -> tuple[DuplicateCluster, ...]:
    """The odd ones first: those across splits, then across classes, then the large."""
    described = [
        DuplicateCluster(
            name=name,
            pictures=tuple(picture.path for picture in together),
            labels=tuple(sorted({picture.label for picture in together})),
            splits=tuple(sorted({picture.split.value for picture in together})),
        )
        for name, together in clusters.items()
    ]
    described.sort(key=lambda c: (-len(c.splits), -len(c.labels), -len(c.pictures), c.name))
    return tuple(described[:MAX_CLUSTERS])
