"""Tell what an import brought in, what it left out, and what a person should know before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from dermpack.cli.console import note, table
from dermpack.cli.data.group_summary import group_count, groups_told

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset

COUNTED_AS = {
    "empty-class": ("folder", "folders"),
    "copies": ("folder", "folders"),
    "unmapped": ("class", "classes"),
}
TOLD_ONCE = ("not-in-table",)  # one finding tells of all
HINTS = {
    "contradiction": "all of its copies are left out: keep it under one label and import again",
}


def tell(dataset: Dataset, output: Path, *, quiet: bool) -> None:
    """What a person should know before training."""
    counts = dataset.counts()
    rows = [(name, *(counts[split][name] for split in counts)) for name in dataset.classes]
    sums = ("all", *(sum(counts[split].values()) for split in counts))
    table(
        f"{len(dataset.pictures)} pictures, read as {dataset.format}",
        ("class", *counts),
        [*rows, sums],
        quiet=quiet,
    )
    for line in (
        *_group_lines(dataset),
        *_refused_lines(dataset, output),
        *_duplicate_lines(dataset),
        *_other_lines(dataset),
    ):
        note(line, quiet=quiet)
    note(f"next: dermpack data report {quote(str(output))}", quiet=quiet)
    for line in _leak_lines(dataset):  # last, where it is read
        note(line, quiet=quiet)


def _group_lines(dataset: Dataset) -> Iterator[str]:
    told = groups_told(dataset)
    if told:
        yield f"grouped: {told}{_together(dataset)}"


def _refused_lines(dataset: Dataset, output: Path) -> Iterator[str]:
    """One line a reason, and where all of them are listed."""
    counted = Counter(finding.kind for finding in dataset.refused)
    first = {finding.kind: finding for finding in reversed(dataset.refused)}
    for kind, count in sorted(counted.items()):
        counted_as = _counted(count, *COUNTED_AS[kind]) if kind in COUNTED_AS else f"{count}"
        hint = f"; {HINTS[kind]}" if kind in HINTS else ""
        many = "" if kind in TOLD_ONCE else f"{counted_as}, e.g. "
        yield f"left out, {kind}: {many}{first[kind].picture} ({first[kind].detail}){hint}"
    if counted:
        yield f"all that was left out: {output / 'dataset.json'}"


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _together(dataset: Dataset) -> str:
    return ", never parted by a new split" if dataset.options.get("splits") == "new" else ""


def _duplicate_lines(dataset: Dataset) -> Iterator[str]:
    counted = Counter(finding.kind for finding in dataset.notes)
    clusters = len({picture.cluster for picture in dataset.pictures} - {""})
    near = counted["near-duplicate"] + counted["near-duplicate-other-label"]
    if clusters:
        found = f"{counted['identical']} identical and {near} near duplicates in {clusters} clusters"
        yield f"duplicates: {found}{_together(dataset)}"
    if counted["near-duplicate-other-label"]:
        yield f"near duplicates under different labels: {counted['near-duplicate-other-label']}; look at them"


def _leak_lines(dataset: Dataset) -> Iterator[str]:
    leaks = sum(finding.kind == "leak" for finding in dataset.notes)
    if leaks:
        what = _counted(leaks, "picture has its", "pictures have their")
        yield (
            f"WARNING: the given splits leak: {what} group or a duplicate in a split nearer to test, and "
            "every score there will be too high; import again with --mend to leave them out (the test split "
            "stays as given), or with --new-splits to split anew"
        )


def _other_lines(dataset: Dataset) -> Iterator[str]:
    told = ("identical", "near-duplicate", "near-duplicate-other-label", "leak")
    others = [finding for finding in dataset.notes if finding.kind not in told]
    for finding in others:
        if not finding.picture:
            yield f"{finding.kind}: {finding.detail}"
    first = {finding.kind: finding for finding in reversed(others)}
    for kind, count in sorted(Counter(finding.kind for finding in others if finding.picture).items()):
        yield f"kept, {kind}: {count}, e.g. {first[kind].picture} ({first[kind].detail})"


def answer(dataset: Dataset) -> dict[str, object]:
    """The same for a program."""
    return {
        "classes": list(dataset.classes),
        "clusters": len({picture.cluster for picture in dataset.pictures} - {""}),
        "counts": dataset.counts(),
        "format": dataset.format,
        "groups": group_count(dataset),
        "manifest_sha256": dataset.sha256,
        "notes": dict(Counter(finding.kind for finding in dataset.notes)),
        "pictures": len(dataset.pictures),
        "refused": dict(Counter(finding.kind for finding in dataset.refused)),
    }
