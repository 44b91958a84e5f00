"""Train a network on a dataset: from a dataset folder to a run folder."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tensorflow as tf
import tf_keras

from dermpack.contract import Temperature
from dermpack.dataset.manifest import Dataset, Split, relative_root
from dermpack.errors import InputError
from dermpack.imaging.preprocessing import Policy
from dermpack.metrics.calibration import calibrate, fit_temperature
from dermpack.metrics.definitions import accuracy, auroc, balanced_accuracy, ece
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import describe_constant_prediction
from dermpack.metrics.thresholds import COVERAGE, fit_abstention, fit_operating_point
from dermpack.progress import Track, ignore, silent
from dermpack.storage.files import copy_folder, format_json, new_folder, sha256_file
from trainer.data.batches import Teacher
from trainer.data.examples import compute_class_weights, read_examples
from trainer.datasets.metadata_columns import fit_columns
from trainer.distributed.cluster import Cluster, read_own_cluster
from trainer.distributed.strategy import LOST_WORKER_ERRORS, create_replicas, report_lost_workers
from trainer.fitting.events import ProgressCallback
from trainer.fitting.loop import predict
from trainer.fitting.phases import HEAD, PhaseInputs, train_phases
from trainer.model.network import build_network
from trainer.model.weights import average_weights, save_weights
from trainer.recipe.recipe import Precision, Recipe
from trainer.runs import RUN_FILE, WEIGHTS_FILE
from trainer.runs.preflight import select_pictures
from trainer.runs.run_folder import (
    PartialRun,
    Phase,
    Run,
    load_softmax,
    open_partial_run,
    read_progress,
    read_run,
    write_run,
)
from trainer.runs.run_report import write_run_report

Keras = Any  # tf_keras ships no types
POLICY = Policy.CENTRE_SQUARE
EPOCHS_SHARE = 0.95  # of a time limit; the rest is for scoring and writing
LOGS = "logs"
PACKAGES = ("dermpack", "tensorflow", "tf_keras", "numpy", "pillow")  # that decide the weights
OVERCONFIDENT = (
    "the validation split was too easy to fit confidences on; on other pictures they may be too high"
)
UNINFORMATIVE = "the confidences are hardly informative, and neither are thresholds on them"


def train(
    dataset: Dataset,
    run: Path,
    recipe: Recipe,
    *,
    overwrite: bool = False,
    track: Track = silent,
    on_progress: ProgressCallback = ignore,
    on_resume: Callable[[PartialRun], None] = ignore,
) -> Run:
    """Train by the recipe and write a run folder; the same call resumes a training that was killed.

    The options must have passed `trainer.runs.preflight.check_training`; they are not checked again here.
    """
    dataset = select_pictures(dataset, recipe)
    cluster = read_own_cluster(recipe)
    identity = _identify_training(dataset, recipe)
    with open_partial_run(run, identity, overwrite=overwrite) as work, report_lost_workers(cluster):
        if progress := read_progress(work):
            phase, epochs = progress
            planned = recipe.head_epochs if phase == HEAD else recipe.epochs
            on_resume(PartialRun(phase=phase, epochs=epochs, planned=planned))
        model, inputs, phases = _train_model(
            dataset, recipe, work, cluster, track=track, on_progress=on_progress
        )
        # The folder gets its name when it is complete, so a run that exists is always a whole one.
        with new_folder(run, marker=RUN_FILE, overwrite=overwrite) as folder:
            _write_run_folder(folder, run, dataset, model, inputs, phases)
        # The partial run is removed only now: until here the training could be resumed.
        shutil.rmtree(work)
        # The other workers wait for the run; the loss of one has no effect now.
        with suppress(*LOST_WORKER_ERRORS):
            inputs.replicas.wait()
    return read_run(run)


def train_as_worker(dataset: Dataset, recipe: Recipe, cluster: Cluster, *, track: Track = silent) -> None:
    """Train together with the chief, which writes the run; this worker writes nothing.

    As for `train`, the options must have passed `trainer.runs.preflight.check_training`.
    """
    dataset = select_pictures(dataset, recipe)
    with TemporaryDirectory(prefix="dermpack-worker-") as work, report_lost_workers(cluster):
        _, inputs, _ = _train_model(dataset, recipe, Path(work), cluster, track=track)
        inputs.replicas.wait()  # for the chief to write the run


def configure_tensorflow(*, seed: int, threads: int, precision: Precision) -> None:
    """Set deterministic operations, seeds, threads and the precision of new layers."""
    tf.config.experimental.enable_op_determinism()
    tf_keras.utils.set_random_seed(seed)
    policy = "float32" if precision is Precision.FLOAT32 else "mixed_bfloat16"
    tf_keras.mixed_precision.set_global_policy(policy)
    if not threads or tf.config.threading.get_intra_op_parallelism_threads() == threads:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        what = "cannot be set after TensorFlow was initialized"
        hint = "Use one number of threads for all trainings of a process."
        raise InputError(f"--threads {threads}", what, hint, code="threads-already-set") from error


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide the weights."""
    return {package: version(package) for package in PACKAGES}


