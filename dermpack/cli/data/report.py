"""dermpack data report: a page to look at before training."""

from __future__ import annotations

from pathlib import Path

import click

from dermpack.cli.console import note, output_options, result, track


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="The folder to write the report into.  [default: DATASET-report, beside the dataset]",
)
@click.option("--no-pictures", is_flag=True, help="Show no picture: plots and tables only.")
@click.option(
    "--seed",
    metavar="NUMBER",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Another number, another random choice of pictures.",
)
@click.option("--overwrite", is_flag=True, help="Replace a report that is there already.")
@output_options
def command(
    *,
    dataset: Path,
    output: Path | None,
    no_pictures: bool,
    seed: int,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write a page to look at before training.

    Classes, splits, metadata, sizes, duplicates and leaks of the folder DATASET, with a contact
    sheet a class, as report.html, its plots as PNG, and report.json with all the figures.

    \b
    Example:
      dermpack data report dataset -o report
    """
    from dermpack.dataset.manifest import read_dataset
    from trainer.datasets.exploration.report.write_report import PICTURES_PER_CLASS, write_report

    opened = read_dataset(dataset)
    written = write_report(
        opened,
        output or beside(dataset),
        seed=seed,
        pictures=0 if no_pictures else PICTURES_PER_CLASS,
        overwrite=overwrite,
        track=track(quiet=quiet),
    )
    if written.absent:
        told = f"{written.absent:,} pictures are not in {opened.pictures_folder}, and are missing on the page"
        note(f"WARNING: {told}: move the source along with the dataset", quiet=quiet)
    note("research software, not a medical device: nothing in the report is a diagnosis", quiet=quiet)
    result({"page": str(written.page), **written.record}, str(written.page), as_json=as_json)


def beside(dataset: Path) -> Path:
    """Where a report goes unless asked otherwise: beside("sets/ham") → "sets/ham-report"."""
    named = dataset if dataset.name not in ("", "..") else dataset.resolve()
    return named.with_name(f"{named.name}-report")
