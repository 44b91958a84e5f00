"""dermpack convert."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from dermpack.cli.console import FailedWithResultError, note, output_options, result, track
from dermpack.cli.convert_output import record, tell, too_much
from dermpack.cli.epoch_printer import epoch_lines
from dermpack.cli.interruption import going_on
from dermpack.cli.stderr_capture import hushed, python_alone

if TYPE_CHECKING:
    from dermpack.metrics.predictions import Predictions

FOLDER = click.Path(path_type=Path)
RECIPES = ("int8", "float32", "float16", "dynamic", "int16x8")
METHODS, IOS = ("auto", "ptq", "qat", "selective"), ("uint8", "int8", "float32")
CLIPPINGS = ("minmax", "percentile", "mse")


@click.command("convert", short_help="Turn a run into a .tflite that is read back, run and measured.")
@click.argument("run", type=FOLDER)
@click.option("-o", "--output", metavar="EXPORT", required=True, type=FOLDER, help="A new folder.")
@click.option("--data", metavar="DATASET", type=FOLDER, help="Where the run's dataset is, if it was moved.")
@click.option("--int8", is_flag=True, help="Integers only; small, and fast on every phone. The default.")
@click.option("--float32", is_flag=True, help="As it was trained.")
@click.option("--float16", is_flag=True, help="Half the size; for GPUs.")
@click.option("--dynamic", is_flag=True, help="8-bit weights, activations in floating point.")
@click.option("--int16x8", is_flag=True, help="16-bit activations, 8-bit weights: finer, but slow.")
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default="auto",
    show_default=True,
    help="How int8 is reached: ptq measures ranges, qat trains for them, selective leaves the worst layers "
    "in floating point; auto takes the first that loses little enough.",
)
@click.option(
    "--io",
    type=click.Choice(IOS),
    help="What goes in and comes out; int8 takes raw bytes (uint8) unasked, the others float32.",
)
@click.option(
    "--calibration",
    "pictures",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    metavar="N",
    help="Training pictures to measure ranges on, as many of each label as there are.",
)
@click.option(
    "--calibration-method",
    "clipping",
    type=click.Choice(CLIPPINGS),
    default="minmax",
    show_default=True,
    help="What a measured range holds: all values, 99.9 % of them, or as many as make the error of 8 bits "
    "least. Where a few values reach far, the last two cut them off for finer steps.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    metavar="POINTS",
    help="Of balanced accuracy on the validation split that int8 may lose.",
)
@click.option(
    "--layer-errors",
    is_flag=True,
    help="Tell what integers do to each layer: layers.csv and layers.png in EXPORT, the worst in the "
    "terminal. Told unasked where selective was tried.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Chooses the pictures."
)
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace an export that is there.")
@output_options
def command(
    run: Path,
    output: Path,
    data: Path | None,
    method: str,
    io: str | None,
    pictures: int,
    clipping: str,
    max_drop: float,
    layer_errors: bool,
    seed: int,
    threads: int,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
    **recipes: bool,
) -> None:
    """Convert a trained RUN into EXPORT: model.tflite, its contract model.json, and what was proven of it.

    Several recipes at once make a folder of exports. What auto tried and did not choose goes to
    EXPORT.rejected; where nothing loses little enough, the best is kept and the exit code is 1.

    \b
    Examples:
      dermpack convert run -o export
      dermpack convert run -o export --max-drop 0.5 --layer-errors
      dermpack convert run -o exports --int8 --float16 --float32 --data moved/dataset
    """
    from trainer.runs.run_folder import read_run

    read_run(run)  # without TensorFlow: what is wrong with the folder is said at once
    note("Starting TensorFlow ...", quiet=quiet)
    with hushed():
        from converter.export.conversion import convert_run
        from converter.qat.qat_strategy import TrainingObservers
        from converter.quantize.clipping import Clipping
        from converter.quantize.tflite_conversion import IoType, Quantization
        from converter.search.request import ConversionRequest as Asked
        from converter.search.request import Method

    request = Asked(
        recipes=tuple(Quantization(name) for name in RECIPES if recipes[name]) or (Quantization.INT8,),
        method=Method(method),
        io=IoType(io) if io else None,
        pictures=pictures,
        clipping=Clipping(clipping),
        max_drop=max_drop,
        layer_errors=layer_errors,
        seed=seed,
        threads=threads,
    )
    audience = TrainingObservers(
        track=track(quiet=quiet), watch=epoch_lines(quiet=quiet), begun=partial(_begun, quiet=quiet)
    )
    with going_on(output, partial(_kept, output)), python_alone():
        conversion = convert_run(run, output, request, data=data, overwrite=overwrite, audience=audience)
    tell(conversion, quiet=quiet)
    result(record(conversion, output), str(output), as_json=as_json)
    if request.method is Method.AUTO and not conversion.is_within:
        raise FailedWithResultError(too_much(conversion, output))
    first = output if len(request.recipes) == 1 else output / request.recipes[0].value
    note(f"next: dermpack evaluate {quote(str(first))} {quote(str(conversion.dataset))}", quiet=quiet)


def _kept(output: Path) -> str:
    """Of what an interrupted conversion did, only epochs of training for integers are kept."""
    from trainer.fitting.checkpoint import CHECKPOINT_FILE

    for folder in output.absolute().parent.glob(".*.training"):
        if folder.name.startswith(f".{output.name}.") and any(folder.rglob(CHECKPOINT_FILE)):
            return f"the finished epochs of training for integers are kept in {folder.name}"
    return ""


def _begun(predictions: Predictions, *, quiet: bool) -> None:
    from dermpack.metrics.definitions import balanced_accuracy

    figure = f"balanced accuracy {balanced_accuracy(predictions):.3f}"
    note(f"By integers, before any training for them: {figure} (validation split)", quiet=quiet)
