"""dermpack train: train a network on a dataset, once or for each fold."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from dermpack.cli.console import (
    count_trained_runs,
    epoch_reporter,
    output_options,
    print_note,
    print_result,
    print_table,
    progress_bar,
    resumable,
    training_reporter,
)
from dermpack.cli.help_sections import RecipeCommand, recipe_options
from dermpack.cli.stderr_capture import silenced_stderr

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset

# Types only: trainer is imported when the command is called.
Run: TypeAlias = Any
Recipe: TypeAlias = Any
NEW_FOLDER = click.Path(path_type=Path)
RECIPE_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FIGURES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "ece": "calibration error"}
FOLD_FIGURES = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "macro_f1": "F1, mean of labels",
    "ece": "calibration error",
    "brier": "Brier score",
}


@click.command("train", cls=RecipeCommand, short_help="Train a network on a dataset, or resume a training.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", metavar="RUN", required=True, type=NEW_FOLDER, help="Write the run to this new folder."
)
@click.option(
    "--recipe",
    "recipe_file",
    metavar="FILE.toml",
    type=RECIPE_FILE,
    help="Read options from a TOML file with keys like fine_tune = 55; the command line wins.",
)
@recipe_options
@click.option(
    "--folds",
    metavar="K",
    type=click.IntRange(2, 20),
    help="Train K runs, each with another held-out part of the train and validation splits.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing run.")
@output_options
def command(
    dataset: Path,
    output: Path,
    recipe_file: Path | None,
    folds: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a network on DATASET and write a run folder.

    Rerun the same command to resume an interrupted training; it ends with the same weights. The validation
    split selects the epoch, the temperature and the thresholds; the test split is used only by `dermpack
    evaluate`. The head is trained first on the frozen backbone, then fine-tuning trains both; with --weights
    none everything is trained at once. A dataset whose splits leak is rejected. With --strategy multiworker,
    start the same command on all workers, each with its own TF_CONFIG; the first of them writes the run.

    \b
    Examples:
      dermpack train dataset -o run
      dermpack train dataset -o run --weights mobilenet_v2_1.0_224_no_top.h5 --epochs 20
      dermpack train dataset -o run --weights none --alpha 0.35 --size 96 --epochs 40
      dermpack train dataset -o run --recipe recipe.toml --sensitivity mel=0.95 --time-limit 30
      dermpack train dataset -o larger --weights run --size 224 --head-epochs 0 --epochs 6
      dermpack train dataset -o small --alpha 0.35 --teacher run
      dermpack train dataset -o folds --folds 5
    """
    from dermpack.dataset.manifest import read_dataset
    from trainer.recipe.recipe import COMMAND_LINE, Recipe, parse_recipe, read_recipe
    from trainer.runs.preflight import check_training
    from trainer.runs.run_folder import describe_progress

    base = read_recipe(recipe_file) if recipe_file else Recipe()
    given = {name: value for name, value in options.items() if value not in (None, ())}
    recipe = parse_recipe(given, where=COMMAND_LINE, base=base)
    pictures = read_dataset(dataset)
    if folds is not None:
        _train_folds(pictures, output, recipe, folds=folds, overwrite=overwrite, as_json=as_json, quiet=quiet)
        return
    check_training(pictures, output, recipe, overwrite=overwrite)
    with resumable(output, partial(describe_progress, output)):
        _train(pictures, output, recipe, overwrite=overwrite, as_json=as_json, quiet=quiet)


