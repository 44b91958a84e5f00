"""dermpack study: train several recipes and compare them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli.console import (
    count_trained_runs,
    output_options,
    print_note,
    print_result,
    print_table,
    resumable,
    training_reporter,
)

if TYPE_CHECKING:
    from trainer.experiments.study_record import Study

FOLDER = click.Path(path_type=Path)


def complete_study(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[Any]:
    """Return the shell completions for a study: included studies and files."""
    from click.shell_completion import CompletionItem

    from trainer.experiments.study_file import SHIPPED

    names = [CompletionItem(name) for name in SHIPPED if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


@click.command("study", short_help="Train several recipes and compare them.")
@click.argument("dataset", type=FOLDER)
@click.argument("study", metavar="STUDY.toml", shell_complete=complete_study)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=FOLDER,
    help="The folder of the study: a new one, or one to resume.",
)
@click.option(
    "--also", metavar="DATASET", type=FOLDER, multiple=True,
    help="Also score on the test split of this dataset; can be repeated.",
)  # fmt: skip
@click.option(
    "--base", metavar="NAME", default="",
    help="Compare the other recipes with this one.  [default: that of the study, or the first]",
)  # fmt: skip
@click.option(
    "--overwrite", is_flag=True, help="Train recipes again that were trained with other options or pictures."
)
@output_options
def command(
    dataset: Path,
    study: str,
    output: Path,
    also: tuple[Path, ...],
    base: str,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Train each recipe of STUDY.toml on DATASET, and score all on the same test pictures.

    A study is a TOML file with a table [recipes.NAME] for each recipe; its keys are the options of `dermpack
    train`, and [common] contains those of all recipes. The studies cifar10, eczema, hmnist and lesions are
    included: give only the name. After an interruption, rerun the same command to resume. If a recipe fails,
    its row in the table shows the reason.

    \b
    Examples:
      dermpack study dataset eczema -o study
      dermpack study dataset study.toml -o study --also other-dataset --base scratch
    """
    from dermpack.dataset.manifest import read_dataset
    from trainer.experiments.study import run_study
    from trainer.experiments.study_file import find_study, read_study

    plan = read_study(find_study(study), base=base)
    pictures, others = read_dataset(dataset), [read_dataset(folder) for folder in also]
    with resumable(output, lambda: count_trained_runs(output / "runs", of=f"{len(plan.entries)} recipes")):
        done = run_study(
            pictures, plan, output, also=others, overwrite=overwrite, listen=_study_reporter(quiet=quiet)
        )
    _print_study(done, quiet=quiet or as_json)
    print_result(done.record(), str(output), as_json=as_json)
    if not done.finished:
        raise click.exceptions.Exit(1)


def _study_reporter(*, quiet: bool) -> Any:
    """Return a callback that prints the progress, and the outcome of each recipe."""
    from dermpack.evaluation.report import short_figure_text
    from trainer.experiments.study_record import StudyRow, tested_figure

    report_training = training_reporter(quiet=quiet)

    def report(event: Any) -> None:
        if not isinstance(event, StudyRow):
            report_training(event)
        elif event.trained is None:
            print_note(f"{event.name} was not trained: {event.reason}", quiet=quiet)
        else:
            reached = short_figure_text(tested_figure(event.trained, "balanced_accuracy"))
            print_note(f"{event.name}: balanced accuracy {reached} on the test split", quiet=quiet)

    return report


def _print_study(study: Study, *, quiet: bool) -> None:
    from trainer.experiments import study_report as report

    print_table(
        f"{study.name}: {report.count_text(study)}",
        report.SHORT_HEADER,
        report.short_rows(study),
        quiet=quiet,
    )
    if rows := list(report.short_comparison_rows(study)):
        print_table(f"Points more than {study.base}", report.SHORT_COMPARISON_HEADER, rows, quiet=quiet)
    for line in (*report.failure_notes(study), *report.recipe_notes(study), report.best_sentence(study)):
        print_note(line, quiet=quiet)
