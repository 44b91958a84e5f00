"""dermpack study: train several recipes and compare them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dermpack.cli import FailedWithResultError, options
from dermpack.cli.console import Printer, count_trained_runs, resumable
from dermpack.errors import InputError


def complete_study(_context: click.Context, _option: click.Parameter, incomplete: str) -> list[Any]:
    """Return the shell completions for a study: included studies and files."""
    from click.shell_completion import CompletionItem

    from trainer.experiments.study_file import SHIPPED

    names = [CompletionItem(name) for name in SHIPPED if name.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


@click.command("study")
@click.argument("dataset", type=options.PATH)
@click.argument("study", metavar="STUDY.toml", shell_complete=complete_study)
@options.output("DIR", "The folder of the study: a new one, or one to resume.")
@click.option(
    "--also", metavar="DATASET", type=options.PATH, multiple=True,
    help="Also score on the test split of this dataset; can be repeated.",
)  # fmt: skip
@click.option(
    "--base", metavar="NAME", default="",
    help="Compare the other recipes with this one.  [default: that of the study, or the first]",
)  # fmt: skip
@options.flag("--overwrite", "Train recipes again that were trained with other options or pictures.")
@options.printer
def command(
    dataset: Path,
    study: str,
    output: Path,
    also: tuple[Path, ...],
    base: str,
    overwrite: bool,
    printer: Printer,
) -> None:
    """Train each recipe of STUDY.toml on DATASET, and score all on the same test pictures.

    A study is a TOML file with a table [recipes.NAME] for each recipe; its keys are the options of `dermpack
    train`, and [common] contains those of all recipes. The studies cifar10, eczema, eczema-learning-curve,
    eczema-published, hmnist and lesions are included: give only the name. After an interruption, rerun the
    same command to resume. If a recipe fails, its row in the table shows the reason.

    \b
    Examples:
      dermpack study dataset eczema -o study
      dermpack study dataset study.toml -o study --also other-dataset --base scratch
    """
    from dermpack.dataset.manifest import read_dataset
    from trainer.experiments import study_report as report
    from trainer.experiments.study import run_study
    from trainer.experiments.study_file import find_study, read_study

    plan = read_study(find_study(study), base=base)
    pictures, others = read_dataset(dataset), [read_dataset(folder) for folder in also]
    with resumable(output, lambda: count_trained_runs(output / "runs", of=f"{len(plan.entries)} recipes")):
        on_event = _study_reporter(printer)
        done = run_study(pictures, plan, output, also=others, overwrite=overwrite, on_event=on_event)
    notes, title = printer.unless_json, f"{done.name}: {report.count_text(done)}"
    notes.table(title, report.SHORT_HEADER, report.short_rows(done))
    if rows := list(report.short_comparison_rows(done)):
        notes.table(f"Points more than {done.base}", report.SHORT_COMPARISON_HEADER, rows)
    notes.note(*report.study_notes(done), report.best_sentence(done))
    printer.result(done.record(), str(output))
    if not done.finished:
        reasons = "; ".join(f"{row.name}: {row.reason}" for row in done.rows)
        what, hint = f"no recipe was trained ({reasons})", "Fix the cause, and rerun the same command."
        raise FailedWithResultError(InputError(output, what, hint, code="nothing-trained"))


def _study_reporter(printer: Printer) -> Any:
    """Return a callback that prints the progress, and the outcome of each recipe."""
    from dermpack.evaluation.report import short_figure_text
    from trainer.experiments.study_record import StudyRow, tested_figure

    report_training = printer.training_reporter()

    def report(event: Any) -> None:
        if not isinstance(event, StudyRow):
            report_training(event)
        elif event.trained is None:
            printer.note(f"{event.name} was not trained: {event.reason}")
        else:
            reached = short_figure_text(tested_figure(event.trained, "balanced_accuracy"))
            printer.note(f"{event.name}: balanced accuracy {reached} on the test split")

    return report
