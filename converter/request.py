"""Define what a conversion starts from: the options, and the run with its network and its dataset."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from converter.export_graph import ExportGraph, build_export_graph
from converter.quantize.clipping import Clipping
from converter.quantize.tflite_conversion import FrozenFunction, IoType, Quantization, freeze_graph
from dermpack.dataset.manifest import Dataset, Split, read_dataset, require_pictures
from dermpack.errors import DatasetError, InputError, TableError
from dermpack.metrics.predictions import Predictions
from dermpack.progress import Track, silent
from dermpack.storage.files import normalize_path, path_exists, sha256_file
from trainer.api import RUN_FILE, Examples, Run, load_softmax, predict, read_examples

NEEDED_SPLITS = (Split.TRAIN, Split.VALIDATION)  # for calibration and for the comparison to float
DATASET_HINT = "Give the dataset of the run with --data."


class Method(Enum):
    """The way to an int8 file."""

    AUTO = "auto"  # the first of the others whose loss is within the limit
    PTQ = "ptq"
    QAT = "qat"
    SELECTIVE = "selective"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionRequest:
    """The quantizations to make, and the options for making them."""

    recipes: tuple[Quantization, ...] = (Quantization.INT8,)
    method: Method = Method.AUTO  # of int8
    io: IoType | None = None  # None: the default of each recipe
    pictures: int = 200  # to measure ranges on; 100 to 500 is usual
    clipping: Clipping = Clipping.MINMAX  # of the measured ranges
    max_drop: float = 1.0  # points of balanced accuracy
    evidence: bool = False  # return the evidence map as a second output
    familiarity: bool = False  # return the distance to the training pictures, and add quality gates
    layer_errors: bool = False  # report them even if no layer stays in floating point
    seed: int = 0
    threads: int = 2

    def __post_init__(self) -> None:
        for recipe in self.recipes:
            if self.io is not None and self.io not in recipe.io_types:
                option, what = f"--io {self.io.value}", f"not supported by {recipe.value}"
                hint = f"Choose one of: {', '.join(io.value for io in recipe.io_types)}."
                raise InputError(option, what, hint, code="option-not-applicable")
        has_int8 = Quantization.INT8 in self.recipes
        measured = [recipe for recipe in self.recipes if recipe.needs_ranges]
        clipping = f"--calibration-method {self.clipping.value}"
        for is_given, option, is_applicable, quantizations in (
            (self.method is not Method.AUTO, f"--method {self.method.value}", has_int8, "int8"),
            (self.layer_errors, "--layer-errors", has_int8, "int8"),
            (self.clipping is not Clipping.MINMAX, clipping, bool(measured), "int8 and int16x8"),
        ):
            if is_given and not is_applicable:
                what, hint = f"applies to {quantizations} only", "Add --int8, or omit the option."
                raise InputError(option, what, hint, code="option-not-applicable")
        is_trained = measured == [Quantization.INT8] and self.method is Method.QAT
        if is_trained and self.clipping is not Clipping.MINMAX:
            what = "applies to measured ranges only, but --method qat trains the ranges"
            raise InputError(clipping, what, "Use --method ptq.", code="conflicting-options")

    def io_of(self, recipe: Quantization) -> IoType:
        """Return the type of input and output in a file of the recipe."""
        return self.io or recipe.io_types[0]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunSource:
    """A run and everything that a conversion needs from it."""

    run: Run
    run_sha256: str
    dataset: Dataset
    graph: ExportGraph  # the network with all inputs and outputs of the file
    frozen: FrozenFunction
    validation: Examples
    float_predictions: Predictions  # on the validation split, before any temperature


def open_source(
    run: Run, dataset: Dataset, *, threads: int, evidence: bool = False, track: Track = silent
) -> RunSource:
    """Load and freeze the run's network, and predict the validation split with it."""
    graph = build_export_graph(load_softmax(run), evidence=evidence, where=run.folder)
    validation = read_examples(
        dataset, Split.VALIDATION, size=run.spec.size, policy=run.policy, threads=threads, track=track
    )
    return RunSource(
        run=run,
        run_sha256=sha256_file(run.folder / RUN_FILE),
        dataset=dataset,
        graph=graph,
        frozen=freeze_graph(graph),
        validation=validation,
        float_predictions=predict(graph.model, validation),
    )


def find_dataset(run: Run, given: Path | None) -> Dataset:
    """Return the dataset of the run, from the given folder or from the one that the run names.

    Raise DatasetError if it is missing, is a different dataset, or lacks pictures that conversion reads.
    """
    folder = given or normalize_path(run.folder / run.dataset["path"])
    if given is None and not path_exists(folder):
        what = "not found, and conversion needs the dataset that the run was trained on"
        raise DatasetError(folder, what, DATASET_HINT, code="dataset-not-found")
    try:
        dataset = read_dataset(folder)
    except (TableError, DatasetError) as error:
        if given is None:
            what = f"no longer a valid dataset ({error.what})"
            raise DatasetError(folder, what, DATASET_HINT, code="dataset-not-found") from error
        raise
    if dataset.sha256 != run.dataset["manifest_sha256"]:
        what = "not the dataset that the run was trained on"
        raise DatasetError(folder, what, DATASET_HINT, code="run-mismatch")
    require_pictures(dataset, NEEDED_SPLITS)
    return dataset
