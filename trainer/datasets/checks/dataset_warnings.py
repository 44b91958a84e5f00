"""What a person should know of a dataset first: leaks, contradictions, imbalance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dermpack.reporting.page import Level
from trainer.datasets.exploration.columns import ColumnKind
from trainer.datasets.exploration.explore import Exploration

FEW_PICTURES = 30  # of a class in a split: the 95 % interval of a recall is then wider than 0.3
UNEVEN, VERY_UNEVEN = 3, 10  # times as many pictures as the smallest class
MAX_NAMED = 5
MANY_MISSING = 0.2
MANY_REFUSED = 0.05
TELLING = 0.1  # balanced accuracy that a column is worth
WARNING, NOTE, GOOD = Level.WARNING, Level.NOTE, Level.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetWarning:
    """One sentence, and how much to care."""

    level: Level
    text: str


def remarks(exploration: Exploration) -> tuple[DatasetWarning, ...]:
    """Warnings first, then notes, then what is well."""
    found = (
        *_absent(exploration),
        *_leaks(exploration),
        *_contradictions(exploration),
        *_balance(exploration),
        *_small_parts(exploration),
        *_left_out(exploration),
        *_telling(exploration),
        *_gaps(exploration),
    )
    order = (WARNING, NOTE, GOOD)
    return tuple(sorted(found, key=lambda remark: order.index(remark.level)))


def counted(n: int, one: str, many: str) -> str:
    """counted(1, "group is", "groups are") → "1 group is"."""
    return f"{n:,} {one if n == 1 else many}"


def _leaks(exploration: Exploration) -> Iterator[DatasetWarning]:
    kin = exploration.kinship
    if kin.leaks:
        what = counted(kin.leaks, "picture leaks: its", "pictures leak: their")
        parted = ", ".join(
            (
                counted(kin.groups_across_splits, "group", "groups"),
                counted(
                    kin.clusters_across_splits, "cluster of near duplicates", "clusters of near duplicates"
                ),
                counted(kin.files_across_splits, "repeated file", "repeated files"),
            )
        )
        text = (
            f"{what} group or a duplicate stands in a split nearer to test (parted: {parted}). Scores on "
            "these splits are too high; import again with --mend, or with --new-splits."
        )
        yield DatasetWarning(level=WARNING, text=text)
    elif exploration.pictures:
        yield DatasetWarning(level=GOOD, text="No group, no recorded cluster and no file is in two splits.")


def _absent(exploration: Exploration) -> Iterator[DatasetWarning]:
    if exploration.absent:
        text = (
            f"{exploration.absent:,} of {counted(exploration.pictures, 'picture is', 'pictures are')} not "
            "where the dataset looks for them: move the source along with it, or import with --copy."
        )
        yield DatasetWarning(level=WARNING, text=text)


def _contradictions(exploration: Exploration) -> Iterator[DatasetWarning]:
    kin = exploration.kinship
    if kin.files_across_classes:
        what = counted(kin.files_across_classes, "file has", "files have")
        yield DatasetWarning(
            level=WARNING, text=f"{what} more than one label, byte for byte: one of them is wrong."
        )
    if kin.groups_across_classes:
        what = counted(kin.groups_across_classes, "group has", "groups have")
        yield DatasetWarning(
            level=NOTE, text=f"{what} pictures of more than one class: look whether that can be."
        )
    if kin.clusters_across_classes:
        what = counted(kin.clusters_across_classes, "cluster", "clusters")
        yield DatasetWarning(
            level=NOTE, text=f"{what} of near duplicates with more than one label: look at them."
        )


def _balance(exploration: Exploration) -> Iterator[DatasetWarning]:
    sizes = {label: exploration.of_class(label) for label in exploration.classes}
    present = {label: n for label, n in sizes.items() if n}
    for label in sorted(set(sizes) - set(present))[:MAX_NAMED]:
        yield DatasetWarning(level=WARNING, text=f"The class “{label}” has no picture.")
    if len(present) < 2:
        return
    largest, smallest = max(present, key=lambda k: present[k]), min(present, key=lambda k: present[k])
    times = present[largest] / present[smallest]
    share = present[largest] / exploration.pictures
    if times >= UNEVEN:
        text = (
            f"“{largest}” has {times:.0f} times as many pictures as “{smallest}”. Who always answers "
            f"“{largest}” is right in {share:.0%} of the pictures: look at balanced accuracy, not accuracy."
        )
        yield DatasetWarning(level=WARNING if times >= VERY_UNEVEN else NOTE, text=text)


def _small_parts(exploration: Exploration) -> Iterator[DatasetWarning]:
    for split, of in exploration.counts.items():
        if split == "train" or not any(of.values()):
            continue
        few = sorted((n, label) for label, n in of.items() if n < FEW_PICTURES)
        if few:
            named = ", ".join(f"{label} ({n:,})" for n, label in few[:MAX_NAMED])
            more = counted(len(few) - MAX_NAMED, "other class", "other classes")
            others = f" and {more}" if len(few) > MAX_NAMED else ""
            text = f"The {split} split has fewer than {FEW_PICTURES} pictures of {named}{others}"
            yield DatasetWarning(level=NOTE, text=f"{text}: one split proves little of them.")


def _left_out(exploration: Exploration) -> Iterator[DatasetWarning]:
    refused = exploration.left_out
    if refused:
        share = refused / (refused + exploration.pictures)
        level = WARNING if share >= MANY_REFUSED else NOTE
        what = counted(refused, "picture was", "pictures were")
        yield DatasetWarning(
            level=level, text=f"{what} left out at the import ({share:.1%}); the reasons are below."
        )


def _telling(exploration: Exploration) -> Iterator[DatasetWarning]:
    measured = exploration.importance
    if measured.refusal or not measured.columns:
        return
    told = [one.column for one in measured.columns if one.mean >= TELLING and one.mean > 2 * one.deviation]
    if told:
        text = (
            f"Without looking at any picture, metadata reaches a balanced accuracy of "
            f"{measured.balanced_accuracy:.2f} (chance: {measured.chance:.2f}), most of it from "
            f"{', '.join(told)}. Ask whether each is known before the diagnosis."
        )
        yield DatasetWarning(level=NOTE, text=text)


def _gaps(exploration: Exploration) -> Iterator[DatasetWarning]:
    for column in exploration.imputations:
        share = column.missing / max(exploration.pictures, 1)
        if share >= MANY_MISSING and column.kind is not ColumnKind.EMPTY:
            text = f"The column “{column.column}” is missing in {share:.0%} of the pictures."
            yield DatasetWarning(level=NOTE, text=text)
