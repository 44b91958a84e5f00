"""The part of dermpack convert that converts a .tflite of unknown origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermpack.cli.console import Printer, python_stderr_only
from dermpack.storage.codec import encode

if TYPE_CHECKING:
    from converter.export.conversion import Conversion
    from converter.export.kept_file import KeptFile
    from converter.qat.qat_training import TrainingObservers
    from converter.request import ConversionRequest
    from converter.sources.find_input import TriedInput
    from dermpack.contract import InputEvidence
    from dermpack.dataset.manifest import Dataset
    from dermpack.inference.foreign_model import DeclaredInput, ForeignModel
    from dermpack.metrics.predictions import Predictions

TFLITE = b"TFL3"  # bytes 4 to 8 of every .tflite
HEADER = ("input", "accuracy (95%)", "n", "result")


def is_tflite(path: Path) -> bool:
    """Return whether the path is a .tflite file, by its first bytes or, if it cannot be read, by its name."""
    from dermpack.storage.regular_files import open_regular

    try:
        with open_regular(path) as file:
            return file.read(8)[4:] == TFLITE
    except OSError:
        return path.suffix.lower() == ".tflite" and not path.is_dir()


def read_foreign_model(path: Path, labels: str | None, declared: DeclaredInput) -> ForeignModel:
    """Return the description of a .tflite, or raise InputError; this needs no TensorFlow."""
    from dermpack.inference.foreign_model import describe_model
    from dermpack.inference.label_list import read_labels
    from dermpack.inference.model_files import read_model

    given = read_labels(labels) if labels is not None else None
    return describe_model(path, read_model(path), labels=given, declared=declared)


def find_declared_input(
    model: ForeignModel, dataset: Dataset, request: ConversionRequest, printer: Printer
) -> tuple[ForeignModel, InputEvidence]:
    """Find how the model is fed, print what was tried, and return the model with the choice."""
    from converter.sources.find_input import InputChoiceError, find_input

    try:
        found = find_input(model, dataset, seed=request.seed, threads=request.threads, track=printer.track)
    except InputChoiceError as error:
        _print_tried(error.tried, "", printer)
        raise
    evidence = found.evidence()
    _print_tried(found.tried, evidence.chosen, printer)
    printer.note(*found.notes)
    return replace(model, declared=found.declared), evidence


def _print_tried(tried: Sequence[TriedInput], chosen: str, printer: Printer) -> None:
    rows = []
    for one in tried:
        low, high = one.ci95
        share = f"{one.accuracy:.1%} ({low:.1%} to {high:.1%})"
        rows.append((one.name, share, len(one.predictions), "used" if one.name == chosen else ""))
    printer.table(
        "Inputs that were tried on labelled training pictures", HEADER, rows, words=("input", "result")
    )


def convert_tflite(
    model: ForeignModel,
    dataset: Dataset,
    output: Path,
    request: ConversionRequest,
    *,
    find: bool,
    overwrite: bool,
    observers: TrainingObservers,
    printer: Printer,
) -> Conversion | KeptFile:
    """Write the export: quantize a float file, or keep a quantized one as it is."""
    from converter.export.conversion import convert_source
    from converter.export.kept_file import export_kept_file
    from converter.quantize.tflite_conversion import Quantization
    from converter.request import Method
    from converter.search.file_candidates import check_request
    from converter.sources.tflite_source import open_tflite
    from dermpack.errors import InputError

    changes = (request.recipes != (Quantization.INT8,), request.method is not Method.AUTO, request.io)
    if model.file.is_quantized and any(changes):
        what = "quantized already, so that it can only be kept as it is"
        hint = "Omit the options of a quantization."
        raise InputError(model.path, what, hint, code="option-not-applicable")
    evidence = None
    if find:
        model, evidence = find_declared_input(model, dataset, request, printer)
    model.interface()  # raises InputError if the input is not known, before the long work
    if model.file.is_quantized:
        return export_kept_file(
            model,
            dataset,
            output,
            input_evidence=evidence,
            threads=request.threads,
            overwrite=overwrite,
            track=printer.track,
        )
    with python_stderr_only():
        source = open_tflite(
            model, dataset, input_evidence=evidence, threads=request.threads, track=printer.track
        )
        check_request(source, request)
        return convert_source(source, output, request, overwrite=overwrite, observers=observers)


def print_guessing(predictions: Predictions, printer: Printer) -> bool:
    """Warn if the answers of a model of another program are as good as guesses; return whether they are."""
    from dermpack.metrics.guessing import describe_guessing

    if figures := describe_guessing(predictions):
        what = f"warning: no better than guessing on these pictures: {figures}"
        printer.styled(f"{what}. Check the order of the labels and --input-range", "yellow")
    return bool(figures)


def print_kept(kept: KeptFile, output: Path, printer: Printer) -> None:
    """Print the contract of a file that was kept as it is."""
    from dermpack.verification.runtime_trials import describe_runtime

    contract = kept.contract
    printer.note("the file is quantized already: its bytes stay as they are")
    for accuracy in contract.accuracy:
        figures = {figure.metric: figure.of_file for figure in accuracy.figures}
        measured = f"balanced accuracy {figures['balanced_accuracy']:.3f}, AUROC {figures['auroc']:.3f}"
        printer.note(f"it has {measured} ({accuracy.split} split, n = {accuracy.n:,})")
    for run in contract.runtimes.tried:
        works = "works" if run.works else "does not work"
        printer.note(f"it {works} on {describe_runtime(run)}: {run.result}")
    record: dict[str, Any] = {
        "export": str(output),
        "is_guessing": print_guessing(kept.predictions, printer),
        "models": {contract.recipe.name: encode(contract)},
    }
    printer.result(record, str(output))
