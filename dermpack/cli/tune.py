"""dermpack tune."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from dermpack.cli.console import note, output_options, result, table
from dermpack.cli.event_printer import teller
from dermpack.cli.interruption import going_on

if TYPE_CHECKING:
    from trainer.experiments.report.search_record import Search

FOLDER = click.Path(path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OBJECTIVES = ("balanced_accuracy", "auroc", "accuracy,latency")
MOST_ROWS = 10
TRIALS_KEPT = "all trials are kept, and the epochs of the one that was being trained"


@click.command("tune", short_help="Search for the best recipe, with as many workers as you start.")
@click.argument("dataset", type=FOLDER)
@click.option("-o", "--output", metavar="STUDY", required=True, type=FOLDER, help="A folder that grows.")
@click.option(
    "--recipe", "recipe_file", metavar="FILE.toml", type=FILE, help="Searched from; else the defaults."
)
@click.option(
    "--space", "space_file", metavar="FILE.toml", type=FILE, help="Where to look, instead of everywhere."
)
@click.option(
    "--trials", type=click.IntRange(min=1), default=30, show_default=True, help="Of all workers together."
)
@click.option(
    "--time-limit", "minutes", type=click.FloatRange(min=0), metavar="MINUTES", default=0.0,
    help="Begin no trial after it.",
)  # fmt: skip
@click.option(
    "--objective", type=click.Choice(OBJECTIVES), default=OBJECTIVES[0], show_default=True,
    help="On the validation split; latency is that of the int8 export here.",
)  # fmt: skip
@click.option(
    "--storage",
    metavar="URL",
    default="",
    help="journal:FILE, or any that Optuna takes; else SQLite in STUDY.",
)
@click.option("--name", default="", help="Of the search in the storage; else that of STUDY.")
@output_options
def command(
    dataset: Path,
    output: Path,
    recipe_file: Path | None,
    space_file: Path | None,
    trials: int,
    minutes: float,
    objective: str,
    storage: str,
    name: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Search for the recipe that does best on the validation split of DATASET.

    Start the same command several times, in other terminals or, with --storage, on other machines, and the
    workers share the trials. Killed at any moment, the same command goes on. A trial that is worse than
    most at the same epoch is given up. The best recipe is STUDY/best.toml, for `dermpack train --recipe`.

    \b
    Examples:
      dermpack tune dataset -o search --trials 50
      dermpack tune dataset -o search --space space.toml --objective accuracy,latency
      dermpack tune dataset -o search --storage journal:/mnt/shared/trials.log --name lesions
    """
    from dermpack.cli.tune_latency import int8_latency_ms
    from dermpack.dataset.manifest import read_dataset
    from trainer.experiments.search.objective import Objective, SearchGoal
    from trainer.experiments.search.space import read_space
    from trainer.experiments.search.worker import tune
    from trainer.recipe.recipe import Recipe, read_recipe

    base = read_recipe(recipe_file) if recipe_file else Recipe()
    space = read_space(space_file, base=base)
    if space.left_out:
        note(f"left out of the space, since it means nothing here: {', '.join(space.left_out)}", quiet=quiet)
    wanted = SearchGoal(dataset=read_dataset(dataset), base=base, space=space, objective=Objective(objective))
    with going_on(output, lambda: TRIALS_KEPT if output.is_dir() else ""):
        found = tune(
            wanted,
            output,
            trials=trials,
            minutes=minutes,
            storage=storage,
            name=name,
            latency=int8_latency_ms if wanted.objective.with_latency else None,
            tell=teller(quiet=quiet),
        )
    _show(found, quiet=quiet or as_json)
    if found.best:
        best = quote(str(output / "best.toml"))
        note(f"next: dermpack train {quote(str(dataset))} -o RUN --recipe {best}", quiet=quiet or as_json)
    result(found.record(), str(output), as_json=as_json)


def _show(found: Search, *, quiet: bool) -> None:
    from trainer.experiments.report.search_page import NAMES, drawn_text, value_texts
    from trainer.experiments.report.search_record import State

    rows = [
        (
            f"★ {trial.number}" if trial.number in found.best else f"{trial.number}",
            *value_texts(found, trial),
            drawn_text(trial.drawn),
        )
        for trial in found.ranked[:MOST_ROWS]
    ]
    counts = ", ".join(f"{len(found.of(state))} {state.value}" for state in State if found.of(state))
    header = ("trial", *(NAMES[name] for name in found.objectives), "drawn")
    table(f"{counts or 'no trials'} (validation split: it chose, it flatters)", header, rows, quiet=quiet)
    for trial in found.of(State.FAILED):
        note(f"trial {trial.number} failed: {trial.reason}", quiet=quiet)
