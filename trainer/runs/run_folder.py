"""Read and write run folders: finished ones, and the hidden folder of a training that is not finished."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dermpack.contract import Abstention, MetadataColumn, OperatingPoint, Temperature
from dermpack.errors import InputError, OutputError
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.metadata_rows import MetadataVariant, blank_row
from dermpack.metrics.calibration import apply_temperature
from dermpack.metrics.predictions import Floats
from dermpack.progress import Track, silent
from dermpack.storage.codec import check, decode, encode
from dermpack.storage.files import format_json, path_exists, read_json, sha256_file, write_error, write_text
from dermpack.storage.shared_folders import exclusive_lock
from trainer.fitting.checkpoint import CHECKPOINT_FILE, read_history
from trainer.fitting.events import Epoch
from trainer.recipe.network_spec import NetworkSpec, Weights
from trainer.recipe.recipe import Recipe, parse_recipe
from trainer.runs import RUN_FILE, WEIGHTS_FILE

SCHEMA = 1
TRAIN_AGAIN = "Train the run again."
RUN_HINT = 'Give a folder that "dermpack train" wrote.'
RESTART_HINT = "Use the same dataset and options to resume, or add --overwrite to start again."
IDENTITY_FILE, LOCK_FILE = "asked.json", "lock"  # in the folder of an unfinished training
DATASET_KEY = "manifest_sha256"
POLL_S = 0.2  # between two attempts to lock the folder of another process
PREDICT_BATCH = 32
# What quantization-aware training takes over from the recipe of the run.
LATER_FIT_OPTIONS = (
    *("batch", "rate", "augment", "balance", "balance_power"),
    *("label_smoothing", "metric", "metadata_drop"),
)
Keras = Any  # tf_keras ships no types


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One fit of a training."""

    name: str
    plan: Mapping[str, Any]
    history: tuple[Epoch, ...]
    best_epoch: int
    stop: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The record of a run, training.json; `folder` is where it was read from."""

    folder: Path = Path()
    spec: NetworkSpec  # "network" in the file
    policy: Policy
    classes: tuple[str, ...]
    recipe: Mapping[str, Any]
    dataset: Mapping[str, str]  # manifest_sha256, and path relative to the run
    licence: str  # of the pictures; it applies to a model that was trained on them
    counts: Mapping[str, int]  # training pictures of each class
    class_weights: Mapping[str, float]
    phases: tuple[Phase, ...]
    validation: Mapping[str, Any]  # the figures, with their n
    temperature: Temperature
    thresholds: tuple[OperatingPoint, ...]
    abstention: Abstention
    versions: Mapping[str, str]
    weights_sha256: str
    remarks: tuple[str, ...] = ()  # limits of the figures, shown before them

    def __post_init__(self) -> None:
        labels = len(set(self.classes))
        check(
            labels == len(self.classes) == self.spec.classes, "classes", self.classes, "one label per output"
        )

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS_FILE


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialRun:
    """The progress of an interrupted training."""

    phase: str
    epochs: int  # finished in this phase
    planned: int


def write_run(run: Run) -> None:
    """Write training.json next to the weights."""
    record = encode(run)
    del record["folder"]
    record["network"] = record.pop("spec")
    if run.spec.metadata is None:
        del record["network"]["metadata"]  # so that the file is the same as that of version 0.1
    write_text(run.folder / RUN_FILE, format_json({**record, "schema": SCHEMA}))


def read_run(folder: Path) -> Run:
    """Return the run of a folder, whose content is validated; TensorFlow is not needed."""
    path = folder / RUN_FILE
    if not path_exists(folder):
        raise InputError(folder, "does not exist", RUN_HINT, code="run-not-found")
    if not path.is_file():
        refuse_unfinished(folder)
        raise InputError(folder, f"not a run (no {RUN_FILE})", RUN_HINT, code="run-not-found")
    record = read_json(path)
    if (schema := record.pop("schema", None)) != SCHEMA:
        what = f"schema {schema!r} is not supported (expected {SCHEMA})"
        raise InputError(path, what, TRAIN_AGAIN, code="unsupported-schema")
    record["spec"] = record.pop("network", None)
    try:
        run = replace(decode(Run, record), folder=folder)
    except (KeyError, ValueError) as error:
        raise InputError(path, f"invalid format ({error})", TRAIN_AGAIN, code="invalid-format") from error
    # The hash proves that the figures of the record belong to these weights.
    if not run.weights.is_file() or sha256_file(run.weights) != run.weights_sha256:
        what = f"missing, or not the file that {RUN_FILE} describes"
        raise InputError(run.weights, what, TRAIN_AGAIN, code="weights-mismatch")
    return run


def fitting_recipe(run: Run) -> Recipe:
    """Return the options that quantization-aware training follows; the others have their defaults."""
    known = {name: run.recipe[name] for name in LATER_FIT_OPTIONS if name in run.recipe}
    return parse_recipe(known, where=run.folder / RUN_FILE)


def load_model(run: Run) -> Keras:
    """Build the network of the run, and load the trained weights."""
    from trainer.model.network import build_network
    from trainer.model.weights import load_weights

    model = build_network(run.spec, weights=Weights.NONE, seed=0)
    load_weights(model, run.weights)
    return model


def load_softmax(run: Run) -> Keras:
    """Return the trained network with an output per class, which every exported file has."""
    from trainer.model.network import convert_to_softmax

    return convert_to_softmax(load_model(run))


def load_predictor(folder: Path) -> RunPredictor:
    """Return a predictor for the run of a folder."""
    run = read_run(folder)
    return RunPredictor(run=run, model=load_model(run))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPredictor:
    """A trained network that takes picture files and returns calibrated probabilities."""

    run: Run
    model: Keras

    @property
    def classes(self) -> tuple[str, ...]:
        return self.run.classes

    @property
    def columns(self) -> tuple[MetadataColumn, ...]:
        return self.run.spec.columns

    @property
    def has_picture(self) -> bool:
        return self.run.spec.has_picture

    @property
    def input_format(self) -> tuple[int, Policy]:
        return self.run.spec.size, self.run.policy

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        """Return float64 [n, k] under the run's temperature; no metadata is known."""
        blank = np.tile(blank_row(self.columns), (len(files), 1))
        (probabilities,) = self.predict_variants(files, [MetadataVariant(rows=blank)], track=track)
        return np.asarray(probabilities)

    def predict_variants(
        self, files: Sequence[Path], variants: Sequence[MetadataVariant], *, track: Track = silent
    ) -> Floats:
        """Return float64 [variants, n, k]: every picture with each variant of its metadata."""
        import tensorflow as tf

        from trainer.data.augment import to_inputs
        from trainer.model.freezing import POOL, split_model

        starts = range(0, len(files), PREDICT_BATCH)
        batches = track(starts, total=len(starts), what="Classifying")
        spec, raw = self.run.spec, []
        # Every variant of a picture shares what the network computes below its metadata.
        trunk, rest = None, self.model
        if self.columns and spec.has_picture:
            trunk, rest = split_model(self.model, POOL)
        with PictureDecoder() as decoder:
            prepared = decoder.prepare_all(
                files if spec.has_picture else (), spec.size, policy=self.run.policy
            )
            for start in batches:
                n = len(files[start : start + PREDICT_BATCH])
                seen = hidden = None
                if spec.has_picture:
                    pixels = to_inputs(tf.constant(np.stack(list(islice(prepared, n)))))
                    seen = trunk(pixels, training=False) if trunk else pixels
                    if any(variant.hides_picture for variant in variants):
                        grey = tf.zeros_like(pixels)
                        hidden = trunk(grey, training=False) if trunk else grey
                values = []
                for variant in variants:
                    rows = tf.constant(variant.rows[start : start + n])
                    inputs = [hidden if variant.hides_picture else seen, rows]
                    given = [tensor for tensor in inputs if tensor is not None and tensor.shape[-1]]
                    outputs = rest(given if len(given) > 1 else given[0], training=False)
                    values.append(np.asarray(outputs, np.float64))
                raw.append(np.stack(values))
        probabilities = (
            np.concatenate(raw, axis=1) if raw else np.zeros((len(variants), 0, len(self.classes)))
        )
        # A single output is the probability of the second class.
        if probabilities.shape[2] == 1:
            probabilities = np.concatenate([1 - probabilities, probabilities], axis=2)
        return np.stack([apply_temperature(each, self.run.temperature) for each in probabilities])


