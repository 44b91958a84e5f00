"""Score a trained recipe of a study, and compare it with the base recipe on the same pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from dermpack.dataset.manifest import Dataset, Split
from dermpack.metrics.definitions import OVERALL, score_overall
from dermpack.metrics.paired_difference import compare_metric, mcnemar
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import score
from trainer.data.array_file import read_arrays
from trainer.experiments.runner import ExperimentRun, read_predictions
from trainer.experiments.study_record import COMPARED, BaseComparison, Curve, DatasetScores, TrainedRecipe
from trainer.runs.run_folder import read_run

SEEN_SPLITS = (Split.TRAIN, Split.VALIDATION)  # used by training


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredRecipe:
    """A trained recipe, and its predictions for the test split of each dataset."""

    trained: TrainedRecipe
    predictions: tuple[Predictions, ...]


def score_recipe(files: ExperimentRun, folder: Path, datasets: Sequence[Dataset]) -> ScoredRecipe:
    """Return figures of the splits that training used, and scores with intervals of the test splits."""
    run = read_run(files.run)
    figures = {}
    for split in SEEN_SPLITS:
        # These splits serve the comparison only, so one draw without a bootstrap is enough.
        predictions = read_predictions(files, datasets[0], split, run.classes)
        values = score_overall(predictions, np.ones((1, len(predictions))))
        figures[split.value] = {name: float(value[0]) for name, value in values.items()}
    # The phases are joined to one curve, and the number of epochs before each phase marks its start.
    epochs = [epoch for phase in run.phases for epoch in phase.history]
    ends = np.cumsum([0, *(len(phase.history) for phase in run.phases)]).tolist()
    names = list(epochs[0].validation) if epochs else []
    curve = Curve(
        starts=tuple((phase.name, end) for phase, end in zip(run.phases, ends, strict=False)),
        loss=tuple(epoch.loss for epoch in epochs),
        validation={name: tuple(epoch.validation[name] for epoch in epochs) for name in names},
    )
    tests = tuple(read_predictions(files, dataset, Split.TEST, run.classes) for dataset in datasets)
    trained = TrainedRecipe(
        run=files.run.relative_to(folder).as_posix(),
        weights_sha256=run.weights_sha256,
        parameters=sum(array.size for array in read_arrays(run.weights).values()),
        size_bytes=run.weights.stat().st_size,
        training_seconds=files.training_seconds(),
        splits=figures,
        tests=tuple(
            DatasetScores(scores=score(tested, split=Split.TEST.value), versus=None) for tested in tests
        ),
        curve=curve,
        remarks=run.remarks,
        versions=run.versions,
    )
    return ScoredRecipe(trained=trained, predictions=tests)


def compare_to_base(scored: ScoredRecipe, base: ScoredRecipe | None) -> TrainedRecipe:
    """Return the recipe with its differences to the base; unchanged for the base itself, or without one."""
    if base is None or base is scored:
        return scored.trained
    pairs = zip(scored.trained.tests, base.predictions, scored.predictions, strict=True)
    tests = tuple(replace(tested, versus=_compare(first, second)) for tested, first, second in pairs)
    return replace(scored.trained, tests=tests)


@lru_cache(maxsize=512)  # the study is written again after each recipe
def _compare(base: Predictions, this: Predictions) -> BaseComparison:
    differences = {name: compare_metric(base, this, OVERALL[name]) for name in COMPARED}
    return BaseComparison(differences=differences, discordance=mcnemar(base, this))
