"""Warn about what makes the scores of a dataset misleading: leaks, contradictions, imbalance."""

from __future__ import annotations

from collections.abc import Iterator

from dermpack.errors import count_noun
from dermpack.reporting.page import Callout, Level
from trainer.datasets.exploration.columns import ColumnKind
from trainer.datasets.exploration.explore import Exploration
from trainer.datasets.exploration.pixels.analysis_sections import find_analysis_warnings
from trainer.datasets.exploration.pixels.picture_analysis import PictureAnalysis
from trainer.datasets.findings import ImportOutcome, OmissionReason, describe_undecoded

FEW_PICTURES = 30  # of a class in a split: the 95 % interval of a recall is then wider than 0.3
UNEVEN, VERY_UNEVEN = 3, 10  # times as many pictures as the smallest class
MAX_NAMED = 5
MANY_MISSING = 0.2  # of the cells of a column
MANY_REFUSED = 0.05  # of the pictures of a source
MIN_IMPORTANCE = 0.1  # balanced accuracy that is lost without a column
NO_GROUPS = (
    "No groups were given: if several pictures show one person or lesion, they may be in different splits, "
    "and the figures are then too good. Import a table with a column that names the group (--group)."
)

Remark = tuple[Level, str]


def find_warnings(exploration: Exploration, analysis: PictureAnalysis | None = None) -> tuple[Callout, ...]:
    """Return warnings first, then notes, then passed checks."""
    found = (
        *_warn_of_files_and_relations(exploration),
        *_warn_of_class_sizes(exploration),
        *_warn_of_few_pictures(exploration),
        *_warn_of_omissions(exploration),
        *_warn_of_metadata(exploration),
        *(find_analysis_warnings(analysis) if analysis else ()),
    )
    order = (Level.WARNING, Level.NOTE, Level.GOOD)
    return tuple(Callout(level, text) for each in order for level, text in found if level is each)


def _warn_of_files_and_relations(exploration: Exploration) -> Iterator[Remark]:
    if exploration.absent:
        yield (
            Level.WARNING,
            f"{exploration.absent:,} of {count_noun(exploration.pictures, 'picture is', 'pictures are')} "
            "missing: move the source along with the dataset, or import again with --copy.",
        )
    relations = exploration.kinship
    if relations.leaks:
        pictures = count_noun(relations.leaks, "picture leaks: its", "pictures leak: their")
        groups = count_noun(relations.groups_across_splits, "group", "groups")
        clusters = count_noun(
            relations.clusters_across_splits, "cluster of near duplicates", "clusters of near duplicates"
        )
        files = count_noun(relations.files_across_splits, "repeated file", "repeated files")
        yield (
            Level.WARNING,
            f"{pictures} group or a duplicate is also in a split that is held out further (in several "
            f"splits: {groups}, {clusters}, {files}). Scores on these splits are too high; import again with "
            "--mend, or with --new-splits.",
        )
    elif exploration.pictures:
        yield Level.GOOD, "Each group, each recorded cluster and each file is in one split only."
    if exploration.pictures and not relations.has_given_groups:
        yield Level.NOTE, NO_GROUPS
    # Pictures that are related in any way should have the same label.
    if relations.files_across_classes:
        files = count_noun(relations.files_across_classes, "file has", "files have")
        yield Level.WARNING, f"{files} more than one label for identical bytes: one of the labels is wrong."
    if relations.groups_across_classes:
        groups = count_noun(relations.groups_across_classes, "group has", "groups have")
        yield Level.NOTE, f"{groups} pictures of more than one class: check whether that is possible."
    if relations.clusters_across_classes:
        clusters = count_noun(relations.clusters_across_classes, "cluster", "clusters")
        yield Level.NOTE, f"{clusters} of near duplicates with more than one label: check these pictures."


def _warn_of_class_sizes(exploration: Exploration) -> Iterator[Remark]:
    sizes = {label: exploration.of_class(label) for label in exploration.classes}
    for label in sorted(label for label, size in sizes.items() if not size)[:MAX_NAMED]:
        yield Level.WARNING, f"The class “{label}” has no pictures."
    filled = [label for label in sizes if sizes[label]]
    largest = max(filled, key=sizes.__getitem__, default="")
    smallest = min(filled, key=sizes.__getitem__, default="")
    ratio = sizes[largest] / sizes[smallest] if filled else 1.0
    if ratio >= UNEVEN:
        share = sizes[largest] / exploration.pictures
        yield (
            Level.WARNING if ratio >= VERY_UNEVEN else Level.NOTE,
            f"“{largest}” has {ratio:.0f} times as many pictures as “{smallest}”. A model that always "
            f"answers “{largest}” is right in {share:.0%} of the pictures: use balanced accuracy instead "
            "of accuracy.",
        )


def _warn_of_few_pictures(exploration: Exploration) -> Iterator[Remark]:
    for split, counts in exploration.counts.items():
        # Scores on the train split are optimistic, however many pictures it has.
        if split == "train" or not any(counts.values()):
            continue
        small = sorted((size, label) for label, size in counts.items() if size < FEW_PICTURES)
        if small:
            named = ", ".join(f"{label} ({size:,})" for size, label in small[:MAX_NAMED])
            if len(small) > MAX_NAMED:
                named += f" and {count_noun(len(small) - MAX_NAMED, 'other class', 'other classes')}"
            yield (
                Level.NOTE,
                f"The {split} split has fewer than {FEW_PICTURES} pictures of {named}: scores of these "
                "classes have wide intervals.",
            )


def _warn_of_omissions(exploration: Exploration) -> Iterator[Remark]:
    refused = dict(exploration.refused)
    if undecoded := describe_undecoded(refused, used=exploration.pictures):
        yield Level.WARNING, f"{undecoded}."
    if contradictions := refused.get(ImportOutcome.CONTRADICTION.value, 0):
        pictures = count_noun(contradictions, "picture has", "pictures have")
        yield (
            Level.WARNING,
            f"{pictures} an identical copy with another label, so that all of these copies were left out: "
            "keep each under one label.",
        )
    if unusable := exploration.unusable:
        share = unusable / (unusable + exploration.pictures)
        pictures = count_noun(unusable, "picture", "pictures")
        text = f"The import could not use {pictures} ({share:.1%}); “Unusable pictures” has the reasons."
        yield Level.WARNING if share >= MANY_REFUSED else Level.NOTE, text
    if by_map := refused.get(OmissionReason.BY_MAP.value, 0):
        yield Level.NOTE, f"{count_noun(by_map, 'picture was', 'pictures were')} left out by --map."


def _warn_of_metadata(exploration: Exploration) -> Iterator[Remark]:
    importance = exploration.importance
    predictive = [
        one.column
        for one in importance.columns
        # Twice the standard deviation: otherwise the loss may be chance.
        if one.mean >= MIN_IMPORTANCE and one.mean > 2 * one.deviation
    ]
    if predictive:
        yield (
            Level.NOTE,
            f"Metadata alone, without the pictures, reaches a balanced accuracy of "
            f"{importance.balanced_accuracy:.2f} (chance: {importance.chance:.2f}), mostly by "
            f"{', '.join(predictive)}. Check that these columns are known before the diagnosis.",
        )
    for column in exploration.imputations:
        share = column.missing / max(exploration.pictures, 1)
        if share >= MANY_MISSING and column.kind is not ColumnKind.EMPTY:
            yield Level.NOTE, f"The column “{column.column}” is missing in {share:.0%} of the pictures."
