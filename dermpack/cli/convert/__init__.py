"""dermpack convert: convert a run to a .tflite, and verify and measure it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli import FailedWithResultError, options
from dermpack.cli.console import Printer, python_stderr_only, resumable, silenced_stderr
from dermpack.cli.convert.foreign_input import declared_input, list_given, read_declared_input
from dermpack.cli.convert.keras_file import convert_keras, is_keras, read_keras_request, refuse_keras_options
from dermpack.cli.convert.tflite_file import (
    convert_tflite,
    is_tflite,
    print_guessing,
    print_kept,
    read_foreign_model,
)
from dermpack.storage.codec import encode

if TYPE_CHECKING:
    from converter.export.conversion import Conversion
    from converter.request import ConversionRequest
    from converter.search.accuracy_limit import AccuracyLimit
    from converter.search.choose import TriedCandidate
    from dermpack.dataset.manifest import Dataset
    from dermpack.errors import DermpackError
    from dermpack.inference.foreign_model import ForeignModel
    from dermpack.metrics.predictions import Predictions

RECIPES = ("int8", "float32", "float16", "dynamic", "int16x8")
METHODS, IOS = ("auto", "ptq", "qat", "selective"), ("uint8", "int8", "float32")
CLIPPINGS = ("minmax", "percentile", "mse")
HEADER = ("file", "balanced", "points lost (95%)", "AUROC", "same label", "MB", "s", "result")
LAYER_HEADER = ("layer", "operator", "error (rounding alone: 0.289 steps)", "computed in")
WORDS = ("operator", "result", "computed in")
WORST = 10  # layers in the terminal
MEGABYTE = 1e6


@click.command("convert")
@click.argument("run", type=options.PATH, metavar="RUN|MODEL")
@options.output("EXPORT", "The folder to write.")
@click.option(
    "--data", metavar="DATASET", type=options.PATH,
    help="The dataset: of a run, if it was moved; of another model, to measure it on.",
)  # fmt: skip
@options.labels("The labels of another model, in the order of its outputs.  [default: those in the file]")
@options.flag("--find-input", "Find how another model is fed, by its accuracy on training pictures.")
@declared_input
@click.option(
    "--size", type=click.IntRange(8, 2048), metavar="PIXELS",
    help="The side of the pictures of a Keras file that does not fix it.",
)  # fmt: skip
@options.flag("--compare-original", "Run a Keras file, too, in Keras's safe mode, and compare the answers.")
@options.flag("--int8", "Write an int8 file: small, and fast on every phone. This is the default.")
@options.flag("--float32", "Write a float32 file, as trained.")
@options.flag("--float16", "Write a float16 file: half the size, for GPUs.")
@options.flag("--dynamic", "Write a file with 8-bit weights and float activations.")
@options.flag("--int16x8", "Write a file with 16-bit activations and 8-bit weights: more precise, but slow.")
@click.option(
    "--method", type=click.Choice(METHODS), default="auto", show_default=True,
    help="How to convert to int8: ptq measures ranges, qat trains with quantization, selective leaves "
    "the worst layers in floating point; auto tries them in this order until the loss is within --max-drop, "
    "which limits the others, too.",
)  # fmt: skip
@click.option(
    "--io", type=click.Choice(IOS),
    help="Type of input and output.  [default: uint8 (raw bytes) for int8, float32 for the others]",
)  # fmt: skip
@click.option(
    "--calibration", "pictures", type=click.IntRange(1, 10_000), default=200, show_default=True, metavar="N",
    help="Number of training pictures on which ranges are measured, balanced over the labels.",
)  # fmt: skip
@click.option(
    "--calibration-method", "clipping", type=click.Choice(CLIPPINGS), default="minmax", show_default=True,
    help="How a range is chosen: from all values (minmax), 99.9 % of them (percentile), or so that the "
    "error of 8 bits is least (mse). The last two clip outliers for finer steps.",
)  # fmt: skip
@click.option(
    "--max-drop", type=click.FloatRange(0, 100), default=1.0, show_default=True, metavar="POINTS",
    help="The loss of balanced accuracy on the validation split that int8 may have, whichever the --method. "
    "A file beyond it is kept, but the exit code is 1.",
)  # fmt: skip
@options.flag("--evidence", "Return a map of where the answer comes from as a second output.")
@options.flag(
    "--familiarity",
    "Return the distance to the training pictures as another output, so that an app can answer "
    '"unlike the pictures this model was trained on"; and add limits for blur and exposure to the contract.',
)
@click.option(
    "--layer-errors", is_flag=True,
    help="Report the error of each layer: layers.csv and layers.png in EXPORT, the worst layers in the "
    "terminal. This is always done if selective was tried.",
)  # fmt: skip
@options.seed("the choice of pictures")
@options.threads
@options.flag("--overwrite", "Replace an existing export.")
@options.printer
def command(
    run: Path,
    output: Path,
    data: Path | None,
    labels: str | None,
    find_input: bool,
    size: int | None,
    compare_original: bool,
    method: str,
    io: str | None,
    pictures: int,
    clipping: str,
    max_drop: float,
    evidence: bool,
    familiarity: bool,
    layer_errors: bool,
    seed: int,
    threads: int,
    overwrite: bool,
    printer: Printer,
    **others: Any,
) -> None:
    """Convert a trained RUN, or a MODEL of another program, into EXPORT: model.tflite with its contract.

    A Keras file (.keras, .h5) is rebuilt and converted like a run; Keras does not load it unless you add
    --compare-original. A float .tflite is quantized; a quantized one is kept as it is, and gets a contract.
    All need --data and, unless the file contains them, --labels and how the file is fed.

    Several quantizations at once make a folder of exports. The files that auto tried and did not choose go to
    EXPORT.rejected; if no int8 file is within --max-drop, the best one is kept and the exit code is 1, with
    every --method.

    \b
    Examples:
      dermpack convert run -o export
      dermpack convert run -o export --max-drop 0.5 --layer-errors
      dermpack convert run -o export --evidence --familiarity
      dermpack convert run -o exports --int8 --float16 --float32 --data moved/dataset
      dermpack convert model.keras -o export --labels akiec,mel,nv --data dataset --compare-original
      dermpack convert model.tflite -o export --labels labels.txt --data dataset --input-range 0..1
      dermpack convert model.tflite -o export --labels labels.txt --data dataset --find-input
    """
    from converter.export.output_folders import check_outputs
    from dermpack.metrics.definitions import balanced_accuracy

    # Everything that can be checked without TensorFlow is checked before it is loaded.
    keras, foreign = None, None
    if is_keras(run):
        declared = read_declared_input(others)
        keras = read_keras_request(
            *(run, data, labels, declared), size=size, compare=compare_original, find=find_input
        )
    else:
        foreign = _read_foreign(run, data, labels, others, find=find_input)
        refuse_keras_options(size, compare=compare_original)
    check_outputs(output, recipes=sum(others[name] for name in RECIPES) or 1, overwrite=overwrite)
    printer.note("Starting TensorFlow ...")
    with silenced_stderr():
        from converter.export.conversion import Conversion, convert_run
        from converter.qat.qat_training import TrainingObservers
        from converter.quantize.clipping import Clipping
        from converter.quantize.tflite_conversion import IoType, Quantization
        from converter.request import ConversionRequest, Method

    request = ConversionRequest(
        recipes=tuple(Quantization(name) for name in RECIPES if others[name]) or (Quantization.INT8,),
        method=Method(method),
        io=IoType(io) if io else None,
        pictures=pictures,
        clipping=Clipping(clipping),
        max_drop=max_drop,
        evidence=evidence,
        familiarity=familiarity,
        layer_errors=layer_errors,
        seed=seed,
        threads=threads,
    )

    def print_start(predictions: Predictions) -> None:
        figure = f"balanced accuracy {balanced_accuracy(predictions):.3f}"
        printer.note(f"int8 before quantization-aware training: {figure} (validation split)")

    observers = TrainingObservers(
        track=printer.track, on_progress=printer.training_reporter(), on_zero_epoch=print_start
    )
    if keras is not None:
        with resumable(output, partial(_describe_kept, output)):
            conversion = convert_keras(
                keras, output, request, overwrite=overwrite, observers=observers, printer=printer
            )
    elif foreign is not None:
        model, dataset = foreign
        result = convert_tflite(
            *(model, dataset, output, request),
            find=find_input,
            overwrite=overwrite,
            observers=observers,
            printer=printer,
        )
        if not isinstance(result, Conversion):
            print_kept(result, output, printer)
            return
        conversion = result
    else:
        with resumable(output, partial(_describe_kept, output)), python_stderr_only():
            conversion = convert_run(
                run, output, request, data=data, overwrite=overwrite, observers=observers
            )
    _print_conversion(conversion, printer)
    is_foreign = keras is not None or foreign is not None
    is_guessing = is_foreign and print_guessing(conversion.float_predictions, printer)
    record = {**_record(conversion, output), "is_guessing": is_guessing}
    printer.result(record, str(output))
    if not conversion.is_within:
        raise FailedWithResultError(_accuracy_error(conversion, output, request, is_guessing=is_guessing))
    # Several quantizations are in subfolders; the first one is evaluated as an example.
    first = output if len(request.recipes) == 1 else output / request.recipes[0].value
    printer.note(f"next: dermpack evaluate {quote(str(first))} {quote(str(conversion.dataset))}")


def _read_foreign(
    path: Path, data: Path | None, labels: str | None, others: dict[str, Any], *, find: bool
) -> tuple[ForeignModel, Dataset] | None:
    """Return a model of another program and the dataset to measure it on; None for a run."""
    from dermpack.dataset.manifest import Split, read_dataset, require_pictures
    from dermpack.errors import InputError
    from trainer.runs.run_folder import read_run

    if not is_tflite(path):
        _refuse_other_formats(path)
        read_run(path)
        given = [*list_given(others), *(["--labels"] if labels else []), *(["--find-input"] if find else [])]
        if given:
            what, hint = "applies to a model of another program only", "Omit the option."
            raise InputError(given[0], what, hint, code="option-not-applicable")
        return None
    if data is None:
        hint = "Give a dataset, or package the file without measuring it (dermpack package)."
        raise InputError(path, "conversion needs --data", hint, code="missing-option")
    model = read_foreign_model(path, labels, read_declared_input(others))
    dataset = read_dataset(data)
    require_pictures(dataset, (Split.TRAIN, Split.VALIDATION))
    return model, dataset


def _refuse_other_formats(path: Path) -> None:
    """Raise InputError for a file, because a run is a folder, and for a folder of another program."""
    from dermpack.errors import InputError
    from dermpack.inference.model_formats import check_format
    from dermpack.storage.files import is_directory, is_regular_file

    if not is_directory(path) and not is_regular_file(path):
        return
    check_format(path)
    if is_regular_file(path):
        what = "neither a Keras file nor a .tflite, by its first bytes"
        hint = "Give a run, or such a file that was copied in binary mode."
        raise InputError(path, what, hint, code="invalid-model")


def _describe_kept(output: Path) -> str:
    """Return what an interrupted conversion keeps: only finished epochs of quantization-aware training."""
    from trainer.fitting.checkpoint import CHECKPOINT_FILE

    # Quantization-aware training writes its checkpoints next to the export, under a hidden name.
    for folder in output.absolute().parent.glob(".*.training"):
        if folder.name.startswith(f".{output.name}.") and any(folder.rglob(CHECKPOINT_FILE)):
            return f"the finished epochs of quantization-aware training are kept in {folder.name}"
    return ""


def _print_conversion(conversion: Conversion, printer: Printer) -> None:
    """Print a row for each file that was tried, the worst layers if they were compared, and notes."""
    tried = [(candidate, candidate is file.best) for file in conversion.files for candidate in file.tried]
    first = tried[0][0].comparison
    figures = f"balanced accuracy {first.balanced_accuracy.first:.3f}, AUROC {first.auroc.first:.3f}"
    title = f"The float network has {figures} (validation split, n = {len(first.predictions)})"
    rows = [_row(candidate, conversion.limit, is_kept=is_kept) for candidate, is_kept in tried]
    printer.table(title, HEADER, rows, words=WORDS)
    for file in conversion.files:
        errors, float_layers = file.best.candidate.errors, file.best.candidate.float_layers
        # A terminal has room for the worst layers; layers.csv has all.
        worst = sorted(errors, key=lambda layer: -layer.error)[:WORST]
        rows = []
        for layer in worst:
            computed_in = "float" if layer.layer in float_layers else "int8"
            rows.append((layer.name, layer.operator, f"{layer.error:.3f}", computed_in))
        if rows:
            title = f"Measured ranges: the worst {len(worst)} of {len(errors)} layers in int8"
            printer.table(title, LAYER_HEADER, rows, words=WORDS)
    printer.note(*dict.fromkeys(_notes(conversion)))  # several files may have the same note


def _row(tried: TriedCandidate, limit: AccuracyLimit, *, is_kept: bool) -> tuple[str, ...]:
    candidate, comparison = tried.candidate, tried.comparison
    accuracy = comparison.balanced_accuracy
    ci95 = accuracy.ci95
    interval = f" ({_points(ci95[1])} to {_points(ci95[0])})" if ci95 else ""
    why = ", ".join(limit.exceeded_figures(comparison))
    # Only int8 has a limit.
    is_beyond = bool(why) and candidate.recipe.value == "int8"
    kept = f"over limit: {why}" if is_beyond else "kept"
    return (
        _file_name(tried),
        f"{accuracy.second:.3f}",
        f"{_points(accuracy.difference)}{interval}",
        f"{comparison.auroc.second:.4f}",
        f"{comparison.agreement:.1%}",
        f"{len(candidate.data) / MEGABYTE:.2f}",
        f"{candidate.seconds:.1f}",
        kept if is_kept else f"rejected: {why}" if why else "rejected",
    )


def _file_name(tried: TriedCandidate) -> str:
    """Return int8 ptq or int8 selective-2; or only float32, for which there is one method."""
    candidate = tried.candidate
    return f"{candidate.recipe.value} {candidate.name}" if candidate.method else str(candidate.name)


def _points(difference: float) -> str:
    """Return the loss in points: -0.012 → 1.2; never -0.0."""
    return f"{round(-100 * difference, 1) + 0.0:.1f}"


def _notes(conversion: Conversion) -> Iterator[str]:
    """Yield notes on the files, the runtimes on which they work or not, and the limit."""
    from dermpack.verification.runtime_trials import describe_runtime, list_working

    for file in conversion.files:
        for tried in file.tried:
            yield from tried.candidate.notes
            if tried.comparison.refusal:
                yield f"{_file_name(tried)} is not supported by XNNPACK: {tried.comparison.refusal}"
        runs, name = file.contract.runtimes.tried, file.recipe.value
        yield f"{name} works on {', '.join(list_working(runs)) or 'no interpreter'}"
        for run in runs:
            if not run.works:
                yield f"{name} does not work on {describe_runtime(run)}: {run.result}"
    yield conversion.limit.sentence()


def _record(conversion: Conversion, output: Path) -> dict[str, Any]:
    """Return what `--json` prints."""
    best = {file.recipe.value: file.best.candidate for file in conversion.files}
    return {
        "export": str(output),
        "rejected": conversion.rejected and str(conversion.rejected),
        "is_within": conversion.is_within,
        "seconds": {name: candidate.seconds for name, candidate in best.items()},
        "layers": {name: [encode(layer) for layer in one.errors] for name, one in best.items() if one.errors},
        "models": {file.recipe.value: encode(file.contract) for file in conversion.files},
    }


def _accuracy_error(
    conversion: Conversion, output: Path, request: ConversionRequest, *, is_guessing: bool
) -> DermpackError:
    """Return the error for a conversion in which no int8 file is within the limit."""
    from dermpack.errors import OutputError

    # Only int8 has a limit, so the error is about that file.
    best = next(file.best.comparison for file in conversion.files if file.recipe.value == "int8")
    why = " and ".join(conversion.limit.exceeded_figures(best))
    points, auroc = _points(best.balanced_accuracy.difference), round(-best.auroc.difference, 3) + 0.0
    lost = f"{points} points, {auroc:.3f} of AUROC, {best.agreement:.1%} same labels"
    what = f"the best int8 file was written, but loses too much accuracy by {why} ({lost})"
    hint = _accuracy_hint(request.method.value, is_guessing=is_guessing)
    return OutputError(output, what, hint, code="accuracy-loss")


def _accuracy_hint(method: str, *, is_guessing: bool) -> str:
    way = "Train longer or on more pictures" if method == "auto" else "Try --method auto"
    if is_guessing:  # neither more training nor another method helps a model that is fed wrongly
        way = "Check the order of --labels and the numbers that the model takes for the pixels"
    return f"{way}, or allow more with --max-drop; add --overwrite, because this export was kept."
