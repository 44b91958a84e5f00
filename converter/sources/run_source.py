"""What every file of a run is made of: its network, frozen, and the dataset it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converter.sources.frozen_function import FrozenFunction, freeze
from dermpack.dataset.manifest import Dataset, Split, read_dataset
from dermpack.dataset.presence import check_presence
from dermpack.errors import DatasetError, TableError
from dermpack.metrics.predictions import Predictions
from dermpack.progress import Track, silent
from dermpack.storage.files import is_there, sha256_file, tidy
from trainer.api import RUN_FILE, Examples, Run, load_softmax, predict, read_examples

READ = (Split.TRAIN, Split.VALIDATION)  # calibrates, compares
DATASET_HINT = "Give the dataset of the run with --data."
Keras = Any  # tf_keras ships no types


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunSource:
    """A run, opened; `plain` is what its network says of the validation split, before any temperature."""

    run: Run
    run_sha256: str
    dataset: Dataset
    model: Keras
    frozen: FrozenFunction
    validation: Examples
    plain: Predictions


def open_source(run: Run, dataset: Dataset, *, threads: int, track: Track = silent) -> RunSource:
    """Load the network, freeze it, and let it speak first."""
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
        plain=predict(model, validation),
    )


def find_dataset(run: Run, given: Path | None) -> Dataset:
    """The dataset that the run names, where it was or where it is said to be now."""
    folder = given or tidy(run.folder / run.dataset["path"])
    if given is None and not is_there(folder):
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
    check_presence(dataset, READ)
    return dataset