@contextmanager
def open_partial_run(run: Path, identity: Mapping[str, Any], *, overwrite: bool) -> Iterator[Path]:
    """Lock and yield the folder of an unfinished training: new, or as an interrupted one left it.

    The folder stays after an error if an epoch was finished, and is removed otherwise. The caller removes it
    once the run is written.
    """
    folder = partial_folder(run)
    try:
        with exclusive_lock(folder / LOCK_FILE, where=run, what="being trained"):
            _claim_partial_run(folder, run, identity, overwrite=overwrite)
            try:
                yield folder
            finally:
                if not any(folder.rglob(CHECKPOINT_FILE)):
                    shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        # The block of the caller raises errors about other files too: those pass unchanged.
        file = None if error.filename is None else Path(os.fsdecode(error.filename))
        if file is None or not file.is_relative_to(folder.parent):
            raise
        raise write_error(run, error) from error


def partial_folder(run: Path) -> Path:
    """Return the folder of a run that is not finished: run → .run.partial."""
    return run.absolute().with_name(f".{run.absolute().name}.partial")


def read_progress(folder: Path) -> tuple[str, int] | None:
    """Return the phase that was trained last and its finished epochs, or None where there are none."""
    # Each phase has its own checkpoint; the one written last shows where the training was interrupted.
    checkpoints = sorted(folder.glob(f"*/{CHECKPOINT_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    history = read_history(checkpoints[-1]) if checkpoints else ()
    return (checkpoints[-1].parent.name, len(history)) if history else None


def describe_progress(run: Path) -> str:
    """Describe the state that an interrupted training resumes from; "" if there is none."""
    folder = partial_folder(run)
    if progress := read_progress(folder):
        phase, epochs = progress
        return f"all up to epoch {epochs} ({phase}) is kept in {folder.name}"
    return ""


def read_epochs(run: Path) -> Iterator[tuple[str, Epoch]]:
    """Yield the phase and the figures of each finished epoch of a run, complete or not, in their order."""
    if (run / RUN_FILE).is_file():
        yield from ((phase.name, epoch) for phase in read_run(run).phases for epoch in phase.history)
        return
    paths = sorted(partial_folder(run).glob(f"*/{CHECKPOINT_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    yield from ((path.parent.name, epoch) for path in paths for epoch in read_history(path))


def wait_for_other_training(run: Path, *, most_s: float) -> None:
    """Wait until no process trains the run: that of a command that was killed ends some seconds later."""
    deadline = time.monotonic() + most_s
    path = partial_folder(run) / LOCK_FILE
    while path.is_file() and time.monotonic() < deadline:
        with suppress(OutputError), exclusive_lock(path, where=run):
            return
        time.sleep(POLL_S)


def refuse_unfinished(run: Path) -> None:
    """Raise InputError if the run does not exist because its training is not finished."""
    if not run.exists() and (partial_folder(run) / IDENTITY_FILE).is_file():
        hint = 'Rerun the same "dermpack train" command to resume.'
        raise InputError(run, "training is not finished", hint, code="run-not-finished")


def _claim_partial_run(folder: Path, run: Path, identity: Mapping[str, Any], *, overwrite: bool) -> None:
    """Keep the progress of the same training; refuse to remove that of another one without `overwrite`."""
    path = folder / IDENTITY_FILE
    if path.is_file() and path.read_text(encoding="utf-8") == format_json(identity):
        return
    # Without an identity, the folder is one whose removal was interrupted.
    if not overwrite and path.is_file() and any(folder.rglob(CHECKPOINT_FILE)):
        previous = read_json(path)
        change = "another dataset"
        if previous.get(DATASET_KEY) == identity.get(DATASET_KEY):
            # The first option that differs, with its old and its new value.
            old, new = ({**record, **record.get("recipe", {})} for record in (previous, identity))
            names = sorted((set(old) | set(new)) - {"recipe"})
            name = next(name for name in names if old.get(name) != new.get(name))
            change = f"different options ({name}: {old.get(name)}, now {new.get(name)})"
        what = f"contains an interrupted training with {change}"
        raise OutputError(run, what, RESTART_HINT, code="output-mismatch")
    # Only phase folders are removed: the lock file is in use.
    for child in folder.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
    write_text(path, format_json(identity))
