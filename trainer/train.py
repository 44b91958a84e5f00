"""Train a network on a dataset: from a dataset folder to a run folder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from dermpack.files import new_folder, sha256_file
from dermpack.manifest import Dataset, relative_root
from dermpack.progress import Track, silent
from dermpack.scores.abstention import abstain
from dermpack.scores.calibration import Temperature, calibrated, fit_temperature
from dermpack.scores.guess import guess
from dermpack.scores.metrics import accuracy, auroc, balanced_accuracy, ece
from dermpack.scores.predictions import Predictions
from dermpack.scores.thresholds import operating_threshold
from trainer.asked import check_asked
from trainer.balance import class_weights
from trainer.cluster import own_cluster
from trainer.fit import predict
from trainer.machine import versions
from trainer.muster import let_go, unbroken
from trainer.phases import planned_epochs
from trainer.recipe import Recipe
from trainer.run import RUN_FILE, WEIGHTS_FILE, Run, read_run, write_run
from trainer.story import write_story
from trainer.training import POLICY, Trained, asked_for, deadline_of, trained
from trainer.watch import Watch, unwatched
from trainer.weights import save_weights
from trainer.work import GoingOn, left_at, unsaid, work_folder

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
    watch: Watch = unwatched,
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


def _write(folder: Path, run: Path, done: Trained, dataset: Dataset) -> None:
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
