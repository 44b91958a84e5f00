"""Explore a dataset: count classes, relations, sizes and metadata, without opening a picture."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from dermpack.dataset.manifest import Dataset, Finding, Picture
from dermpack.metrics.slices import is_identifier_column
from dermpack.progress import Track, silent
from trainer.datasets.exploration.annotators import (
    AnnotatedQuestion,
    SkinTypesOfClasses,
    count_skin_types,
    describe_annotators,
)
from trainer.datasets.exploration.columns import ColumnKind, Crosstab, count_classes, read_columns
from trainer.datasets.exploration.importance import Importance, Imputation, impute, measure_importance
from trainer.datasets.findings import count_unusable
from trainer.datasets.splits.split import NameOf, cluster_of, find_leaks, group_of

MAX_CROSSED = 24  # columns with plots of their own; the others are only in the table of columns
CROSSED_KINDS = (ColumnKind.NUMBERS, ColumnKind.CATEGORIES)
MAX_CLUSTERS = 20
MAX_SHAPES = 20
BINS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateCluster:
    """Pictures that are near duplicates of each other."""

    name: str
    pictures: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureRelations:
    """Numbers of groups, clusters of near duplicates and repeated files."""

    groups: int
    has_given_groups: bool  # False if every picture is a group of its own because the source has none
    groups_of_several: int
    largest_group: int
    groups_across_classes: int
    groups_across_splits: int
    clusters: int
    clustered: int  # pictures in a cluster
    cluster_sizes: tuple[tuple[int, int], ...]  # size, clusters of that size
    clusters_across_classes: int
    clusters_across_splits: int
    files_repeated: int  # byte for byte
    files_across_classes: int
    files_across_splits: int
    leaks: int  # pictures, counted as in an import
    largest_clusters: tuple[DuplicateCluster, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The number of pictures with one size."""

    width: int
    height: int
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSpread:
    """The smallest, the middle and the largest value."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """The number of pictures between one edge and the next."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The sizes of the pictures."""

    widths: SizeSpread
    heights: SizeSpread
    aspects: SizeSpread  # width / height
    short_side: Histogram
    aspect: Histogram
    different: int
    shapes: tuple[Shape, ...]  # the most frequent ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """Everything that the report shows; the field names are the keys of report.json."""

    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]  # split → class → pictures
    groups: dict[str, dict[str, int]]  # split → class → groups
    crossings: tuple[Crosstab, ...]
    resolution: Resolution | None  # None without pictures
    kinship: PictureRelations
    refused: tuple[tuple[str, int], ...]  # kind of finding, pictures
    notes: tuple[tuple[str, int], ...]  # kind of finding, pictures
    imputations: tuple[Imputation, ...]
    importance: Importance
    annotators: tuple[AnnotatedQuestion, ...] = ()
    skin_types: SkinTypesOfClasses | None = None  # None without a column of skin types
    absent: int = 0  # pictures whose file is missing

    @property
    def pictures(self) -> int:
        return sum(sum(split.values()) for split in self.counts.values())

    @property
    def unusable(self) -> int:
        """The pictures that an import could not use, without folders and unrequested classes."""
        return count_unusable(dict(self.refused))

    def of_class(self, label: str) -> int:
        return sum(split[label] for split in self.counts.values())


def explore_dataset(dataset: Dataset, *, seed: int, track: Track = silent) -> Exploration:
    """Return the exploration of a dataset; the seed selects what the importance is measured on."""
    # Identifiers are treated as names whatever their cells look like, so that no value of them is shown.
    columns = [
        replace(column, kind=ColumnKind.NAMES) if is_identifier_column(dataset, column.name) else column
        for column in read_columns(dataset.manifest)
    ]
    labels = [picture.label for picture in dataset.pictures]
    crossed = [column for column in columns if column.kind in CROSSED_KINDS][:MAX_CROSSED]
    # Without columns no progress is reported.
    tracked = track(crossed, total=len(crossed), what="columns") if crossed else ()
    # A set counts each group of a class once, however many pictures it has.
    groups = {(each.split.value, each.label, each.group or each.path) for each in dataset.pictures}
    group_counts = Counter((split, label) for split, label, _ in groups)
    counts = dataset.counts()
    return Exploration(
        classes=dataset.classes,
        counts=counts,
        groups={split: {name: group_counts[split, name] for name in counts[split]} for split in counts},
        crossings=tuple(count_classes(column, labels, dataset.classes) for column in tracked),
        resolution=_measure_sizes(dataset.pictures),
        kinship=_count_relations(dataset.pictures),
        refused=_count_kinds(dataset.refused),
        notes=_count_kinds(dataset.notes),
        imputations=tuple(impute(column, dataset.pictures) for column in columns),
        importance=measure_importance(dataset, columns, seed=seed),
        annotators=describe_annotators(dataset, columns),
        skin_types=count_skin_types(dataset, columns),
    )