def _train(dataset: Any, output: Path, recipe: Any, *, overwrite: bool, as_json: bool, quiet: bool) -> None:
    from trainer.distributed.cluster import START_MINUTES, read_own_cluster
    from trainer.recipe.network_spec import Weights

    downloading = ", downloading weights unless they are cached" if recipe.weights is Weights.IMAGENET else ""
    print_note(f"Starting TensorFlow{downloading} ...", quiet=quiet)
    if cluster := read_own_cluster(recipe):
        waits = f"waits for the other workers, at most {START_MINUTES} minutes"
        print_note(f"{cluster.name(cluster.index)} {waits} ...", quiet=quiet)
    if cluster and not cluster.is_chief:
        _train_as_worker(dataset, recipe, cluster, as_json=as_json, quiet=quiet)
        return
    with silenced_stderr():
        from trainer.runs.train import train

    def tell(left: Any) -> None:
        print_note(f"resuming after epoch {left.epochs} of {left.planned} ({left.phase})", quiet=quiet)

    bar, watch = progress_bar(quiet=quiet), epoch_reporter(quiet=quiet)
    run = train(dataset, output, recipe, overwrite=overwrite, track=bar, watch=watch, going_on=tell)
    _print_figures(run, quiet=quiet or as_json)
    for line in (*run.remarks, *_early_stops(run)):
        print_note(line, quiet=quiet)
    print_result(_record(run, output), str(output), as_json=as_json)


def _train_as_worker(dataset: Any, recipe: Any, cluster: Any, *, as_json: bool, quiet: bool) -> None:
    """Train as one of several workers that is not the chief."""
    with silenced_stderr():
        from trainer.runs.train import train_as_worker

    train_as_worker(dataset, recipe, cluster, track=progress_bar(quiet=quiet))
    name = cluster.name(cluster.index)
    print_note(f"{name} is done; the chief has written the run", quiet=quiet)
    if as_json:
        print_result(
            {"run": None, "worker": cluster.index, "workers": len(cluster.workers)}, "", as_json=True
        )


def _print_figures(run: Run, *, quiet: bool) -> None:
    n = run.validation["n"]
    rows = [
        (FIGURES.get(name, name), f"{value:.3f}") for name, value in run.validation.items() if name != "n"
    ]
    rows += [(f"threshold of {point.label}", f"{point.threshold:.3f}") for point in run.thresholds]
    title = f"Validation split, n = {n:,} (optimistic: this split selected the epoch)"
    print_table(title, ("figure", "value"), rows, quiet=quiet)


def _early_stops(run: Run) -> Iterator[str]:
    """Yield which phases ended before their last epoch, and why."""
    for phase in run.phases:
        planned, done = phase.plan["epochs"], len(phase.history)
        if done < planned:
            yield f"{phase.name} ended after epoch {done} of {planned}: {phase.stop}"


def _record(run: Run, output: Path) -> dict[str, Any]:
    phases = [
        {
            "name": phase.name,
            "epochs": len(phase.history),
            "planned_epochs": phase.plan["epochs"],
            "best_epoch": phase.best_epoch,
            "stop": phase.stop,
        }
        for phase in run.phases
    ]
    figures = {"validation": dict(run.validation), "remarks": list(run.remarks), "phases": phases}
    return {"run": str(output), "weights_sha256": run.weights_sha256, **figures}


def _train_folds(
    dataset: Dataset, output: Path, recipe: Recipe, *, folds: int, overwrite: bool, as_json: bool, quiet: bool
) -> None:
    """Train one run for each fold, and print the figures over all folds."""
    from dermpack.evaluation.report import figure_text
    from dermpack.metrics.summary import Figure
    from trainer.experiments.folds import train_folds
    from trainer.experiments.folds_result import NOTE

    report = training_reporter(quiet=quiet)
    with resumable(output, lambda: count_trained_runs(output, of=f"{folds} folds")):
        trained = train_folds(dataset, output, recipe, folds=folds, overwrite=overwrite, tell=report)
    scores = trained.out_of_fold
    rows = [
        (label, figure_text(scores.figures[name]), figure_text(Figure(value=mean.mean, ci95=mean.ci95)))
        for name, label in FOLD_FIGURES.items()
        if (mean := trained.over_folds.get(name))
    ]
    title = f"{len(trained.folds)} folds, {scores.n:,} pictures, {scores.groups:,} groups"
    print_table(title, ("figure", "out of fold", "mean of folds"), rows, quiet=quiet or as_json)
    for line in (*scores.notes, NOTE):
        print_note(line, quiet=quiet or as_json)
    print_result(trained.record(), str(output), as_json=as_json)
