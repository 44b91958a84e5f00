"""dermpack data report: describe a dataset before training."""

from __future__ import annotations

from pathlib import Path

import click

from dermpack.cli.console import output_options, print_note, print_result, progress_bar


@click.command("report")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FOLDER",
    help="The folder to write the report into.  [default: DATASET-report, next to the dataset]",
)  # fmt: skip
@click.option("--no-pictures", is_flag=True, help="Leave the pictures out: show plots and tables only.")
@click.option(
    "--seed", metavar="NUMBER", type=click.IntRange(min=0), default=0, show_default=True,
    help="Seed of the random choice of pictures.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing report.")
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
    """Write a report that describes DATASET before training.

    It shows classes, splits, metadata, sizes, duplicates and leaks, with a contact sheet for each class:
    report.html, the plots as PNG files, and report.json with all figures.

    \b
    Example:
      dermpack data report dataset -o report
    """
    from dermpack.dataset.manifest import read_dataset
    from trainer.datasets.exploration.dataset_report import PICTURES_PER_CLASS, write_dataset_report

    opened = read_dataset(dataset)
    written = write_dataset_report(
        opened,
        output or default_output(dataset),
        seed=seed,
        pictures=0 if no_pictures else PICTURES_PER_CLASS,
        overwrite=overwrite,
        track=progress_bar(quiet=quiet),
    )
    if written.absent:
        what = f"{written.absent:,} pictures are not in {opened.pictures_folder} and are missing on the page"
        print_note(f"WARNING: {what}: move the source together with the dataset", quiet=quiet)
    print_note("research software, not a medical device: nothing in the report is a diagnosis", quiet=quiet)
    print_result({"page": str(written.page), **written.record}, str(written.page), as_json=as_json)


def default_output(dataset: Path) -> Path:
    """Return the folder next to the dataset: default_output("sets/ham") → "sets/ham-report"."""
    named = dataset if dataset.name not in ("", "..") else dataset.resolve()
    return named.with_name(f"{named.name}-report")
