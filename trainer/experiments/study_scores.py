"""Score what a recipe answered, and hold it against another recipe on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import InputError
from dermpack.evaluation.evaluate import predict
from dermpack.metrics.definitions import OVERALL, overall
from dermpack.metrics.paired_difference import difference, mcnemar
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.metrics.summary import Scores, score
from dermpack.progress import Track, silent
from trainer.data.array_file import read_arrays
from trainer.experiments.report.study_record import (
    COMPARED,
    BaseComparison,
    Curve,
    DatasetScores,
    TrainedRecipe,
)
from trainer.experiments.study_folder import RecipePaths, read_answers
from trainer.runs.run_folder import Phase, Run, read_run

SEEN = (Split.TRAIN, Split.VALIDATION)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredRecipe:
    """A trained recipe, and its predictions on each dataset's test split."""

    trained: TrainedRecipe
    predictions: tuple[Predictions, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CachedAnswers:
    """Answers that were given already, as a predictor; None answers everything alike."""

    classes: tuple[str, ...]
    probabilities: Floats | None

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        del track
        if self.probabilities is None:
            return np.full((len(files), len(self.classes)), 1 / len(self.classes))
        return self.probabilities


def answered(
    dataset: Dataset, split: Split, classes: tuple[str, ...], probabilities: Floats | None
) -> Predictions:
    """The answers beside the truth; without answers, only a check that there could be some."""
    return predict(CachedAnswers(classes=classes, probabilities=probabilities), dataset, split=split)


def scored(place: RecipePaths, datasets: Sequence[Dataset]) -> ScoredRecipe:
    """Figures of the splits that were seen, scores with intervals of the test splits."""
    run = read_run(place.run)
    seen = {split.value: _figures(_predictions(place, run, datasets[0], split)) for split in SEEN}
    tests = tuple(_predictions(place, run, dataset, Split.TEST) for dataset in datasets)
    trained = TrainedRecipe(
        run=place.run.relative_to(place.folder).as_posix(),
        weights_sha256=run.weights_sha256,
        parameters=sum(array.size for array in read_arrays(run.weights).values()),
        size_bytes=run.weights.stat().st_size,
        training_seconds=place.seconds(),
        splits=seen,
        tests=tuple(DatasetScores(scores=_scores(of), versus=None) for of in tests),
        curve=_curve(run.phases),
        remarks=run.remarks,
        versions=run.versions,
    )
    return ScoredRecipe(trained=trained, predictions=tests)


def held_against(found: ScoredRecipe, base: ScoredRecipe | None) -> TrainedRecipe:
    """With the differences to the base; the base itself, or without one, as it was."""
    if base is None or base is found:
        return found.trained
    pairs = zip(found.trained.tests, base.predictions, found.predictions, strict=True)
    tests = tuple(replace(tested, versus=_versus(first, second)) for tested, first, second in pairs)
    return replace(found.trained, tests=tests)


def _predictions(place: RecipePaths, run: Run, dataset: Dataset, split: Split) -> Predictions:
    path = place.answers(dataset, split)
    probabilities = read_answers(path)
    if probabilities.shape != (len(dataset.manifest.of(split)), len(run.classes)):
        what, hint = "predictions of other pictures or classes", "Delete the file and rerun the study."
        raise InputError(path, what, hint, code="predictions-mismatch")
    return answered(dataset, split, run.classes, probabilities)


def _figures(predictions: Predictions) -> dict[str, float]:
    values = overall(predictions, np.ones((1, len(predictions))))
    return {name: float(value[0]) for name, value in values.items()}


def _scores(predictions: Predictions) -> Scores:
    return score(predictions, split=Split.TEST.value)


@lru_cache(maxsize=512)  # asked again each time the study is written
def _versus(base: Predictions, this: Predictions) -> BaseComparison:
    differences = {name: difference(base, this, OVERALL[name]) for name in COMPARED}
    return BaseComparison(differences=differences, discordance=mcnemar(base, this))


def _curve(phases: Sequence[Phase]) -> Curve:
    epochs = [epoch for phase in phases for epoch in phase.history]
    ends = np.cumsum([0, *(len(phase.history) for phase in phases)]).tolist()
    names = list(epochs[0].validation) if epochs else []
    return Curve(
        starts=tuple((phase.name, end) for phase, end in zip(phases, ends, strict=False)),
        loss=tuple(epoch.loss for epoch in epochs),
        validation={name: tuple(epoch.validation[name] for epoch in epochs) for name in names},
    )
