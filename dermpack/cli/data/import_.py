"""dermpack data import: write a dataset folder from downloaded pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from dermpack.cli import options
from dermpack.cli.console import Printer
from dermpack.errors import count_noun

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset

MEGAPIXEL = 1 << 20
COUNTED_AS = {
    "empty-class": ("folder", "folders"),
    "copies": ("folder", "folders"),
    "unmapped": ("class", "classes"),
    "uncertain-label": ("case", "cases"),
}
UNDECODED = "missing-extra"  # HEIC photographs without their decoder
REASONS = {"by-map": " by --map"}  # in the place of the kind
NOT_COUNTED = ("not-in-table",)  # the first finding describes the others
HINTS = {"contradiction": "all of its copies are left out: keep it under one label and import again"}


def _layout_names() -> list[str]:
    """Return the names of the layouts, which trainer declares."""
    from trainer.datasets.layouts.listing import SourceFormat

    return [layout.value for layout in SourceFormat]


@click.command("import")
@click.argument("source", type=options.PATH)
@options.output("DATASET", "The folder to write; it must not exist and must be outside of SOURCE.")
@click.option(
    "--format", "layout", type=click.Choice(_layout_names()), default="auto", show_default=True,
    help="The layout of SOURCE, as described in docs/your-own-data.md; auto detects it.",
)  # fmt: skip
@click.option(
    "--positive", multiple=True, metavar="CLASS",
    help="Make two classes: this one, and all others as “not” it. Repeat it to merge several into the first.",
)  # fmt: skip
@click.option(
    "--negative", multiple=True, metavar="CLASS",
    help="With --positive: use only this class as “not” it, and leave out the others; can be repeated.",
)  # fmt: skip
@click.option(
    "--name", metavar="LABEL", default="",
    help="With --positive: the label of the positive class.  [default: the names of the merged classes, "
    "joined by “or”]",
)  # fmt: skip
@click.option(
    "--negative-name", metavar="LABEL", default="",
    help="With --positive: the label of all others.  [default: “not” and the label of the positive class]",
)  # fmt: skip
@click.option(
    "--label", "label_column", metavar="COLUMN", default="",
    help="Use this column of the table as the label, such as a finer condition; pictures without a value are "
    "left out. --map and --positive apply to its values.",
)  # fmt: skip
@click.option(
    "--map", "map_file", type=options.EXISTING_FILE, metavar="CSV",
    help="A CSV file with the columns class, pattern and label: pictures of the class whose file names "
    "match the pattern get the label; an empty label leaves them out.",
)  # fmt: skip
@options.file(
    "--metadata", "CSV",
    "The table of a csv, ham10000, hmnist, fitzpatrick17k or pad-ufes source, if it is not in SOURCE.",
)  # fmt: skip
@click.option(
    "--min-weight", metavar="WEIGHT", type=click.FloatRange(min=0, max=1, max_open=True),
    help="For a scin source: use only the cases whose most likely condition has a weight above this value.  "
    "[default: 0.5]",
)  # fmt: skip
@click.option(
    "--split", "shares", metavar="TRAIN/VALIDATION/TEST",
    help="Percentages of the splits, like 80/10/10, or 0/0/100 for pictures that are only used to test.  "
    "[default: 70/15/15]",
)  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the random split.")
@click.option(
    "--group", "group_column", metavar="COLUMN", default="",
    help="The column of the table that identifies the patient or the lesion: pictures with the same "
    "value are never in different splits.",
)  # fmt: skip
@click.option(
    "--keep-splits/--new-splits", "keep_splits", default=None,
    help="Keep the splits that SOURCE has (train, test …), or split again.  [default: keep, unless "
    "--split is given]",
)  # fmt: skip
@click.option(
    "--mend", is_flag=True,
    help="If kept splits leak (the same lesion or picture is in two of them), leave out the pictures on the "
    "training side.",
)  # fmt: skip
@options.flag(
    "--copy", "Copy the pictures into DATASET instead of referring to SOURCE, without their metadata."
)
@options.flag(
    "--keep-metadata",
    "With --copy: keep the metadata of the pictures (EXIF with place and camera, texts, previews).",
)
@options.flag(
    "--strict", "Fail after all pictures are examined if any cannot be used, instead of leaving these out."
)
@options.flag("--overwrite", "Replace an existing DATASET.")
@click.option(
    "--licence", default="", metavar="TEXT",
    help="Licence of the pictures, like “CC-BY-4.0; owner”; it is recorded in DATASET, run and model.",
)  # fmt: skip
@click.option(
    "--caution", default="", metavar="TEXT",
    help="Limits of the pictures, like “one camera, light skin”; they are shown in the card of each model.",
)  # fmt: skip
@click.option(
    "--meanings", type=options.PATH, metavar="FILE.toml",
    help="What the classes mean, in words for people, one line for each: mel = \"melanoma\".",
)  # fmt: skip
@options.duplicates
@click.option(
    "--max-megapixels", metavar="NUMBER", type=click.FloatRange(min=0, min_open=True),
    help="Leave out larger pictures, which would need too much memory.  [default: 64]",
)  # fmt: skip
@click.option(
    "--jobs", metavar="NUMBER", type=click.IntRange(min=1),
    help="Number of processes that decode.  [default: one for each processor]",
)  # fmt: skip
@options.printer
def command(
    source: Path,
    output: Path,
    layout: str,
    positive: tuple[str, ...],
    negative: tuple[str, ...],
    name: str,
    negative_name: str,
    label_column: str,
    map_file: Path | None,
    metadata: Path | None,
    min_weight: float | None,
    shares: str | None,
    seed: int,
    group_column: str,
    keep_splits: bool | None,
    mend: bool,
    copy: bool,
    keep_metadata: bool,
    strict: bool,
    overwrite: bool,
    licence: str,
    caution: str,
    meanings: Path | None,
    duplicates: str | None,
    max_megapixels: float | None,
    jobs: int | None,
    printer: Printer,
) -> None:
    """Write a dataset folder from the pictures in SOURCE.

    Every picture is decoded once; those that cannot be used are listed with the reason and left out.
    Duplicates are found, and a new split keeps them together. SOURCE is not modified.

    \b
    Examples:
      dermpack data import pictures -o dataset
      dermpack data import HAM10000 -o dataset --split 80/10/10 --seed 1
      dermpack data import dermnet -o dataset --positive "Eczema Photos" --mend
      dermpack data import pictures -o dataset --positive eczema --positive "dyshidrotic eczema" --name eczema
      dermpack data import pictures -o dataset --group patient --strict
      dermpack data import HAM10000 -o sites --label localization
    """
    from dermpack.dataset.manifest import DuplicateSearch
    from dermpack.imaging.metadata_removal import MetadataPolicy
    from dermpack.imaging.rejection import DEFAULT_LIMITS
    from trainer.datasets.importer import ImportRequest, PictureStorage, UnusablePolicy, import_dataset
    from trainer.datasets.layouts.listing import SourceFormat, SourceRequest
    from trainer.datasets.splits.arrange import SplitPolicy
    from trainer.datasets.splits.split import parse_shares

    limits = DEFAULT_LIMITS
    if max_megapixels is not None:
        if not math.isfinite(max_megapixels):
            raise click.BadParameter("must be a finite number", param_hint="--max-megapixels")
        limits = replace(DEFAULT_LIMITS, max_pixels=max(1, int(max_megapixels * MEGAPIXEL)))
    # Shares imply a new split; without them, the splits of the source are kept.
    if keep_splits is None:
        keep_splits = shares is None
    if mend and not keep_splits:
        raise click.UsageError("--mend fixes kept splits. Add --keep-splits, or omit --mend.")
    if keep_metadata and not copy:
        raise click.UsageError("--keep-metadata requires --copy. Add --copy, or omit --keep-metadata.")
    policy = SplitPolicy.MENDED if mend else SplitPolicy.AS_GIVEN
    request = ImportRequest(
        source=source,
        output=output,
        reading=SourceRequest(
            format=SourceFormat(layout),
            positive=positive,
            negative=negative,
            name=name,
            negative_name=negative_name,
            map_file=map_file,
            label_column=label_column,
            metadata_file=metadata,
            min_weight=min_weight,
        ),
        shares=parse_shares(shares) if shares is not None else None,
        seed=seed,
        group_column=group_column,
        splits=policy if keep_splits else SplitPolicy.NEW,
        storage=PictureStorage.COPIED if copy else PictureStorage.IN_PLACE,
        metadata=MetadataPolicy.KEEP if keep_metadata else MetadataPolicy.REMOVE,
        refusals=UnusablePolicy.FATAL if strict else UnusablePolicy.LISTED,
        overwrite=overwrite,
        licence=licence,
        caution=caution,
        meanings_file=meanings,
        limits=limits,
        duplicates=DuplicateSearch(duplicates) if duplicates else None,
        jobs=jobs,
    )
    dataset = import_dataset(request, track=printer.track)
    print_summary(dataset, output, printer, is_default=duplicates is None)
    record = {
        "classes": list(dataset.classes),
        "clusters": len({picture.cluster for picture in dataset.pictures} - {""}),
        "counts": dataset.counts(),
        "format": dataset.format,
        "groups": count_groups(dataset),
        "manifest_sha256": dataset.sha256,
        "notes": dict(Counter(finding.kind for finding in dataset.notes)),
        "pictures": len(dataset.pictures),
        "search": dataset.search.value,
        "refused": dict(Counter(finding.kind for finding in dataset.refused)),
    }
    printer.result(record, str(output))


def print_summary(dataset: Dataset, output: Path, printer: Printer, *, is_default: bool) -> None:
    """Print the contents of an import, the pictures that were left out, and warnings for the training."""
    from trainer.datasets.findings import describe_undecoded

    counts = dataset.counts()
    rows = [(name, *(counts[split][name] for split in counts)) for name in dataset.classes]
    sums = ("all", *(sum(counts[split].values()) for split in counts))
    title = f"{count_noun(len(dataset.pictures), 'picture')}, read as {dataset.format}"
    printer.table(title, ("class", *counts), [*rows, sums])
    groups, is_new_split = describe_groups(dataset), dataset.options.get("splits") == "new"
    together = ", kept together by the new split" if is_new_split else ""
    if groups:
        printer.note(f"grouped: {groups}{together}")
    printer.note(*_refused_lines(dataset, output), *_kept_lines(dataset, together, is_default=is_default))
    printer.note(f"next: dermpack data report {quote(str(output))}")
    refused = Counter(finding.kind for finding in dataset.refused)
    if undecoded := describe_undecoded(refused, used=len(dataset.pictures)):
        printer.styled(f"WARNING: {undecoded}", "bold")
    leaks = sum(finding.kind == "leak" for finding in dataset.notes)
    if leaks:  # last, because it matters most
        pictures = count_noun(leaks, "picture has its", "pictures have their")
        printer.note(
            f"WARNING: the given splits leak: {pictures} group or a duplicate in a later split, so every "
            "score there will be too high; import again with --mend to leave them out (the test split stays "
            "as given), or with --new-splits to split again"
        )


def _refused_lines(dataset: Dataset, output: Path) -> Iterator[str]:
    """Yield one line for each reason, the unusable pictures in all, and the file that lists all."""
    from trainer.datasets.findings import count_unusable

    counts = Counter(finding.kind for finding in dataset.refused)
    first = {finding.kind: finding for finding in reversed(dataset.refused)}
    for kind, count in sorted(counts.items()):
        if kind == UNDECODED:  # a line of its own at the end, where it is seen
            continue
        one, many = COUNTED_AS.get(kind, ("", ""))
        counted = f"{count} {one if count == 1 else many}".rstrip()
        examples = "" if kind in NOT_COUNTED else f"{counted}, e.g. "
        hint = f"; {HINTS[kind]}" if kind in HINTS else ""
        reason, example = REASONS.get(kind, f", {kind}"), first[kind]
        yield f"left out{reason}: {examples}{example.picture} ({example.detail}){hint}"
    if unusable := count_unusable(counts):
        total = unusable + len(dataset.pictures)
        yield f"pictures that cannot be used: {unusable:,} of {total:,} ({unusable / total:.1%})"
    if counts:
        yield f"everything that was left out: {output / 'dataset.json'}"


def _kept_lines(dataset: Dataset, together: str, *, is_default: bool) -> Iterator[str]:
    """Yield the duplicates, the findings about the whole dataset, and a line for each kind about pictures."""
    counts = Counter(finding.kind for finding in dataset.notes)
    clusters = len({picture.cluster for picture in dataset.pictures} - {""})
    near = counts["near-duplicate"] + counts["near-duplicate-other-label"]
    scenes = f" and {counts['same-scene']} other shots" if counts["same-scene"] else ""
    if clusters:
        identical = f"{counts['identical']} identical{',' if scenes else ' and'}"
        found = f"{identical} {near} near duplicates{scenes} in {clusters} clusters"
        yield f"duplicates: {found}{together}"
    if counts["near-duplicate-other-label"]:
        yield f"near duplicates with different labels: {counts['near-duplicate-other-label']}; check them"
    if is_default and dataset.search.value != "thorough":
        yield (
            f"duplicates: searched fast, because a thorough search of {len(dataset.pictures):,} pictures "
            "takes long; add --duplicates thorough to find crops, other colours and other shots too"
        )
    reported = ("identical", "near-duplicate", "same-scene", "near-duplicate-other-label", "leak")
    others = [finding for finding in dataset.notes if finding.kind not in reported]
    for finding in others:
        if not finding.picture:
            yield f"{finding.kind}: {finding.detail}"
    first = {finding.kind: finding for finding in reversed(others)}
    for kind, count in sorted(Counter(finding.kind for finding in others if finding.picture).items()):
        yield f"kept, {kind}: {count}, e.g. {first[kind].picture} ({first[kind].detail})"


def count_groups(dataset: Dataset) -> int:
    """Return the number of groups; a picture without a known patient or lesion is a group of its own."""
    return len({picture.group for picture in dataset.pictures})


def describe_groups(dataset: Dataset) -> str:
    """Return "28 groups (patient)", or "" if the import had no --group."""
    column = dataset.options.get("group", "")
    count = count_groups(dataset)
    return f"{count_noun(count, 'group')} ({column})" if column else ""
