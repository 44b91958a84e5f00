"""dermpack study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli.console import note, output_options, result, table
from dermpack.cli.event_printer import teller
from dermpack.cli.interruption import going_on, trained_runs

if TYPE_CHECKING:
    from trainer.experiments.report.study_record import Study, StudyRow

FOLDER = click.Path(path_type=Path)


def offered(_context: click.Context, _option: click.Parameter, begun: str) -> list[Any]:
    """What a shell completes the study with: shipped ones, and files."""
    from click.shell_completion import CompletionItem

    from trainer.experiments.study_file import SHIPPED

    names = [CompletionItem(name) for name in SHIPPED if name.startswith(begun)]
    return [*names, CompletionItem(begun, type="file")]


@click.command("study", short_help="Train a table of recipes, and hold them against each other.")
@click.argument("dataset", type=FOLDER)
@click.argument("study", metavar="STUDY.toml", shell_complete=offered)
@click.option("-o", "--output", metavar="DIR", required=True, type=FOLDER, help="A folder that grows.")
@click.option(
    "--also",
    metavar="DATASET",
    type=FOLDER,
    multiple=True,
    help="Test on this one's test split too; repeatable.",
)
@click.option(
    "--base", metavar="NAME", default="", help="Hold the others against it; else the study's, or the first."
)
@click.option("--overwrite", is_flag=True, help="Train anew what was trained with other options or pictures.")
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
    """Train each recipe of STUDY.toml on DATASET, and score them on the same test pictures.

    A study is a TOML file with a table [recipes.NAME] for each recipe; its keys are the options of `dermpack
    train`, and [common] holds those of all. cifar10, eczema, hmnist and lesions are shipped: give the name
    alone. Killed at any moment, the same command goes on. A recipe that fails is a row that says why.

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
    with going_on(output, lambda: trained_runs(output / "runs", of=f"{len(plan.entries)} recipes")):
        done = run_study(
            pictures, plan, output, also=others, overwrite=overwrite, listen=_teller(quiet=quiet)
        )
    _show(done, quiet=quiet or as_json)
    result(done.record(), str(output), as_json=as_json)
    if not done.finished:
        raise click.exceptions.Exit(1)


def _teller(*, quiet: bool) -> Any:
    """Say what happens, as it happens."""
    from trainer.experiments.report.study_record import StudyRow

    others = teller(quiet=quiet)

    def tell(event: Any) -> None:
        if isinstance(event, StudyRow):
            note(_outcome(event), quiet=quiet)
        else:
            others(event)

    return tell


def _outcome(row: StudyRow) -> str:
    from dermpack.evaluation.report_page import brief
    from trainer.experiments.report.study_record import tested_figure

    if row.trained is None:
        return f"{row.name} was not trained: {row.reason}"
    reached = brief(tested_figure(row.trained, "balanced_accuracy"))
    return f"{row.name}: balanced accuracy {reached} on the test split"


def _show(study: Study, *, quiet: bool) -> None:
    from trainer.experiments.report import study_text as words

    table(f"{study.name}: {words.counted(study)}", words.SHORT, words.short_rows(study), quiet=quiet)
    if rows := list(words.short_versus_rows(study)):
        table(f"Points more than {study.base}", words.SHORT_VERSUS, rows, quiet=quiet)
    for line in (*words.failures(study), *words.remarks(study), words.best_sentence(study)):
        note(line, quiet=quiet)
