"""The part of dermpack convert that converts a Keras file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dermpack.cli.console import Printer, python_stderr_only
from dermpack.cli.convert.tflite_file import find_declared_input
from dermpack.errors import InputError

if TYPE_CHECKING:
    from converter.export.conversion import Conversion
    from converter.qat.qat_training import TrainingObservers
    from converter.request import ConversionRequest
    from dermpack.dataset.manifest import Dataset
    from dermpack.inference.foreign_model import DeclaredInput

KERAS_ENDINGS = (".keras", ".h5", ".hdf5")
OWN_NORMALIZATION = (
    "the file normalizes its pixels itself: it takes 0 to 255, so only --color and --resize are searched. "
    "--find-input is not needed if it was trained on RGB pictures whose middle was cropped"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KerasRequest:
    """A Keras file, the dataset to measure it on, and what the user says about it."""

    path: Path
    dataset: Dataset
    labels: tuple[str, ...]
    declared: DeclaredInput
    size: int | None
    compare: bool
    find: bool


def is_keras(path: Path) -> bool:
    """Return whether the path is a Keras file, by its first bytes or by its name."""
    from dermpack.inference.model_formats import KERAS, recognize_format

    if path.is_dir():
        return False
    return path.suffix.lower() in KERAS_ENDINGS or recognize_format(path) is KERAS


def read_keras_request(
    path: Path,
    data: Path | None,
    labels: str | None,
    declared: DeclaredInput,
    *,
    size: int | None,
    compare: bool,
    find: bool,
) -> KerasRequest:
    """Return the request after the checks that need no TensorFlow."""
    from dermpack.dataset.manifest import Split, read_dataset, require_pictures
    from dermpack.inference.label_list import read_labels, require_known_labels
    from dermpack.inference.model_formats import HDF5, ZIP
    from dermpack.storage.regular_files import read_beginning

    if not path.exists():
        raise InputError(path, "file not found", "Check the path.", code="file-not-found")
    beginning = read_beginning(path, len(HDF5))
    if beginning and not beginning.startswith((HDF5, ZIP)):
        what = "not a Keras file: its first bytes are neither those of HDF5 nor of a zip"
        hint = "Give a file that was saved with model.save('….keras') and copied in binary mode."
        raise InputError(path, what, hint, code="invalid-model-file")
    if data is None:
        hint = "Give a dataset, on which ranges are measured and the files are compared."
        raise InputError(path, "conversion needs --data", hint, code="missing-option")
    if labels is None:
        what, hint = "the labels of the outputs are unknown", "Give --labels FILE or --labels A,B,C."
        raise InputError(path, what, hint, code="missing-labels")
    for option, value in (("--layout", declared.layout), ("--head", declared.head)):
        if value is not None:
            what, hint = "not applicable to a Keras file, which contains it", "Omit it."
            raise InputError(option, what, hint, code="option-not-applicable")
    dataset = read_dataset(data)
    for split in (Split.TRAIN, Split.VALIDATION):
        if not dataset.manifest.of(split):
            what = f"the dataset has no pictures in the {split.value} split"
            hint = "Import it with a training and a validation split (--split)."
            raise InputError(data, what, hint, code="empty-split")
    require_pictures(dataset, (Split.TRAIN, Split.VALIDATION))
    names = read_labels(labels)
    # With too few labels, the number of outputs, which the network shows, is the clearer error.
    if len(names) >= len(dataset.classes):
        require_known_labels(dataset, names, where=path)
    return KerasRequest(
        path=path,
        dataset=dataset,
        labels=names,
        declared=declared,
        size=size,
        compare=compare,
        find=find,
    )


def refuse_keras_options(size: int | None, *, compare: bool) -> None:
    """Raise InputError for options that apply to Keras files only."""
    for option, is_given in (("--size", size is not None), ("--compare-original", compare)):
        if is_given:
            what, hint = "applies to a Keras file only", "Omit the option."
            raise InputError(option, what, hint, code="option-not-applicable")


def convert_keras(
    keras: KerasRequest,
    output: Path,
    request: ConversionRequest,
    *,
    overwrite: bool,
    observers: TrainingObservers,
    printer: Printer,
) -> Conversion:
    """Rebuild the network of the file, find how it is fed if requested, and write the export."""
    from converter.export.conversion import convert_source
    from converter.sources.keras.keras_source import describe_float_file, load_keras, open_keras
    from dermpack.imaging.preprocessing import Policy
    from dermpack.inference.foreign_model import DeclaredInput, InputRange

    declared, evidence = keras.declared, None
    with python_stderr_only():
        if keras.find:
            # The network as it is in the file: its input takes the numbers that are to be found.
            plain = DeclaredInput(range=InputRange.BYTES)
            network = load_keras(keras.path, labels=keras.labels, declared=plain, size=keras.size)
            if network.normalization.is_for_bytes:
                printer.note(OWN_NORMALIZATION)
            model = describe_float_file(network, keras.labels, declared)
            model, evidence = find_declared_input(model, keras.dataset, request, printer)
            declared = model.declared
        network = load_keras(keras.path, labels=keras.labels, declared=declared, size=keras.size)
        printer.note(*network.notes)
        source = open_keras(
            network,
            keras.dataset,
            labels=keras.labels,
            policy=declared.policy or Policy.CENTRE_SQUARE,
            compare=keras.compare,
            evidence=request.evidence,
            input_evidence=evidence,
            threads=request.threads,
            track=printer.track,
        )
        printer.note(*source.notes[len(network.notes) :])
        return convert_source(source, output, request, overwrite=overwrite, observers=observers)
