"""dermpack data import."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dermpack.cli.console import output_options, result, track
from dermpack.cli.data.import_summary import answer, tell

if TYPE_CHECKING:
    from dermpack.imaging import DecodingLimits

FORMATS = ("auto", "folders", "dermnet", "isic", "csv", "ham10000", "hmnist", "cifar10")
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MEGAPIXEL = 1 << 20


@click.command("import", short_help="Write a dataset folder from pictures as people download them.")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="DATASET",
    required=True,
    type=click.Path(path_type=Path),
    help="The folder to write; it must not exist, and must lie outside of SOURCE.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="How SOURCE is laid out (docs/your-own-data.md says what each reads); auto finds out.",
)
@click.option(
    "--positive",
    multiple=True,
    metavar="CLASS",
    help="Make two classes of all: this one, and all others as “not” it. Repeat it to join several.",
)
@click.option(
    "--negative",
    multiple=True,
    metavar="CLASS",
    help="With --positive: take only this class as “not” it, and leave the rest out. May be repeated.",
)
@click.option(
    "--map",
    "map_file",
    type=EXISTING_FILE,
    metavar="CSV",
    help="A table class,pattern,label: gives the pictures of a class whose file names fit the pattern that "
    "label; an empty label leaves them out.",
)
@click.option(
    "--metadata",
    "metadata_file",
    type=EXISTING_FILE,
    metavar="CSV",
    help="The table of a csv, ham10000 or hmnist source, where it does not lie in SOURCE.",
)
@click.option(
    "--split",
    "shares",
    metavar="TRAIN/VALIDATION/TEST",
    help="How much goes where, as 80/10/10; 0/0/100 where the pictures are only tested on.  "
    "[default: 70/15/15]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Another number, another random split.")
@click.option(
    "--group",
    "group_column",
    metavar="COLUMN",
    default="",
    help="A column of the source's table that names the patient or the lesion: pictures with the same name "
    "never stand in different splits.",
)
@click.option(
    "--keep-splits/--new-splits",
    "keep_splits",
    default=None,
    help="Keep the splits that SOURCE has (train, test …), or forget them and split anew.  [default: keep, "
    "unless --split is given]",
)
@click.option(
    "--mend",
    is_flag=True,
    help="Where kept splits leak (the same lesion or picture in two of them), leave out the training side.",
)
@click.option(
    "--copy", is_flag=True, help="Copy the pictures into DATASET; else it refers to where they are now."
)
@click.option(
    "--strict",
    is_flag=True,
    help="An error, once all are examined, if any picture cannot be used; else those are left out.",
)
@click.option("--overwrite", is_flag=True, help="Replace DATASET if it is there already.")
@click.option(
    "--licence",
    default="",
    metavar="TEXT",
    help="What the pictures' licence is, as “CC-BY-4.0; whose they are”; DATASET, run and model keep it.",
)
@click.option(
    "--caution",
    default="",
    metavar="TEXT",
    help="What the pictures do not show (“one camera, light skin”); the card of each model tells it.",
)
@click.option(
    "--max-megapixels",
    metavar="NUMBER",
    type=click.FloatRange(min=0, min_open=True),
    help="Leave out larger pictures before they fill the memory.  [default: 64]",
)
@click.option(
    "--jobs",
    metavar="NUMBER",
    type=click.IntRange(min=1),
    help="How many processes decode.  [default: one for each processor]",
)
@output_options
def command(
    source: Path,
    output: Path,
    layout: str,
    positive: tuple[str, ...],
    negative: tuple[str, ...],
    map_file: Path | None,
    metadata_file: Path | None,
    shares: str | None,
    seed: int,
    group_column: str,
    keep_splits: bool | None,
    mend: bool,
    copy: bool,
    strict: bool,
    overwrite: bool,
    licence: str,
    caution: str,
    max_megapixels: float | None,
    jobs: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a dataset folder from the pictures in SOURCE.

    Every picture is decoded once; the bad ones are listed with their reason and left out. Duplicates are
    found, and a new split never parts them. SOURCE stays as it is.

    \b
    Examples:
      dermpack data import pictures -o dataset
      dermpack data import HAM10000 -o dataset --split 80/10/10 --seed 1
      dermpack data import dermnet -o dataset --positive "Eczema Photos" --mend
      dermpack data import pictures -o dataset --group patient --strict
    """
    from trainer.datasets.import_request import ImportRequest, PictureStorage, SplitPolicy, UnusablePolicy
    from trainer.datasets.importer import import_dataset
    from trainer.datasets.layouts import SourceFormat, SourceRequest
    from trainer.datasets.splits.split_shares import parse_shares

    if keep_splits is None:
        keep_splits = shares is None
    if mend and not keep_splits:
        raise click.UsageError("--mend fixes kept splits. Add --keep-splits, or omit --mend.")
    kept = SplitPolicy.MENDED if mend else SplitPolicy.AS_GIVEN
    request = ImportRequest(
        source=source,
        output=output,
        reading=SourceRequest(
            format=SourceFormat(layout),
            positive=positive,
            negative=negative,
            map_file=map_file,
            metadata_file=metadata_file,
        ),
        shares=parse_shares(shares) if shares is not None else None,
        seed=seed,
        group_column=group_column,
        splits=kept if keep_splits else SplitPolicy.NEW,
        storage=PictureStorage.COPIED if copy else PictureStorage.IN_PLACE,
        refusals=UnusablePolicy.FATAL if strict else UnusablePolicy.LISTED,
        overwrite=overwrite,
        licence=licence,
        caution=caution,
        limits=_limits(max_megapixels),
        jobs=jobs,
    )
    dataset = import_dataset(request, track=track(quiet=quiet))
    tell(dataset, output, quiet=quiet)
    result(answer(dataset), str(output), as_json=as_json)


def _limits(max_megapixels: float | None) -> DecodingLimits:
    from dermpack.imaging import DEFAULT_LIMITS

    if max_megapixels is None:
        return DEFAULT_LIMITS
    if not math.isfinite(max_megapixels):
        raise click.BadParameter("must be a finite number", param_hint="--max-megapixels")
    return replace(DEFAULT_LIMITS, max_pixels=max(1, int(max_megapixels * MEGAPIXEL)))