def _identify_training(dataset: Dataset, recipe: Recipe) -> Mapping[str, Any]:
    """Return everything that decides the weights: another training must not resume this one."""
    return {"recipe": recipe.record(), "manifest_sha256": dataset.sha256, **package_versions()}


def _train_model(
    dataset: Dataset,
    recipe: Recipe,
    work: Path,
    cluster: Cluster | None,
    *,
    track: Track,
    on_progress: ProgressCallback = ignore,
) -> tuple[Keras, PhaseInputs, tuple[Phase, ...]]:
    """Train in the work folder, in this process alone or as one of the workers of a cluster.

    Return the network with its best weights, and how it was trained.
    """
    # The end of the last epoch, as a time of `time.monotonic`.
    deadline = time.monotonic() + recipe.time_limit * 60 * EPOCHS_SHARE if recipe.time_limit else math.inf
    configure_tensorflow(seed=recipe.seed, threads=recipe.threads, precision=recipe.mixed_precision)
    replicas = create_replicas(recipe.strategy, cluster)
    identity = {**_identify_training(dataset, recipe), "time_limit": recipe.time_limit}
    replicas.check_agreement(format_json(identity))
    # What can fail fast comes first: preparing pictures may take long.
    pictures, validation = (len(dataset.manifest.of(split)) for split in (Split.TRAIN, Split.VALIDATION))
    batch, is_mixed = min(recipe.batch, pictures), recipe.augment.mixes_pictures
    replicas.check_batch(batch=batch, validation=validation, is_mixed=is_mixed)
    columns = fit_columns(dataset, recipe.metadata)
    spec = recipe.spec(classes=len(dataset.classes), columns=columns)
    network = build_network(spec, weights=recipe.weights, seed=recipe.seed)
    if recipe.average:
        average_weights(network, [folder / WEIGHTS_FILE for folder in recipe.average])
    model = replicas.replicate(network)
    teacher = None
    if recipe.teacher:
        runs = [read_run(folder) for folder in recipe.teacher]
        networks, hashes = tuple(map(load_softmax, runs)), tuple(run.weights_sha256 for run in runs)
        teacher = Teacher(networks=networks, weights_sha256=hashes, share=recipe.teacher_share)
    train_examples, validation_examples = (
        read_examples(
            dataset,
            split,
            size=recipe.size,
            policy=POLICY,
            threads=recipe.threads,
            columns=columns,
            has_pictures=spec.has_picture,
            track=track,
        )
        for split in (Split.TRAIN, Split.VALIDATION)
    )
    inputs = PhaseInputs(
        recipe=recipe,
        train=train_examples,
        validation=validation_examples,
        work=work,
        teacher=teacher,
        replicas=replicas,
        deadline=deadline,
        on_progress=on_progress,
    )
    phases = train_phases(model, inputs)
    return replicas.collect(model), inputs, phases


def _write_run_folder(
    folder: Path, run: Path, dataset: Dataset, model: Keras, inputs: PhaseInputs, phases: tuple[Phase, ...]
) -> None:
    """Write weights, record, plots and page; fit temperature and thresholds on the validation split."""
    save_weights(model, folder / WEIGHTS_FILE)
    recipe, raw = inputs.recipe, predict(model, inputs.validation)
    # Thresholds apply to calibrated probabilities, so the temperature is fitted first.
    temperature = fit_temperature(raw)
    predictions = calibrate(raw, temperature)
    counts = inputs.train.counts
    weights = compute_class_weights(recipe.balance, counts, power=recipe.balance_power)
    points = (
        fit_operating_point(predictions, label, sensitivity=sensitivity)
        for label, sensitivity in recipe.sensitivity
    )
    record = Run(
        folder=folder,
        spec=recipe.spec(classes=len(dataset.classes), columns=fit_columns(dataset, recipe.metadata)),
        policy=POLICY,
        classes=dataset.classes,
        recipe=recipe.record(),
        dataset={"manifest_sha256": dataset.sha256, "path": relative_root(dataset.folder, run.absolute())},
        licence=dataset.licence,
        counts=dict(zip(dataset.classes, counts.tolist(), strict=True)),
        class_weights=dict(zip(dataset.classes, weights, strict=True)),
        phases=phases,
        validation={
            "n": len(predictions),
            "balanced_accuracy": balanced_accuracy(predictions),
            "accuracy": accuracy(predictions),
            "auroc": auroc(predictions),
            "ece": ece(predictions),
        },
        temperature=temperature,
        thresholds=tuple(points),
        abstention=fit_abstention(predictions, coverage=COVERAGE),
        versions=package_versions(),
        weights_sha256=sha256_file(folder / WEIGHTS_FILE),
        remarks=tuple(_remarks(predictions, temperature)),
    )
    write_run(record)
    write_run_report(record)
    if (inputs.work / LOGS).is_dir():
        copy_folder(inputs.work / LOGS, folder / LOGS)


def _remarks(predictions: Predictions, temperature: Temperature) -> Iterator[str]:
    """Yield the limits of the figures, which are shown before them."""
    if remark := describe_constant_prediction(predictions):
        yield remark
    if temperature.is_bound:
        limit = f"temperature {temperature.value:g} is the limit of the search range"
        yield f"{limit}: {OVERCONFIDENT if temperature.value < 1 else UNINFORMATIVE}"