def _count_kinds(findings: Sequence[Finding]) -> tuple[tuple[str, int], ...]:
    counts = Counter(finding.kind for finding in findings)
    return tuple(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _measure_sizes(pictures: Sequence[Picture]) -> Resolution | None:
    if not pictures:
        return None
    aspects = [picture.width / max(picture.height, 1) for picture in pictures]
    sizes = Counter((picture.width, picture.height) for picture in pictures)
    frequent = sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_SHAPES]
    return Resolution(
        widths=_spread([picture.width for picture in pictures]),
        heights=_spread([picture.height for picture in pictures]),
        aspects=_spread(aspects),
        short_side=_histogram([min(picture.width, picture.height) for picture in pictures]),
        aspect=_histogram(aspects),
        different=len(sizes),
        shapes=tuple(Shape(width=w, height=h, pictures=n) for (w, h), n in frequent),
    )


def _spread(values: Sequence[float]) -> SizeSpread:
    ordered = sorted(values)
    return SizeSpread(least=ordered[0], median=ordered[len(ordered) // 2], most=ordered[-1])


def _histogram(values: Sequence[float]) -> Histogram:
    counts, edges = np.histogram(values, bins=BINS)
    return Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))


def _count_relations(pictures: Sequence[Picture]) -> PictureRelations:
    groups = collect_pictures(pictures, group_of)
    clusters = collect_pictures(pictures, cluster_of)
    hash_of = attrgetter("sha256")
    files = {key: same for key, same in collect_pictures(pictures, hash_of).items() if len(same) > 1}
    label_of, split_of = attrgetter("label"), attrgetter("split")
    described = [
        DuplicateCluster(
            name=name,
            pictures=tuple(picture.path for picture in members),
            labels=tuple(sorted({picture.label for picture in members})),
            splits=tuple(sorted({picture.split.value for picture in members})),
        )
        for name, members in clusters.items()
    ]
    # The suspicious clusters first: those across splits, then across classes, then the large ones.
    described.sort(key=lambda c: (-len(c.splits), -len(c.labels), -len(c.pictures), c.name))
    return PictureRelations(
        groups=len(groups) + sum(not picture.group for picture in pictures),
        # A picture without a given group has its path as the group.
        has_given_groups=any(picture.group not in ("", picture.path) for picture in pictures),
        groups_of_several=sum(len(members) > 1 for members in groups.values()),
        largest_group=max(map(len, groups.values()), default=0),
        groups_across_classes=_count_divided(groups, label_of),
        groups_across_splits=_count_divided(groups, split_of),
        clusters=len(clusters),
        clustered=sum(map(len, clusters.values())),
        cluster_sizes=tuple(sorted(Counter(map(len, clusters.values())).items())),
        clusters_across_classes=_count_divided(clusters, label_of),
        clusters_across_splits=_count_divided(clusters, split_of),
        files_repeated=len(files),
        files_across_classes=_count_divided(files, label_of),
        files_across_splits=_count_divided(files, split_of),
        leaks=len(find_leaks(pictures, group_of, cluster_of, hash_of)),
        largest_clusters=tuple(described[:MAX_CLUSTERS]),
    )


def collect_pictures(pictures: Sequence[Picture], name_of: NameOf) -> dict[str, list[Picture]]:
    """Return name → pictures, without the pictures whose name is empty."""
    collected: dict[str, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if name := name_of(picture):
            collected[name].append(picture)
    return collected


def _count_divided(collected: dict[str, list[Picture]], value_of: Callable[[Picture], object]) -> int:
    """Return how many groups, clusters or files have more than one label or split."""
    return sum(len({value_of(picture) for picture in members}) > 1 for members in collected.values())
