"""A run folder, written and read back: the trained network, its record, its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dermpack.errors import InputError
from dermpack.imaging import Policy, prepare
from dermpack.metrics.abstention import Abstention, abstention_from
from dermpack.metrics.calibration import Temperature, apply_temperature, temperature_from
from dermpack.metrics.predictions import Floats
from dermpack.metrics.thresholds import OperatingPoint, operating_point_from
from dermpack.progress import Track, silent
from dermpack.storage.files import is_there, json_text, read_json, sha256_file, write_text
from trainer.fitting.events import Epoch, epoch_from
from trainer.recipe.network_spec import NetworkSpec, Weights
from trainer.recipe.recipe import RUN_FILE, WEIGHTS_FILE, Recipe, recipe_from
from trainer.runs.partial_run import refuse_unfinished

SCHEMA = 1
AGAIN = "Train the run again."
GIVE_RUN = 'Give a folder that "dermpack train" wrote.'
BATCH = 32
FOR_A_LATER_FIT = ("batch", "rate", "augment", "balance", "balance_power", "label_smoothing", "metric")
Keras = Any  # tf_keras ships no types


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One fit of a training."""

    name: str
    plan: Mapping[str, Any]
    history: tuple[Epoch, ...]
    best_epoch: int
    stop: str

    def record(self) -> dict[str, Any]:
        history = [epoch.record() for epoch in self.history]
        return {
            "name": self.name,
            "plan": dict(self.plan),
            "history": history,
            "best_epoch": self.best_epoch,
            "stop": self.stop,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """training.json; `folder` is where it was read from."""

    folder: Path
    spec: NetworkSpec
    policy: Policy
    classes: tuple[str, ...]
    recipe: Mapping[str, Any]
    dataset: Mapping[str, str]  # manifest_sha256, and path relative to the run
    licence: str  # of the pictures: a model trained on them is bound by it
    counts: Mapping[str, int]  # training pictures of each class
    class_weights: Mapping[str, float]
    phases: tuple[Phase, ...]
    validation: Mapping[str, Any]  # the figures, with their n
    temperature: Temperature
    thresholds: tuple[OperatingPoint, ...]
    abstention: Abstention
    versions: Mapping[str, str]
    weights_sha256: str
    remarks: tuple[str, ...] = ()  # what a person must know before the figures

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS_FILE


def write_run(run: Run) -> None:
    """Write training.json beside the weights."""
    write_text(run.folder / RUN_FILE, json_text(_record(run)))


def read_run(folder: Path) -> Run:
    """Read a run folder, hostile until checked; no TensorFlow is needed for it."""
    path = folder / RUN_FILE
    if not is_there(folder):
        raise InputError(folder, "does not exist", GIVE_RUN, code="run-not-found")
    if not path.is_file():
        refuse_unfinished(folder)
        raise InputError(folder, f"not a run (no {RUN_FILE})", GIVE_RUN, code="run-not-found")
    record = read_json(path)
    if record.get("schema") != SCHEMA:
        what = f"schema {record.get('schema')!r} is not supported (expected {SCHEMA})"
        raise InputError(path, what, AGAIN, code="unsupported-schema")
    try:
        run = _run(folder, record)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(path, f"invalid format ({error})", AGAIN, code="invalid-format") from error
    if not run.weights.is_file() or sha256_file(run.weights) != run.weights_sha256:
        what = f"missing, or not the file that {RUN_FILE} describes"
        raise InputError(run.weights, what, AGAIN, code="weights-mismatch")
    return run


def load_model(run: Run) -> Keras:
    """Build the network that the record describes, and put the trained weights into it."""
    from trainer.model.network import build
    from trainer.model.weights import load_weights

    model = build(run.spec, weights=Weights.NONE, seed=0)
    load_weights(model, run.weights)
    return model


def fitting_of(run: Run) -> Recipe:
    """The run's recipe as far as a later fit follows it; the rest has its defaults."""
    known = {name: run.recipe[name] for name in FOR_A_LATER_FIT if name in run.recipe}
    return recipe_from(known, where=run.folder / RUN_FILE)


def load_softmax(run: Run) -> Keras:
    """The trained network with an output a class, which is what every exported file has."""
    from trainer.model.network import as_softmax

    return as_softmax(load_model(run))


def load_predictor(folder: Path) -> RunPredictor:
    """What `evaluate` asks: files in, calibrated probabilities out."""
    run = read_run(folder)
    return RunPredictor(run=run, model=load_model(run))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPredictor:
    """A trained network that takes picture files."""

    run: Run
    model: Keras

    @property
    def classes(self) -> tuple[str, ...]:
        return self.run.classes

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        """float64 [n, k], under the run's temperature."""
        starts = range(0, len(files), BATCH)
        batches = track(starts, total=len(starts), what="Classifying")
        raw = [self._batch(files[start : start + BATCH]) for start in batches]
        found = np.concatenate(raw) if raw else np.zeros((0, len(self.classes)))
        return apply_temperature(found, self.run.temperature)

    def _batch(self, files: Sequence[Path]) -> Floats:
        import tensorflow as tf

        from trainer.data.augment import to_inputs

        rows = [prepare(file, self.run.spec.size, policy=self.run.policy) for file in files]
        found = np.asarray(self.model(to_inputs(tf.constant(np.stack(rows))), training=False), np.float64)
        return np.concatenate([1 - found, found], axis=1) if found.shape[1] == 1 else found


def _record(run: Run) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "network": run.spec.to_dict(),
        "policy": run.policy.value,
        "classes": list(run.classes),
        "recipe": dict(run.recipe),
        "dataset": dict(run.dataset),
        "licence": run.licence,
        "counts": dict(run.counts),
        "class_weights": dict(run.class_weights),
        "phases": [phase.record() for phase in run.phases],
        "validation": dict(run.validation),
        "temperature": run.temperature.record(),
        "thresholds": [point.record() for point in run.thresholds],
        "abstention": run.abstention.record(),
        "versions": dict(run.versions),
        "weights_sha256": run.weights_sha256,
        "remarks": list(run.remarks),
    }


def _run(folder: Path, record: Mapping[str, Any]) -> Run:
    classes = tuple(_text(name) for name in record["classes"])
    spec = NetworkSpec.from_dict(record["network"])
    if spec.classes != len(classes) or len(set(classes)) != len(classes):
        raise ValueError(f"{len(classes)} labels for a network with {spec.classes} classes")
    return Run(
        folder=folder,
        spec=spec,
        policy=Policy(record["policy"]),
        classes=classes,
        recipe=dict(record["recipe"]),
        dataset={_text(key): _text(value) for key, value in record["dataset"].items()},
        licence=_text(record["licence"]),
        counts={_text(name): int(count) for name, count in record["counts"].items()},
        class_weights={_text(name): float(weight) for name, weight in record["class_weights"].items()},
        phases=tuple(_phase(phase) for phase in record["phases"]),
        validation=dict(record["validation"]),
        temperature=temperature_from(record["temperature"]),
        thresholds=tuple(operating_point_from(point) for point in record["thresholds"]),
        abstention=abstention_from(record["abstention"]),
        versions={_text(key): _text(value) for key, value in record["versions"].items()},
        weights_sha256=_text(record["weights_sha256"]),
        remarks=tuple(_text(remark) for remark in record.get("remarks", ())),
    )


def _phase(record: Mapping[str, Any]) -> Phase:
    return Phase(
        name=_text(record["name"]),
        plan=dict(record["plan"]),
        history=tuple(epoch_from(epoch) for epoch in record["history"]),
        best_epoch=int(record["best_epoch"]),
        stop=_text(record["stop"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value
