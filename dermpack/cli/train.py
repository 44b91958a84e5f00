"""dermpack train."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import click

from dermpack.cli.console import note, output_options, result, table, track
from dermpack.cli.epoch_printer import epoch_lines
from dermpack.cli.help_sections import TrainCommand
from dermpack.cli.interruption import going_on
from dermpack.cli.stderr_capture import hushed
from dermpack.cli.train_folds import run_folds

Run: TypeAlias = Any  # of trainer, of which nothing is imported before the command is called
NEW_FOLDER = click.Path(path_type=Path)
RECIPE_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FIGURES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "ece": "calibration error"}


def offered(_context: click.Context, option: click.Parameter, begun: str) -> list[str]:
    """What a shell completes an option with."""
    from trainer.recipe.recipe import WORDS

    return [word for word in WORDS[str(option.name)] if word.startswith(begun)]


@click.command(
    "train", cls=TrainCommand, short_help="Train a network on a dataset; the same command again goes on."
)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="RUN", required=True, type=NEW_FOLDER, help="A new folder.")
@click.option(
    "--recipe",
    "recipe_file",
    metavar="FILE.toml",
    type=RECIPE_FILE,
    help="Options as keys, like fine_tune = 55; given ones win.",
)
@click.option(
    "--arch", shell_complete=offered, help="mobilenet_v2, efficientnet_b0 to b4, resnet50 or scratch_cnn."
)
@click.option(
    "--alpha", shell_complete=offered, help="Width of mobilenet_v2: 0.35, 0.5, 0.75, 1.0, 1.3 or 1.4."
)
@click.option("--size", metavar="PX", help="Side of the pictures: 28 to 600, backbones from 96.")
@click.option(
    "--weights",
    shell_complete=offered,
    metavar="imagenet|none|FILE.h5|RUN",
    help="Where the backbone starts; imagenet needs a network the first time. A run gives its head too.",
)
@click.option(
    "--teacher", metavar="RUN", help="Learn from this run's answers too: a trained network of this dataset."
)
@click.option("--teacher-share", metavar="SHARE", help="Of the teacher in each target.")
@click.option("--head", shell_complete=offered, metavar="softmax|sigmoid", help="sigmoid is for two classes.")
@click.option("--dense", metavar="N,N", help="Widths of dense layers in the head.")
@click.option("--dropout", metavar="SHARE", help="Before the head's layers.")
@click.option("--filters", metavar="N,N", help="Of scratch_cnn.")
@click.option("--kernel", metavar="N", help="Of scratch_cnn.")
@click.option(
    "--fine-tune",
    shell_complete=offered,
    metavar="N|all",
    help="Layers of the backbone that train, from the top.",
)
@click.option(
    "--copies",
    metavar="N",
    help="Changed copies of each picture, kept where the layers that train begin; 0: fresh ones.",
)
@click.option("--head-copies", metavar="N", help="Changed features that the head learns from.")
@click.option("--head-epochs", metavar="N", help="On the frozen backbone.")
@click.option("--head-rate", metavar="RATE", help="Learning rate of the head phase.")
@click.option("--epochs", metavar="N", help="Of fine-tuning; of everything with --weights none.")
@click.option("--batch", metavar="N", help="Pictures a step.")
@click.option("--rate", metavar="RATE", help="Learning rate of fine-tuning; from nothing 0.001.")
@click.option("--schedule", shell_complete=offered, metavar="cosine|constant", help="How the rate moves.")
@click.option("--warm-up", metavar="EPOCHS", help="Until the rate is reached.")
@click.option(
    "--augment",
    shell_complete=offered,
    metavar="none|light|strong|FILE.toml",
    help="How pictures are changed; docs/training.md lists a FILE's keys.",
)
@click.option(
    "--balance",
    shell_complete=offered,
    metavar="KIND",
    help="none, prior, weights, oversample, undersample or effective.",
)
@click.option("--balance-power", metavar="P", help="1 makes classes equal, 0.5 goes half the way.")
@click.option("--label-smoothing", metavar="SHARE", help="Of each target, spread over all classes.")
@click.option("--ema", metavar="DECAY", help="Average the weights, like 0.99; 0 does not.")
@click.option("--patience", metavar="EPOCHS", help="Stop after so many without a better figure; 0: never.")
@click.option(
    "--metric", shell_complete=offered, metavar="balanced_accuracy|auroc", help="Names the best epoch."
)
@click.option(
    "--mixed-precision",
    shell_complete=offered,
    metavar="none|bfloat16",
    help="bfloat16 where the processor has it.",
)
@click.option("--sensitivity", multiple=True, metavar="LABEL=SHARE", help="Fit a threshold; repeatable.")
@click.option(
    "--strategy",
    shell_complete=offered,
    metavar="single|mirrored|multiworker",
    help="Share each batch among all visible devices, or among the workers that TF_CONFIG names.",
)
@click.option("--threads", metavar="N", help="Of the processor.")
@click.option("--seed", metavar="N", help="The same seed gives the same weights on the same machine.")
@click.option("--time-limit", metavar="MINUTES", help="Stop in time, and keep the best epoch.")
@click.option(
    "--folds",
    metavar="K",
    type=click.IntRange(2, 20),
    help="Train K runs; each holds out another part of the train and validation splits.",
)
@click.option("--overwrite", is_flag=True, help="Replace a run that is there.")
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

    Killed at any moment, the same command goes on and ends with the same weights. The validation split
    chooses the epoch, the temperature and the thresholds; the test split is left to `dermpack evaluate`.
    First the head learns on the frozen backbone, then fine-tuning moves both; with --weights none everything
    learns at once. A dataset whose splits leak is refused. With --strategy multiworker all workers get the
    same command, each with its own TF_CONFIG; the first of them writes the run.

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
    from trainer.recipe.recipe import COMMAND_LINE, Recipe, read_recipe, recipe_from
    from trainer.runs.partial_run import kept_of
    from trainer.runs.preflight import check_asked

    base = read_recipe(recipe_file) if recipe_file else Recipe()
    given = {name: value for name, value in options.items() if value not in (None, ())}
    recipe = recipe_from(given, where=COMMAND_LINE, base=base)
    pictures = read_dataset(dataset)
    if folds is not None:
        run_folds(pictures, output, recipe, folds=folds, overwrite=overwrite, as_json=as_json, quiet=quiet)
        return
    check_asked(pictures, output, recipe, overwrite=overwrite)
    with going_on(output, partial(kept_of, output)):
        _train(pictures, output, recipe, overwrite=overwrite, as_json=as_json, quiet=quiet)


def _train(dataset: Any, output: Path, recipe: Any, *, overwrite: bool, as_json: bool, quiet: bool) -> None:
    from trainer.distributed.cluster import START_MINUTES, own_cluster
    from trainer.recipe.network_spec import Weights

    fetching = ", fetching weights unless they are here already" if recipe.weights is Weights.IMAGENET else ""
    note(f"Starting TensorFlow{fetching} ...", quiet=quiet)
    if cluster := own_cluster(recipe):
        waits = f"waits for the others, at most {START_MINUTES} minutes"
        note(f"{cluster.name(cluster.index)} {waits} ...", quiet=quiet)
    if cluster and not cluster.is_chief:
        _beside(dataset, output, recipe, cluster, as_json=as_json, quiet=quiet)
        return
    with hushed():
        from trainer.runs.train import train

    def tell(left: Any) -> None:
        note(f"going on after epoch {left.epochs} of {left.planned} ({left.phase})", quiet=quiet)

    bar, watch = track(quiet=quiet), epoch_lines(quiet=quiet)
    run = train(dataset, output, recipe, overwrite=overwrite, track=bar, watch=watch, going_on=tell)
    _show(run, quiet=quiet or as_json)
    for line in (*run.remarks, *_early(run)):
        note(line, quiet=quiet)
    result(_record(run, output), str(output), as_json=as_json)


def _beside(dataset: Any, output: Path, recipe: Any, cluster: Any, *, as_json: bool, quiet: bool) -> None:
    """Of several workers, one that is not the chief."""
    with hushed():
        from trainer.runs.training import train_beside

    train_beside(dataset, output, recipe, cluster, track=track(quiet=quiet))
    name = cluster.name(cluster.index)
    note(f"{name} is done; the chief has written the run", quiet=quiet)
    if as_json:
        result({"run": None, "worker": cluster.index, "workers": len(cluster.workers)}, "", as_json=True)


def _show(run: Run, *, quiet: bool) -> None:
    n = run.validation["n"]
    rows = [
        (FIGURES.get(name, name), f"{value:.3f}") for name, value in run.validation.items() if name != "n"
    ]
    rows += [(f"threshold of {point.label}", f"{point.threshold:.3f}") for point in run.thresholds]
    title = f"Validation split, n = {n:,} (it chose the epoch: it flatters)"
    table(title, ("figure", "value"), rows, quiet=quiet)


def _early(run: Run) -> Iterator[str]:
    """What ended before all of its epochs, and why."""
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
