"""Train once a fold, and score every picture by the run that has not seen it.

fold-1 … fold-K      a run folder each
datasets/fold-1 …    the dataset that it was trained on; what it has not seen is the test split
folds.json           figures over all out-of-fold predictions, and from fold to fold
out-of-fold.csv      a row a picture
state/               what was asked, and answers of the runs
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dermpack.dataset.manifest import DATASET_FILE, Dataset, Split, write_dataset
from dermpack.errors import DermpackError, InputError, OutputError
from dermpack.metrics.predictions import Predictions
from dermpack.storage.files import json_text, read_json, write_text
from trainer.experiments.folds import fold_datasets
from trainer.experiments.folds_scores import Fold, FoldsResult, folded, out_of_fold_table
from trainer.experiments.study_folder import read_answers
from trainer.experiments.study_scores import answered
from trainer.recipe.recipe import Recipe
from trainer.runs.folder_lock import STATE, held
from trainer.runs.preflight import check_alone, check_asked
from trainer.runs.run_folder import read_run
from trainer.runs.subprocess_training import (
    RecipeStarted,
    SplitRequest,
    Tell,
    TrainingJob,
    train_apart,
    untold,
)

RECORD_FILE, TABLE_FILE = "folds.json", "out-of-fold.csv"
MARKER = Path(STATE) / "folds.json"


def train_folds(
    dataset: Dataset,
    folder: Path,
    recipe: Recipe,
    *,
    folds: int,
    overwrite: bool = False,
    tell: Tell = untold,
) -> FoldsResult:
    """Train a run a fold; killed at any moment, the same call goes on."""
    check_alone(recipe)
    folder = folder.resolve()
    parts = fold_datasets(dataset, folds=folds, seed=recipe.seed, folder=folder / "datasets")
    check_asked(dataset, folder / parts[0].folder.name, recipe, overwrite=True)
    for part in parts:
        _check(part, folder / part.folder.name, recipe)
    asked = {"manifest_sha256": dataset.sha256, "folds": folds, "recipe": recipe.record()}
    with held(folder, marker=str(MARKER)):
        _claim(folder, asked, overwrite=overwrite)
        found = []
        for number, part in enumerate(parts, start=1):
            tell(RecipeStarted(name=part.folder.name, number=number, of=folds))
            found.append(_trained(part, number, folder, recipe, tell))
        about = {"sha256": dataset.sha256, "source": dataset.source}
        done = folded(found, dataset=about, recipe=recipe.record(), seed=recipe.seed)
        write_text(folder / TABLE_FILE, out_of_fold_table(found))
        write_text(folder / RECORD_FILE, json_text(done.record()))
    return done


def _check(part: Dataset, run: Path, recipe: Recipe) -> None:
    """Of each fold before any is trained: a fold may leave none of a rare label to train on."""
    try:
        check_asked(part, run, recipe, overwrite=True)
    except InputError as error:
        hint = "Use fewer folds or more pictures."
        raise InputError(part.folder.name, error.what, hint, code=error.code) from error


def _trained(part: Dataset, number: int, folder: Path, recipe: Recipe, tell: Tell) -> Fold:
    name = part.folder.name
    if not (part.folder / DATASET_FILE).is_file():
        part.folder.mkdir(parents=True, exist_ok=True)
        write_dataset(part, part.folder)
    job = _job(part, folder, recipe)
    if not job.asks[0].answers.is_file():
        try:
            train_apart(job, tell=tell)
        except DermpackError as error:
            where = f"{name}: {error.where}"
            raise InputError(where, error.what, error.hint, code=error.code) from error
    run, predictions = read_run(job.run), _predictions(part, job)
    counts = {split.value: len(part.manifest.of(split)) for split in (Split.TRAIN, Split.VALIDATION)}
    return Fold(
        number=number,
        run=name,
        weights_sha256=run.weights_sha256,
        counts={**counts, "held_out": len(predictions)},
        training_seconds=float(read_json(job.clock)["seconds"]) if job.clock.is_file() else 0.0,
        predictions=predictions,
    )


def _job(part: Dataset, folder: Path, recipe: Recipe) -> TrainingJob:
    name = part.folder.name
    state = folder / STATE / name
    ask = SplitRequest(dataset=part.folder, split=Split.TEST, answers=state / "answers.npz")
    return TrainingJob(
        dataset=part.folder,
        run=folder / name,
        recipe=recipe,
        asks=(ask,),
        clock=state / "clock.json",
        log=state / "log.txt",
    )


def _predictions(part: Dataset, job: TrainingJob) -> Predictions:
    path = job.asks[0].answers
    return answered(part, Split.TEST, part.classes, read_answers(path))


def _claim(folder: Path, asked: Mapping[str, Any], *, overwrite: bool) -> None:
    path = folder / MARKER
    before = read_json(path) if path.is_file() else asked
    is_done = (folder / RECORD_FILE).is_file()
    if (is_done or before != asked) and not overwrite:
        hint = "Choose another output, or add --overwrite to train again."
        if before == asked:
            raise OutputError(folder, "training is already finished", hint, code="already-finished")
        what = f"already trained with different options ({_change(before, asked)})"
        raise OutputError(folder, what, hint, code="output-mismatch")
    if is_done or before != asked:
        _clear(folder)
    write_text(path, json_text(asked))


def _clear(folder: Path) -> None:
    for child in folder.iterdir():
        if child.name == STATE:
            _remove([of for of in child.iterdir() if of.is_dir()])
        else:
            _remove([child])


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _change(before: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """The first thing that differs: "folds: 3, now 5"."""
    if before.get("manifest_sha256") != asked["manifest_sha256"]:
        return "another dataset"
    old, new = ({**of, **of.get("recipe", {})} for of in (before, asked))
    name = next(name for name in sorted(new) if name != "recipe" and old.get(name) != new[name])
    return f"{name}: {old.get(name)}, now {new[name]}"
