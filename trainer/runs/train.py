"""Train a network on a dataset: from a dataset folder to a run folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dermpack.dataset.manifest import Dataset, relative_root
from dermpack.metrics.abstention import abstain
from dermpack.metrics.calibration import Temperature, calibrated, fit_temperature
from dermpack.metrics.constant_prediction import guess
from dermpack.metrics.definitions import accuracy, auroc, balanced_accuracy, ece
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.thresholds import operating_threshold
from dermpack.progress import Track, silent
from dermpack.storage.files import new_folder, sha256_file
from trainer.data.class_balance import class_weights
from trainer.distributed.cluster import own_cluster
from trainer.distributed.strategy import let_go, unbroken
from trainer.fitting.events import ProgressCallback, unwatched
from trainer.fitting.loop import predict
from trainer.fitting.phases import planned_epochs
from trainer.fitting.tensorflow_setup import versions
from trainer.model.weights import save_weights
from trainer.recipe.recipe import RUN_FILE, WEIGHTS_FILE, Recipe
from trainer.runs.partial_run import GoingOn, left_at, unsaid, work_folder
from trainer.runs.preflight import check_asked
from trainer.runs.run_folder import Run, read_run, write_run
from trainer.runs.run_report import write_story
from trainer.runs.training import POLICY, TrainedModel, asked_for, deadline_of, trained

COVERAGE = 0.9  # of the validation pictures get an answer; the curve beside it shows other choices
LOGS = "logs"
TOO_SURE = "the validation split was too easy to fit confidences on; on other pictures they may be too high"
UNSURE = "the confidences say little, and thresholds on them as little"


def train(
    dataset: Dataset,
    run: Path,
    recipe: Recipe,
    *,
    overwrite: bool = False,
    track: Track = silent,
    watch: ProgressCallback = unwatched,
    going_on: GoingOn = unsaid,
) -> Run:
    """Train as the recipe says; the same call goes on where a killed one was, and ends alike."""
    deadline = deadline_of(recipe)
    check_asked(dataset, run, recipe, overwrite=overwrite)
    cluster = own_cluster(recipe)
    with work_folder(run, asked_for(dataset, recipe), overwrite=overwrite) as work, unbroken(cluster):
        if left := left_at(work, planned=partial(planned_epochs, recipe)):
            going_on(left)
        done = trained(dataset, recipe, work, cluster, deadline=deadline, track=track, watch=watch)
        with new_folder(run, marker=RUN_FILE, overwrite=overwrite) as folder:
            _write(folder, run, done, dataset)
        shutil.rmtree(work)
        let_go(done.material.team)
    return read_run(run)


def _write(folder: Path, run: Path, done: TrainedModel, dataset: Dataset) -> None:
    """Weights, record, plots and page; everything fitted on validation is fitted here."""
    model, material = done.model, done.material
    save_weights(model, folder / WEIGHTS_FILE)
    recipe, raw = material.recipe, predict(model, material.validation)
    temperature = fit_temperature(raw)
    predictions = calibrated(raw, temperature)
    counts = material.train.counts
    weights = class_weights(recipe.balance, counts, power=recipe.balance_power)
    points = (
        operating_threshold(predictions, label, sensitivity=wanted) for label, wanted in recipe.sensitivity
    )
    remarks = _remarks(predictions, temperature)
    record = Run(
        folder=folder,
        spec=recipe.spec(classes=len(dataset.classes)),
        policy=POLICY,
        classes=dataset.classes,
        recipe=recipe.record(),
        dataset={"manifest_sha256": dataset.sha256, "path": relative_root(dataset.folder, run.absolute())},
        licence=dataset.licence,
        counts=dict(zip(dataset.classes, counts.tolist(), strict=True)),
        class_weights=dict(zip(dataset.classes, weights, strict=True)),
        phases=done.phases,
        validation=_figures(predictions),
        temperature=temperature,
        thresholds=tuple(points),
        abstention=abstain(predictions, coverage=COVERAGE),
        versions=versions(),
        weights_sha256=sha256_file(folder / WEIGHTS_FILE),
        remarks=tuple(remarks),
    )
    write_run(record)
    write_story(record)
    if (material.work / LOGS).is_dir():
        shutil.copytree(material.work / LOGS, folder / LOGS)


def _remarks(predictions: Predictions, temperature: Temperature) -> Iterator[str]:
    """What a person must know of a run before its figures."""
    if guessed := guess(predictions):
        yield guessed
    if temperature.is_bound:
        tried = f"temperature {temperature.value:g} is the end of what is tried"
        yield f"{tried}: {TOO_SURE if temperature.value < 1 else UNSURE}"


def _figures(predictions: Predictions) -> Mapping[str, Any]:
    return {
        "n": len(predictions),
        "balanced_accuracy": balanced_accuracy(predictions),
        "accuracy": accuracy(predictions),
        "auroc": auroc(predictions),
        "ece": ece(predictions),
    }
