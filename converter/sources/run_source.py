"""Open a run for conversion: its network, frozen, and the dataset that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from converter._private import Keras
from converter.quantize.tflite_conversion import FrozenFunction, freeze
from dermpack.dataset.manifest import Dataset, Split, read_dataset, require_pictures
from dermpack.errors import DatasetError, TableError
from dermpack.metrics.predictions import Predictions
from dermpack.progress import Track, silent
from dermpack.storage.files import normalize_path, path_exists, sha256_file
from trainer.api import RUN_FILE, Examples, Run, load_softmax, predict, read_examples

NEEDED_SPLITS = (Split.TRAIN, Split.VALIDATION)  # for calibration and for the comparison to float
DATASET_HINT = "Give the dataset of the run with --data."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunSource:
    """A run and everything that a conversion needs from it."""

    run: Run
    run_sha256: str
    dataset: Dataset
    model: Keras
    frozen: FrozenFunction
    validation: Examples
    float_predictions: Predictions  # on the validation split, before any temperature


def open_source(run: Run, dataset: Dataset, *, threads: int, track: Track = silent) -> RunSource:
    """Load and freeze the run's network, and predict the validation split with it."""
    model = load_softmax(run)
    validation = read_examples(
        dataset, Split.VALIDATION, size=run.spec.size, policy=run.policy, threads=threads, track=track
    )
    return RunSource(
        run=run,
        run_sha256=sha256_file(run.folder / RUN_FILE),
        dataset=dataset,
        model=model,
        frozen=freeze(model),
        validation=validation,
        float_predictions=predict(model, validation),
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
