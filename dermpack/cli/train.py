"""dermpack train: train a network on a dataset, once or for each fold."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli import options
from dermpack.cli.console import Printer, count_trained_runs, resumable, silenced_stderr

if TYPE_CHECKING:
    from dermpack.dataset.manifest import Dataset
    from trainer.recipe.recipe import Recipe

FIGURES = {
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "auroc": "AUROC",
    "macro_f1": "F1, mean of labels",
    "ece": "calibration error",
    "brier": "Brier score",
}


@click.command("train", cls=options.RecipeCommand)
@click.argument("dataset", type=options.PATH)
@options.output("RUN", "Write the run to this new folder.")
@click.option(
    "--recipe", "recipe_file", metavar="FILE.toml|NAME", type=options.RecipeFile(),
    help="Read options from a TOML file with keys like fine_tune = 55, or from an included recipe such as "
    "thorough, which takes longer and learns more; the command line wins.",
)  # fmt: skip
@options.recipe
@click.option(
    "--folds", metavar="K", type=click.IntRange(2, 20),
    help="Train K runs, each with another held-out part of the train and validation splits.",
)  # fmt: skip
@options.flag("--overwrite", "Replace an existing run.")
@options.printer
def command(
    dataset: Path,
    output: Path,
    recipe_file: Path | None,
    folds: int | None,
    overwrite: bool,
    printer: Printer,
    **given: Any,
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
      dermpack train dataset -o run --recipe thorough
      dermpack train dataset -o run --recipe recipe.toml --sensitivity mel=0.95 --time-limit 30
      dermpack train dataset -o larger --weights run --size 224 --head-epochs 0 --epochs 6
      dermpack train dataset -o small --alpha 0.35 --teacher run
      dermpack train dataset -o both --metadata age,sex,localization
      dermpack train dataset -o sites --label localization
      dermpack train dataset -o folds --folds 5
    """
    from dermpack.dataset.manifest import read_dataset
    from dermpack.dataset.views import label_by_column
    from dermpack.errors import count_noun
    from trainer.recipe.recipe import COMMAND_LINE, parse_recipe, read_recipe
    from trainer.runs.preflight import check_training
    from trainer.runs.run_folder import describe_progress

    base = read_recipe(recipe_file) if recipe_file else None
    changed = {name: value for name, value in given.items() if value not in (None, ())}
    recipe = parse_recipe(changed, where=COMMAND_LINE, base=base)
    imported = read_dataset(dataset)
    pictures = label_by_column(imported, recipe.label)
    if without := len(imported.pictures) - len(pictures.pictures):
        left_out = count_noun(without, "picture is", "pictures are")
        why = f"no value of {recipe.label}, or one that no training or no validation picture has"
        printer.note(f"{left_out} left out: {why}")
    if folds is not None:
        _train_folds(pictures, output, recipe, folds=folds, overwrite=overwrite, printer=printer)
        return
    check_training(pictures, output, recipe, overwrite=overwrite)
    with resumable(output, partial(describe_progress, output)):
        _train(pictures, output, recipe, overwrite=overwrite, printer=printer)


def _train(dataset: Dataset, output: Path, recipe: Recipe, *, overwrite: bool, printer: Printer) -> None:
    from dermpack.reporting.page import threshold_text
    from trainer.distributed.cluster import START_MINUTES, read_own_cluster
    from trainer.recipe.network_spec import Weights

    downloads = recipe.weights is Weights.IMAGENET and not recipe.arch.is_lite
    downloading = ", downloading weights unless they are cached" if downloads else ""
    printer.note(f"Starting TensorFlow{downloading} ...")
    if cluster := read_own_cluster(recipe):
        waits = f"waits for the other workers, at most {START_MINUTES} minutes"
        printer.note(f"{cluster.name(cluster.index)} {waits} ...")
    with silenced_stderr():
        from trainer.runs.train import train, train_as_worker

    if cluster and not cluster.is_chief:
        train_as_worker(dataset, recipe, cluster, track=printer.track)
        printer.note(f"{cluster.name(cluster.index)} is done; the chief has written the run")
        if printer.as_json:
            printer.result({"run": None, "worker": cluster.index, "workers": len(cluster.workers)}, "")
        return
    report = printer.training_reporter()
    run = train(
        dataset,
        output,
        recipe,
        overwrite=overwrite,
        track=printer.track,
        on_progress=report,
        on_resume=report,
    )
    rows = [
        (FIGURES.get(name, name), f"{value:.3f}") for name, value in run.validation.items() if name != "n"
    ]
    rows += [(f"threshold of {point.label}", threshold_text(point.threshold)) for point in run.thresholds]
    title = f"Validation split, n = {run.validation['n']:,} (optimistic: this split selected the epoch)"
    printer.unless_json.table(title, ("figure", "value"), rows)
    stops = [
        f"{phase.name} ended after epoch {len(phase.history)} of {phase.plan['epochs']}: {phase.stop}"
        for phase in run.phases
        if len(phase.history) < phase.plan["epochs"]
    ]
    printer.note(*run.remarks, *stops)
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
    printer.result({"run": str(output), "weights_sha256": run.weights_sha256, **figures}, str(output))


def _train_folds(
    dataset: Dataset, output: Path, recipe: Recipe, *, folds: int, overwrite: bool, printer: Printer
) -> None:
    """Train one run for each fold, and print the figures over all folds."""
    from dermpack.evaluation.report import figure_text
    from dermpack.metrics.summary import Figure
    from trainer.experiments.folds import NOTE, train_folds

    report = printer.training_reporter()
    with resumable(output, lambda: count_trained_runs(output, of=f"{folds} folds")):
        trained = train_folds(dataset, output, recipe, folds=folds, overwrite=overwrite, on_event=report)
    scores = trained.out_of_fold
    rows = [
        (label, figure_text(scores.figures[name]), figure_text(Figure(value=mean.mean, ci95=mean.ci95)))
        for name, label in FIGURES.items()
        if (mean := trained.over_folds.get(name))
    ]
    title = f"{len(trained.folds)} folds, {scores.n:,} pictures, {scores.groups:,} groups"
    printer.unless_json.table(title, ("figure", "out of fold", "mean of folds"), rows)
    printer.unless_json.note(*scores.notes, NOTE)
    printer.result(trained.record(), str(output))
