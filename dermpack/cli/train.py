"""dermpack train."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dermpack.cli.console import note, output_options, result, table, track
from dermpack.cli.epochs import epoch_lines
from dermpack.cli.hush import hushed

NEW_FOLDER = click.Path(path_type=Path)
RECIPE_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("train", short_help="Train a network on a dataset; the same command again goes on.")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="RUN", required=True, type=NEW_FOLDER, help="A new folder.")
@click.option("--recipe", "recipe_file", metavar="FILE.toml", type=RECIPE_FILE, help="Options as keys.")
@click.option("--arch", help="mobilenet_v2, efficientnet_b0 to b4, resnet50 or scratch_cnn.")
@click.option("--alpha", help="Width of mobilenet_v2: 0.35, 0.5, 0.75, 1.0, 1.3 or 1.4.")
@click.option("--size", metavar="PX", help="Side of the pictures: 28 to 600, backbones from 96.")
@click.option("--weights", metavar="imagenet|none|FILE.h5", help="Where the backbone starts.")
@click.option("--head", metavar="softmax|sigmoid", help="sigmoid is for two classes.")
@click.option("--dense", metavar="N,N", help="Widths of dense layers in the head.")
@click.option("--dropout", metavar="SHARE", help="Before the head's layers.")
@click.option("--filters", metavar="N,N", help="Of scratch_cnn.")
@click.option("--kernel", metavar="N", help="Of scratch_cnn.")
@click.option("--fine-tune", metavar="N|all", help="Layers of the backbone that train, from the top.")
@click.option("--copies", metavar="N", help="Changed activations kept at the boundary; 0: fresh pictures.")
@click.option("--head-copies", metavar="N", help="Changed features that the head learns from.")
@click.option("--head-epochs", metavar="N", help="On the frozen backbone.")
@click.option("--head-rate", metavar="RATE", help="Learning rate of the head phase.")
@click.option("--epochs", metavar="N", help="Of fine-tuning; of everything with --weights none.")
@click.option("--batch", metavar="N", help="Pictures a step.")
@click.option("--rate", metavar="RATE", help="Learning rate of fine-tuning.")
@click.option("--schedule", metavar="cosine|constant", help="How the rate moves.")
@click.option("--warm-up", metavar="EPOCHS", help="Until the rate is reached.")
@click.option("--augment", metavar="none|light|strong|FILE.toml", help="How pictures are changed.")
@click.option("--balance", metavar="KIND", help="none, prior, weights, oversample, undersample or effective.")
@click.option("--balance-power", metavar="P", help="1 makes classes equal, 0.5 goes half the way.")
@click.option("--label-smoothing", metavar="SHARE")
@click.option("--ema", metavar="DECAY", help="Average the weights, like 0.99; 0 does not.")
@click.option("--patience", metavar="EPOCHS", help="Stop after so many without a better figure; 0: never.")
@click.option("--metric", metavar="balanced_accuracy|auroc", help="Names the best epoch.")
@click.option("--mixed-precision", metavar="none|bfloat16", help="bfloat16 where the processor has it.")
@click.option("--sensitivity", multiple=True, metavar="LABEL=SHARE", help="Fit a threshold; repeatable.")
@click.option("--threads", metavar="N", help="Of the processor; all when not given.")
@click.option("--seed", metavar="N", help="The same seed gives the same weights on the same machine.")
@click.option("--time-limit", metavar="MINUTES", help="Stop in time, and keep the best epoch.")
@click.option("--overwrite", is_flag=True, help="Replace a run that is there.")
@output_options
def command(
    dataset: Path,
    output: Path,
    recipe_file: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Train a network on DATASET and write a run folder.

    Killed at any moment, the same command goes on and ends with the same weights. The validation split
    chooses the epoch, the temperature and the thresholds; the test split is left to `dermpack evaluate`.
    """
    from dermpack.manifest import read_dataset
    from trainer.recipe import Recipe, read_recipe, recipe_from

    base = read_recipe(recipe_file) if recipe_file else Recipe()
    given = {name: value for name, value in options.items() if value not in (None, ())}
    recipe = recipe_from(given, where="command line", base=base)
    pictures = read_dataset(dataset)
    note("Starting TensorFlow ...", quiet=quiet)
    with hushed():
        from trainer.train import train

    bar, watch = track(quiet=quiet), epoch_lines(quiet=quiet)
    run = train(pictures, output, recipe, overwrite=overwrite, track=bar, watch=watch)
    thresholds = {point.label: point.threshold for point in run.thresholds}
    _show(run.validation, thresholds, quiet=quiet)
    record = {"run": str(output), "weights_sha256": run.weights_sha256, "validation": dict(run.validation)}
    result(record, str(output), as_json=as_json)


def _show(figures: Mapping[str, Any], thresholds: Mapping[str, float], *, quiet: bool) -> None:
    n = figures["n"]
    rows = [(name.replace("_", " "), f"{value:.3f}") for name, value in figures.items() if name != "n"]
    rows += [(f"threshold of {label}", f"{threshold:.3f}") for label, threshold in thresholds.items()]
    table(
        f"Validation split, n = {n} (it chose the epoch: it flatters)", ("figure", "value"), rows, quiet=quiet
    )
