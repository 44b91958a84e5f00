"""dermpack tune: search for the best recipe."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from shlex import quote
from statistics import median
from typing import TYPE_CHECKING

import click

from dermpack.cli import FailedWithResultError, options
from dermpack.cli.console import Printer, resumable
from dermpack.errors import InputError, OutputError
from dermpack.processes.limits import ending_with_parent

if TYPE_CHECKING:
    from trainer.experiments.search_report import Search

OBJECTIVES = ("balanced_accuracy", "auroc", "accuracy,latency")
MOST_ROWS = 10
TRIALS_KEPT = "all trials are kept, and the finished epochs of the current one"
# Runs the program in a child process with the import path of this one.
PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from dermpack.cli import main; sys.exit(main(sys.argv[2:]))"
)
FULL_DISK = ("error[cannot-write]", "error[disk-full]")
ANY_DROP = "100"  # points: the search reports the loss, it does not limit it


@click.command("tune")
@click.argument("dataset", type=options.PATH)
@options.output("STUDY", "The folder of the search: a new one, or one to continue.")
@click.option(
    "--recipe", metavar="FILE.toml|NAME", type=options.RecipeFile(),
    help="The recipe to start from: a file, or the name of an included one.  [default: the defaults]",
)  # fmt: skip
@options.file("--space", "FILE.toml", "The search space.  [default: all options that matter]")
@click.option(
    "--trials", type=click.IntRange(min=1), default=30, show_default=True,
    help="Number of trials of all workers together.",
)  # fmt: skip
@click.option(
    "--time-limit", "minutes", type=click.FloatRange(min=0), metavar="MINUTES", default=0.0,
    help="Start no further trial after this time.  [default: no limit]",
)  # fmt: skip
@click.option(
    "--objective", type=click.Choice(OBJECTIVES), default=OBJECTIVES[0], show_default=True,
    help="What to optimize on the validation split; latency is that of the int8 export on this machine.",
)  # fmt: skip
@click.option(
    "--storage", metavar="URL", default="",
    help="Where trials are stored: journal:FILE or a URL of Optuna.  [default: SQLite in STUDY]",
)  # fmt: skip
@click.option("--name", default="", help="Name of the search in the storage.  [default: that of STUDY]")
@options.printer
def command(
    dataset: Path,
    output: Path,
    recipe: Path | None,
    space: Path | None,
    trials: int,
    minutes: float,
    objective: str,
    storage: str,
    name: str,
    printer: Printer,
) -> None:
    """Search for the recipe with the best score on the validation split of DATASET.

    To share the trials among several workers, start the same command several times, in other terminals or,
    with --storage, on other machines. After an interruption, rerun the same command to resume. A trial that
    is worse than most others at the same epoch is stopped. The best recipe is STUDY/best.toml, a file for
    `dermpack train --recipe`.

    \b
    Examples:
      dermpack tune dataset -o search --trials 50
      dermpack tune dataset -o search --space space.toml --objective accuracy,latency
      dermpack tune dataset -o search --storage journal:/mnt/shared/trials.log --name lesions
    """
    from dermpack.dataset.manifest import read_dataset
    from dermpack.dataset.views import label_by_column
    from trainer.experiments.search.space import Objective, SearchGoal, read_space
    from trainer.experiments.search.worker import tune
    from trainer.experiments.search_report import State
    from trainer.recipe.recipe import Recipe, read_recipe

    base = read_recipe(recipe) if recipe else Recipe()
    searched = read_space(space, base=base)
    if searched.left_out:
        ignored = ", ".join(searched.left_out)
        printer.note(f"left out of the space, because they have no effect here: {ignored}")
    aim = Objective(objective)
    pictures = label_by_column(read_dataset(dataset), base.label)
    goal = SearchGoal(dataset=pictures, base=base, space=searched, objective=aim)
    with resumable(output, lambda: TRIALS_KEPT if output.is_dir() else ""):
        search = tune(
            goal,
            output,
            trials=trials,
            minutes=minutes,
            storage=storage,
            name=name,
            latency=int8_latency_ms if goal.objective.with_latency else None,
            on_event=printer.training_reporter(),
        )
    _print_search(search, printer.unless_json)
    if search.best:
        best = quote(str(output / "best.toml"))
        printer.unless_json.note(f"next: dermpack train {quote(str(dataset))} -o RUN --recipe {best}")
    printer.result(search.record(), str(output))
    if not search.best and (failed := search.of(State.FAILED)):
        reasons = "; ".join(f"trial {trial.number}: {trial.reason}" for trial in failed)
        what, hint = f"no trial was completed ({reasons})", "Fix the causes, and choose another --name."
        raise FailedWithResultError(InputError(output, what, hint, code="nothing-trained"))


def _print_search(search: Search, printer: Printer) -> None:
    from trainer.experiments.search_report import NAMES, State, sampled_text, value_texts

    rows = [
        (
            f"★ {trial.number}" if trial.number in search.best else f"{trial.number}",
            *value_texts(search, trial),
            sampled_text(trial.drawn),
        )
        for trial in search.ranked[:MOST_ROWS]
    ]
    counts = ", ".join(f"{len(search.of(state))} {state.value}" for state in State if search.of(state))
    header = ("trial", *(NAMES[name] for name in search.objectives), "drawn")
    title = f"{counts or 'no trials'} (validation split, optimistic: the recipes were chosen on it)"
    printer.table(title, header, rows)
    printer.note(*(f"trial {trial.number} failed: {trial.reason}" for trial in search.of(State.FAILED)))


def int8_latency_ms(run: Path) -> float:
    """Return the median latency of the run in int8, with one thread and XNNPACK; keep no export."""
    from benchmarks.models import read_models
    from benchmarks.protocol.plan import BenchmarkPlan
    from benchmarks.targets.host import HostTarget
    from dermpack.inference.interpreter_host import Kernels, first_installed_runtime

    # An earlier worker may have been killed between conversion and removal.
    export = run.with_name("export")
    shutil.rmtree(export, ignore_errors=True)
    try:
        _convert(run, export)
        plan = BenchmarkPlan(
            models=read_models([export]),
            runtimes=[first_installed_runtime().package],
            threads=[1],
            kernels=[Kernels.XNNPACK],
        )
        timed = HostTarget().measure(plan).timed
    finally:
        shutil.rmtree(export, ignore_errors=True)
    if not timed:
        what = "the int8 file does not run on this machine"
        hint = 'Run "dermpack benchmark" on the export to see why.'
        raise InputError(run.name, what, hint, code="latency-not-measured")
    return median(timed[0].rounds_ms)


def _convert(run: Path, export: Path) -> None:
    """Convert in a child process, so that the search itself does not load TensorFlow."""
    command = [
        *(sys.executable, "-c", PROGRAM, json.dumps(sys.path)),
        *("convert", str(run), "-o", str(export), "--quiet"),
        *("--int8", "--method", "ptq", "--max-drop", ANY_DROP),
    ]
    done = subprocess.run(
        ending_with_parent(command), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        # The last line of stderr is the error; the lines before are progress.
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no output"]
        what = f"cannot be converted to int8 ({lines[-1][:300]})"
        hint = 'Run "dermpack convert" to see why.'
        if lines[-1].startswith(FULL_DISK):  # no fault of the trial, which is repeated
            raise OutputError(run.name, what, hint, code="cannot-write")
        raise InputError(run.name, what, hint, code="conversion-failed")
