"""dermpack data: check and describe datasets and generate demo pictures; the import has its own module."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

import click

from dermpack.cli import LazyGroup, options
from dermpack.cli.console import Printer
from dermpack.errors import count_noun

SHOWN = 20  # findings in the terminal; --json prints all
LEAK_HINT = (
    "scores on these splits will be too high: import again with --overwrite and --mend, or with --new-splits"
)
COMMANDS = {
    "import": ("dermpack.cli.data.import_", "Write a dataset folder from downloaded pictures."),
    "check": ("dermpack.cli.data:check", "Verify files, hashes and splits; exit with 1 on leakage."),
    "report": ("dermpack.cli.data:report", "Write a report of a dataset before training."),
    "demo": ("dermpack.cli.data:demo", "Generate skin-like demo pictures."),
}
command = LazyGroup(commands_in=COMMANDS, name="data", text="Import pictures with splits that do not leak.")


@click.command("check")
@click.argument("dataset", type=options.PATH)
@click.option(
    "--again", is_flag=True,
    help="Also decode all pictures and search for duplicates again instead of using the recorded ones "
    "(requires the data extra).",
)  # fmt: skip
@click.option(
    "--jobs", metavar="NUMBER", type=click.IntRange(min=1),
    help="With --again: number of processes that decode.  [default: one for each processor]",
)  # fmt: skip
@options.duplicates
@options.printer
def check(dataset: Path, again: bool, jobs: int | None, duplicates: str | None, printer: Printer) -> int:
    """Verify that DATASET is unchanged since its import, and that no group or cluster is in two splits.

    The exit code is 1 if there is any problem.

    \b
    Examples:
      dermpack data check dataset
      dermpack data check dataset --again --json
    """
    if duplicates and not again:
        raise click.UsageError("--duplicates selects the search of --again. Add --again.")
    from dermpack.cli.data.import_ import count_groups, describe_groups
    from dermpack.dataset.manifest import DuplicateSearch
    from trainer.datasets.check import check_dataset

    checked = check_dataset(dataset, track=printer.track)
    opened, problems = checked.dataset, checked.problems
    # The quick check trusts the recorded hashes and clusters; this one reads every pixel.
    if again:
        from trainer.datasets.check import recheck_duplicates

        search = DuplicateSearch(duplicates) if duplicates else None
        problems += recheck_duplicates(opened, search=search, jobs=jobs, track=printer.track)
    for finding in problems[:SHOWN]:  # lines, because a table would break paths that are copied from here
        printer.unless_json.note(": ".join(filter(None, (finding.kind, finding.picture, finding.detail))))
    if len(problems) > SHOWN:
        printer.unless_json.note(f"and {len(problems) - SHOWN} more; --json shows all")
    if opened.search is not DuplicateSearch.THOROUGH and not again:
        printer.unless_json.note(
            f"the import searched for duplicates less thoroughly ({opened.search.value}): add "
            "--again --duplicates thorough to find crops, other colours and other shots, or import again"
        )
    if any(finding.kind.endswith("-leak") for finding in problems):
        printer.unless_json.note(LEAK_HINT)
    kinds = Counter(finding.kind for finding in problems)
    listed = ", ".join(f"{kind}: {count}" for kind, count in sorted(kinds.items()))
    groups = describe_groups(opened)
    counted = f"{count_noun(len(opened.pictures), 'picture')}{f' in {groups}' if groups else ''}"
    record = {
        "counts": opened.counts(),
        "groups": count_groups(opened),
        "pictures": len(opened.pictures),
        "problems": [asdict(finding) for finding in problems],
        "search": opened.search.value,
        "sound": not problems,
    }
    printer.result(record, f"{counted}, {listed or 'no problem'}")
    return 1 if problems else 0


@click.command("report")
@click.argument("dataset", type=options.PATH)
@click.option(
    "-o", "--output", metavar="FOLDER", type=options.PATH,
    help="The folder to write the report into.  [default: DATASET-report, next to the dataset]",
)  # fmt: skip
@options.flag("--no-pictures", "Leave the pictures out: show plots and tables only.")
@click.option(
    "--max-analysed", metavar="NUMBER", type=click.IntRange(min=0), default=10_000, show_default=True,
    help="Search at most this many pictures, a random choice of groups, for label errors, unusual pictures "
    "and shortcuts. 1,000 take about a minute on two processors. 0 skips the search.",
)  # fmt: skip
@options.flag(
    "--no-features",
    "Omit the searches that need the pretrained network: label errors and unusual pictures.",
)
@click.option(
    "--seed", metavar="NUMBER", type=click.IntRange(min=0), default=0, show_default=True,
    help="Seed of the random choice of pictures and of the folds.",
)  # fmt: skip
@options.flag("--overwrite", "Replace an existing report.")
@options.printer
def report(
    dataset: Path,
    output: Path | None,
    no_pictures: bool,
    max_analysed: int,
    no_features: bool,
    seed: int,
    overwrite: bool,
    printer: Printer,
) -> None:
    """Write a report that describes DATASET before training.

    It shows classes, splits, metadata, sizes, duplicates and leaks, with a contact sheet for each class,
    and what to check: suspected label errors, blurred and other unusual pictures, and columns or borders that
    predict the label. REPORT contains report.html, the plots as PNG files, and report.json with all figures.

    \b
    Example:
      dermpack data report dataset -o report
    """
    from dermpack.dataset.manifest import read_dataset
    from trainer.datasets.exploration import dataset_report

    opened, folder = read_dataset(dataset), output or default_output(dataset)
    record = dataset_report.write_dataset_report(
        opened,
        folder,
        seed=seed,
        pictures=0 if no_pictures else dataset_report.PICTURES_PER_CLASS,
        most_analysed=max_analysed,
        with_features=not no_features,
        overwrite=overwrite,
        track=printer.track,
    )
    if absent := record["exploration"]["absent"]:
        what = f"{absent:,} pictures are not in {opened.pictures_folder} and are missing on the page"
        printer.note(f"WARNING: {what}: move the source together with the dataset")
    printer.note("research software, not a medical device: nothing in the report is a diagnosis")
    page = str(folder / dataset_report.PAGE_FILE)
    printer.result({"page": page, **record}, page)


def default_output(dataset: Path) -> Path:
    """Return the folder next to the dataset: default_output("sets/ham") → "sets/ham-report"."""
    named = dataset if dataset.name not in ("", "..") else dataset.resolve()
    return named.with_name(f"{named.name}-report")


@click.command("demo")
@options.output("FOLDER", "The folder to write; it must not exist yet.")
@click.option(
    "--classes", type=click.Choice(["2", "7"]), default="2", show_default=True,
    help="Number of classes. 2: eczema or not; 7: eczema, psoriasis, nevus, melanoma and others.",
)  # fmt: skip
@click.option("--pictures", metavar="NUMBER", type=int, help="Number of different pictures.  [default: 1000]")
@click.option(
    "--size", metavar="NUMBER", type=int, help="Width and height of the pictures in pixels.  [default: 224]"
)
@click.option(
    "--seed", type=int, default=0, show_default=True,
    help="Seed of the pictures: another seed generates other pictures.",
)  # fmt: skip
@options.flag("--overwrite", "Replace an earlier folder of demo pictures.")
@options.printer
def demo(
    output: Path,
    classes: str,
    pictures: int | None,
    size: int | None,
    seed: int,
    overwrite: bool,
    printer: Printer,
) -> None:
    """Generate skin-like demo pictures.

    They show no person and have no medical meaning. The folder also contains a table with labels, lesions and
    invented metadata, a few duplicates and three broken files, as real downloads do. The same options give
    the same bytes.

    \b
    Example:
      dermpack data demo -o demo
      dermpack data import demo -o dataset
    """
    from dermpack.synthetic.demo_folder import DEFAULT_PICTURES, DEFAULT_SIZE, render_demo

    rendered = render_demo(
        output,
        classes=int(classes),
        pictures=DEFAULT_PICTURES if pictures is None else pictures,
        size=DEFAULT_SIZE if size is None else size,
        seed=seed,
        overwrite=overwrite,
        track=printer.track,
    )
    printer.table("Demo pictures", ("class", "pictures"), rendered.per_class.items())
    counted = f"{rendered.copies} copies, {rendered.near_duplicates} near duplicates"
    printer.note(f"{counted} and {rendered.broken} broken files are among them.")
    printer.result(asdict(rendered), str(output))
