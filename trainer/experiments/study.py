"""Run a study: train several recipes on one dataset, and compare them on the same pictures.

The folder has the runs and the state that `runner` describes; state/study.json names the dataset.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias

from dermpack.dataset.manifest import Dataset, Split
from dermpack.dataset.views import label_by_column
from dermpack.errors import DatasetError, DermpackError, InputError, OutputError
from dermpack.metrics.definitions import OVERALL, metric_value
from dermpack.metrics.intervals import compare_metric, mcnemar
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import score
from dermpack.storage.files import format_json, read_json, write_bytes, write_text
from dermpack.storage.shared_folders import STATE_FOLDER, lock_folder
from trainer.data.array_file import read_arrays
from trainer.experiments import runner
from trainer.experiments.study_file import StudyEntry, StudyPlan
from trainer.experiments.study_record import (
    COMPARED,
    BaseComparison,
    DatasetScores,
    History,
    PhaseStart,
    Study,
    StudyDataset,
    StudyRow,
    TrainedRecipe,
)
from trainer.experiments.study_report import study_files
from trainer.runs.preflight import check_single_process, check_training
from trainer.runs.run_folder import DATASET_KEY, read_run
from trainer.runs.subprocess_training import RecipeStarted, TrainingEvent

MARKER = f"{STATE_FOLDER}/study.json"
SCHEMA = 1
SEEN_SPLITS = (Split.TRAIN, Split.VALIDATION)  # used by training

StudyCallback: TypeAlias = Callable[[TrainingEvent | StudyRow], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredRecipe:
    """A trained recipe, and its predictions for the test split of each dataset."""

    trained: TrainedRecipe
    predictions: tuple[Predictions, ...]


def run_study(
    dataset: Dataset,
    plan: StudyPlan,
    folder: Path,
    *,
    also: Sequence[Dataset] = (),
    overwrite: bool = False,
    on_event: StudyCallback = lambda _: None,
) -> Study:
    """Train the recipes that are not trained yet, and write the report again after each.

    After any interruption, the same call resumes. A recipe that cannot be trained is a row with its reason;
    where the disk cannot be written, the study ends.
    """
    folder = folder.absolute()
    dataset, *also = (label_by_column(each, common_label(plan)) for each in (dataset, *also))
    datasets = (dataset, *also)
    check_study(dataset, plan, folder, also=also)
    results: dict[str, ScoredRecipe | str] = {}
    with _open_folder(folder, dataset, overwrite=overwrite):
        # A recipe that was trained with other options under this name is refused or trained again.
        for entry in plan.entries:
            files = runner.study_run(folder, entry.name)
            if change := runner.changed_option(files, entry.recipe):
                if not overwrite:
                    what = f"already trained with different options ({change})"
                    hint = "Give the recipe another name, or add --overwrite to train it again."
                    raise OutputError(f"[recipes.{entry.name}]", what, hint, code="output-mismatch")
                files.remove()
        # The base comes first, because every other row is compared with it.
        entries = sorted(plan.entries, key=lambda entry: entry.name != plan.base)
        for number, entry in enumerate(entries, start=1):
            on_event(RecipeStarted(name=entry.name, number=number, of=len(entries)))
            is_new = bool(
                runner.missing_predictions(runner.study_run(folder, entry.name), _wanted_splits(datasets))
            )
            results[entry.name] = _train_entry(entry, folder, datasets, on_event)
            study = _collect(plan, results, datasets)
            on_event(next(row for row in study.rows if row.name == entry.name))
            # A resumed study does not write the same report again for each recipe that was trained before.
            if is_new or not study.waiting:
                for name, data in study_files(study).items():
                    write_bytes(folder / name, data)
    return study


def common_label(plan: StudyPlan) -> str:
    """Return the column that all recipes learn; "" for the labels of the dataset."""
    columns = sorted({entry.recipe.label for entry in plan.entries})
    if len(columns) > 1:
        what = (
            f"the recipes of a study learn the same labels, but label is {' and '.join(map(repr, columns))}"
        )
        raise InputError(plan.name, what, "Set label in [common].", code="conflicting-options")
    return columns[0]


def check_study(dataset: Dataset, plan: StudyPlan, folder: Path, *, also: Sequence[Dataset] = ()) -> None:
    """Check every recipe and dataset before the first training, and raise InputError."""
    for entry in plan.entries:
        try:
            check_single_process(entry.recipe)
            check_training(dataset, runner.study_run(folder, entry.name).run, entry.recipe, overwrite=True)
        except InputError as error:
            where = f"[recipes.{entry.name}] {error.where}" if error.where.startswith("--") else error.where
            raise InputError(where, error.what, error.hint, code=error.code) from error
    for tested in (dataset, *also):
        if not tested.manifest.of(Split.TEST):
            hint = "Import the dataset with a test share."
            raise DatasetError(tested.folder, "the test split is empty", hint, code="empty-split")
        runner.align_answers(tested, Split.TEST, dataset.classes, None)


@contextmanager
def _open_folder(folder: Path, dataset: Dataset, *, overwrite: bool) -> Iterator[None]:
    """Lock the folder, which is new or a study of the same dataset."""
    with lock_folder(folder, marker=MARKER):
        (folder / "runs").mkdir(exist_ok=True)
        path = folder / MARKER
        identity = {"schema": SCHEMA, DATASET_KEY: dataset.sha256}
        if path.is_file() and read_json(path) != identity:
            if not overwrite:
                what = "already contains a study of another dataset"
                hint = "Choose another output, or add --overwrite to start again."
                raise OutputError(folder, what, hint, code="output-mismatch")
            # The files in the state folder stay: the lock is one of them.
            for child in [*(folder / "runs").iterdir(), *(folder / STATE_FOLDER).iterdir()]:
                if child.is_dir():
                    shutil.rmtree(child)
        write_text(path, format_json(identity))
        yield


def _wanted_splits(datasets: Sequence[Dataset]) -> list[tuple[Dataset, Split]]:
    """Return the splits to predict: those that training used, and the test split of each dataset."""
    used = [(datasets[0], split) for split in SEEN_SPLITS]
    return [*used, *((dataset, Split.TEST) for dataset in datasets)]


def _train_entry(
    entry: StudyEntry, folder: Path, datasets: Sequence[Dataset], on_event: StudyCallback
) -> ScoredRecipe | str:
    """Return the scores of a recipe, or the reason why it could not be trained."""
    if entry.lacks:
        return f"{entry.lacks}. Put the file into the folder of the study, or choose other weights."
    files = runner.study_run(folder, entry.name)
    try:
        runner.run_recipe(files, entry.recipe, datasets[0], _wanted_splits(datasets), on_event=on_event)
        return score_recipe(files, folder, datasets)
    except OutputError:  # the recipe does not cause a full disk, which would also stop the next one
        raise
    except DermpackError as error:
        # A report does not contain paths of this machine: "weights.h5: ends before layer Conv1. Give …".
        where = error.where.rpartition("/")[2] if error.where.startswith("/") else error.where
        return f"{where}: {error.what}. {error.hint}"


def _collect(plan: StudyPlan, results: dict[str, ScoredRecipe | str], datasets: Sequence[Dataset]) -> Study:
    """Return the study with a row for each recipe that has a result; the others are waiting."""
    base = results.get(plan.base)
    rows = []
    for entry in plan.entries:
        result, recipe = results.get(entry.name), entry.recipe.record()
        if isinstance(result, str):
            missing = {"weights": entry.lacks} if entry.lacks else {}
            rows.append(StudyRow(name=entry.name, recipe={**recipe, **missing}, trained=None, reason=result))
        elif result is not None:
            # A base that could not be trained has no predictions to compare with.
            trained = compare_to_base(result, base if isinstance(base, ScoredRecipe) else None)
            rows.append(StudyRow(name=entry.name, recipe=recipe, trained=trained))
    used = {picture.sha256 for picture in datasets[0].pictures if picture.split in SEEN_SPLITS}
    described = []
    for dataset in datasets:
        # Pictures that training used would make the figures of another dataset look too good.
        same = sum(picture.sha256 in used for picture in dataset.manifest.of(Split.TEST))
        note = f"{same} of its test pictures were used for training, so all figures are optimistic"
        described.append(
            StudyDataset(
                source=dataset.source,
                sha256=dataset.sha256,
                split=Split.TEST.value,
                counts={split.value: len(dataset.manifest.of(split)) for split in Split},
                notes=(note,) if same and dataset is not datasets[0] else (),
            )
        )
    return Study(
        name=plan.name,
        classes=datasets[0].classes,
        datasets=tuple(described),
        base=plan.base,
        metric=plan.metric.value,
        rows=tuple(rows),
        waiting=tuple(entry.name for entry in plan.entries if entry.name not in results),
    )


def score_recipe(files: runner.ExperimentRun, folder: Path, datasets: Sequence[Dataset]) -> ScoredRecipe:
    """Return figures of the splits that training used, and scores with intervals of the test splits."""
    run = read_run(files.run)
    splits = {}
    for split in SEEN_SPLITS:
        # These splits serve the comparison only, so their figures need no interval.
        predictions = runner.read_predictions(files, datasets[0], split, run.classes)
        splits[split.value] = {name: metric_value(metric, predictions) for name, metric in OVERALL.items()}
    # The phases are joined to one curve, and the number of epochs before each phase marks its start.
    epochs = [epoch for phase in run.phases for epoch in phase.history]
    lengths = accumulate((len(phase.history) for phase in run.phases), initial=0)
    names = list(epochs[0].validation) if epochs else []
    history = History(
        starts=tuple(
            PhaseStart(phase=phase.name, after_epoch=length)
            for phase, length in zip(run.phases, lengths, strict=False)
        ),
        loss=tuple(epoch.loss for epoch in epochs),
        validation={name: tuple(epoch.validation[name] for epoch in epochs) for name in names},
    )
    tests = tuple(runner.read_predictions(files, dataset, Split.TEST, run.classes) for dataset in datasets)
    trained = TrainedRecipe(
        run=files.run.relative_to(folder).as_posix(),
        weights_sha256=run.weights_sha256,
        parameters=sum(array.size for array in read_arrays(run.weights).values()),
        size_bytes=run.weights.stat().st_size,
        training_seconds=files.training_seconds(),
        splits=splits,
        tests=tuple(
            DatasetScores(scores=score(tested, split=Split.TEST.value), versus=None) for tested in tests
        ),
        history=history,
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
    return BaseComparison(differences=differences, mcnemar=mcnemar(base, this))
