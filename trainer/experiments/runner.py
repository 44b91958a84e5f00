"""Run one recipe of an experiment: train it in a child process, and predict splits with the result.

Studies and folds keep one run for each name, and resume from what its files show:

runs/NAME or NAME    the run folder
state/NAME/          clock.json (seconds of training), log.txt (of a process that died), predictions
state/lock           held by the one process that works in the folder
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import InputError
from dermpack.evaluation.evaluate import predict
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.progress import Track, silent
from dermpack.storage.files import read_json
from dermpack.storage.shared_folders import STATE_FOLDER
from trainer.data.array_file import read_arrays
from trainer.fitting.checkpoint import CHECKPOINT_FILE
from trainer.recipe.recipe import Recipe, recipe_to_options
from trainer.runs import RUN_FILE, subprocess_training
from trainer.runs.run_folder import IDENTITY_FILE, partial_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentRun:
    """The files of one recipe in the folder of an experiment."""

    run: Path
    state: Path

    @property
    def clock(self) -> Path:
        return self.state / "clock.json"

    @property
    def is_trained(self) -> bool:
        return (self.run / RUN_FILE).is_file()

    def answers(self, dataset: Dataset, split: Split) -> Path:
        """Return the file with the predictions of a split; the hash keeps several datasets apart."""
        return self.state / f"{split.value}-{dataset.sha256[:16]}.npz"

    def training_seconds(self) -> float:
        """Return the time of training over all attempts."""
        return float(read_json(self.clock)["seconds"]) if self.clock.is_file() else 0.0

    def remove(self) -> None:
        """Remove the run, its unfinished training and its state."""
        for folder in (self.run, partial_folder(self.run), self.state):
            shutil.rmtree(folder, ignore_errors=True)


def study_run(folder: Path, name: str) -> ExperimentRun:
    """Return the files of a recipe of a study."""
    return ExperimentRun(run=folder / "runs" / name, state=folder / STATE_FOLDER / name)


def run_recipe(
    files: ExperimentRun,
    recipe: Recipe,
    dataset: Dataset,
    wanted: Sequence[tuple[Dataset, Split]] = (),
    *,
    on_event: subprocess_training.EventCallback,
) -> None:
    """Train the recipe unless it is trained, and predict the wanted splits that have no predictions yet."""
    requests = missing_predictions(files, wanted)
    if files.is_trained and not requests:
        return
    job = subprocess_training.TrainingJob(
        dataset=dataset.folder.absolute(),
        run=files.run,
        options=recipe_to_options(recipe),
        asks=requests,
        clock=files.clock,
        log=files.state / "log.txt",
    )
    subprocess_training.train_in_subprocess(job, on_event=on_event)


def missing_predictions(
    files: ExperimentRun, wanted: Sequence[tuple[Dataset, Split]]
) -> tuple[subprocess_training.SplitRequest, ...]:
    """Return a request for each wanted split without predictions; for all of them before training."""
    # Predictions of an earlier training are obsolete: without a trained run, everything is requested.
    requests = (
        subprocess_training.SplitRequest(
            dataset=dataset.folder.absolute(), split=split, answers=files.answers(dataset, split)
        )
        for dataset, split in wanted
    )
    return tuple(request for request in requests if not (files.is_trained and request.answers.is_file()))


def read_predictions(
    files: ExperimentRun, dataset: Dataset, split: Split, classes: tuple[str, ...]
) -> Predictions:
    """Return the stored predictions of a split with the truth from the manifest."""
    path = files.answers(dataset, split)
    probabilities: Floats = read_arrays(path)[subprocess_training.PROBABILITIES]
    if probabilities.shape != (len(dataset.manifest.of(split)), len(classes)):
        what, hint = "predictions of other pictures or classes", "Delete the file and rerun the command."
        raise InputError(path, what, hint, code="predictions-mismatch")
    return align_answers(dataset, split, classes, probabilities)


def align_answers(
    dataset: Dataset, split: Split, classes: tuple[str, ...], probabilities: Floats | None
) -> Predictions:
    """Return stored probabilities with the truth; without any, only check that the split can be predicted."""
    return predict(CachedAnswers(classes=classes, probabilities=probabilities), dataset, split=split)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CachedAnswers:
    """A predictor that returns stored probabilities; without any, the same probability for every class."""

    classes: tuple[str, ...]
    probabilities: Floats | None

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        del track
        if self.probabilities is None:
            return np.full((len(files), len(self.classes)), 1 / len(self.classes))
        return self.probabilities


def changed_option(files: ExperimentRun, recipe: Recipe) -> str:
    """Return the first option that differs from the finished or unfinished training: "rate: 0.1, now 0.2"."""
    paths = [files.run / RUN_FILE]
    # An unfinished training counts from its first checkpoint; before, there is nothing to keep.
    partial = partial_folder(files.run)
    if any(partial.rglob(CHECKPOINT_FILE)):
        paths.append(partial / IDENTITY_FILE)
    for path in paths:
        if path.is_file():
            return first_difference(read_json(path).get("recipe", {}), recipe.record())
    return ""


def first_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return the first key, in alphabetical order, whose value differs; empty where all are equal."""
    differing = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if not differing:
        return ""
    before, now = (values.get(differing[0], "not set") for values in (old, new))
    return f"{differing[0]}: {before}, now {now}"
