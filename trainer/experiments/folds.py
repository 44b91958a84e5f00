"""Cross-validate a recipe: train a run for each fold, and predict its held-out pictures.

fold-1 … fold-K      a run folder for each fold
datasets/fold-1 …    its dataset, in which the fold is the test split
folds.json           figures over all out-of-fold predictions, and their means over the folds
out-of-fold.csv      one row for each picture
state/               the options of the command, and the predictions of the runs
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dermpack.dataset.manifest import DATASET_FILE, Dataset, Split, write_dataset
from dermpack.errors import DermpackError, InputError, OutputError
from dermpack.storage.files import format_json, read_json, write_text
from dermpack.storage.locks import STATE_FOLDER, lock_folder
from trainer.experiments.fold_datasets import fold_datasets
from trainer.experiments.folds_result import Fold, FoldsResult, out_of_fold_table, summarize_folds
from trainer.experiments.runner import ExperimentRun, first_difference, read_predictions, run_recipe
from trainer.recipe.recipe import Recipe
from trainer.runs.preflight import check_single_process, check_training
from trainer.runs.run_folder import read_run
from trainer.runs.subprocess_training import EventCallback, RecipeStarted, ignore_event

RECORD_FILE, TABLE_FILE = "folds.json", "out-of-fold.csv"
MARKER = Path(STATE_FOLDER) / "folds.json"


def train_folds(
    dataset: Dataset,
    folder: Path,
    recipe: Recipe,
    *,
    folds: int,
    overwrite: bool = False,
    tell: EventCallback = ignore_event,
) -> FoldsResult:
    """Train the recipe on each fold and write the figures; after an interruption, the same call resumes."""
    check_single_process(recipe)
    folder = folder.resolve()
    parts = fold_datasets(dataset, folds=folds, seed=recipe.seed, folder=folder / "datasets")
    check_training(dataset, folder / parts[0].folder.name, recipe, overwrite=True)
    # Check every fold before the first is trained: a fold may leave no picture of a rare label to train on.
    for part in parts:
        try:
            check_training(part, folder / part.folder.name, recipe, overwrite=True)
        except InputError as error:
            hint = "Use fewer folds or more pictures."
            raise InputError(part.folder.name, error.what, hint, code=error.code) from error
    identity = {"manifest_sha256": dataset.sha256, "folds": folds, "recipe": recipe.record()}
    with lock_folder(folder, marker=str(MARKER)):
        _claim(folder, identity, overwrite=overwrite)
        trained = []
        for number, part in enumerate(parts, start=1):
            tell(RecipeStarted(name=part.folder.name, number=number, of=folds))
            trained.append(_train_fold(part, number, folder, recipe, tell))
        # The figures need the predictions of all folds, so they are written once at the end.
        about = {"sha256": dataset.sha256, "source": dataset.source}
        result = summarize_folds(trained, dataset=about, recipe=recipe.record(), seed=recipe.seed)
        write_text(folder / TABLE_FILE, out_of_fold_table(trained))
        write_text(folder / RECORD_FILE, format_json(result.record()))
    return result


def _train_fold(part: Dataset, number: int, folder: Path, recipe: Recipe, tell: EventCallback) -> Fold:
    """Train on one fold, or resume it, and return the predictions of the pictures held out."""
    name = part.folder.name
    # The training process reads the dataset from its folder; a resumed command finds it written already.
    if not (part.folder / DATASET_FILE).is_file():
        part.folder.mkdir(parents=True, exist_ok=True)
        write_dataset(part, part.folder)
    files = ExperimentRun(run=folder / name, state=folder / STATE_FOLDER / name)
    try:
        run_recipe(files, recipe, part, [(part, Split.TEST)], tell=tell)
    except DermpackError as error:
        raise InputError(f"{name}: {error.where}", error.what, error.hint, code=error.code) from error
    predictions = read_predictions(files, part, Split.TEST, part.classes)
    counts = {split.value: len(part.manifest.of(split)) for split in (Split.TRAIN, Split.VALIDATION)}
    return Fold(
        number=number,
        run=name,
        weights_sha256=read_run(files.run).weights_sha256,
        counts={**counts, "held_out": len(predictions)},
        training_seconds=files.training_seconds(),
        predictions=predictions,
    )


def _claim(folder: Path, identity: Mapping[str, Any], *, overwrite: bool) -> None:
    """Store the dataset and options of the folder; refuse a finished folder, or one with other options."""
    path = folder / MARKER
    before = read_json(path) if path.is_file() else identity
    is_finished = (folder / RECORD_FILE).is_file()
    is_other = before != identity
    if (is_finished or is_other) and not overwrite:
        hint = "Choose another output, or add --overwrite to train again."
        if not is_other:
            raise OutputError(folder, "training is already finished", hint, code="already-finished")
        # The options of the recipe are compared one by one, next to the number of folds.
        old, new = ({**each, **each.get("recipe", {}), "recipe": None} for each in (before, identity))
        is_other_dataset = before.get("manifest_sha256") != identity["manifest_sha256"]
        change = "another dataset" if is_other_dataset else first_difference(old, new)
        what = f"already trained with different options ({change})"
        raise OutputError(folder, what, hint, code="output-mismatch")
    if is_finished or is_other:
        # Everything is removed except the lock file, which this process has locked.
        for child in [*folder.iterdir(), *(folder / STATE_FOLDER).iterdir()]:
            if child.name == STATE_FOLDER or (child.parent.name == STATE_FOLDER and child.is_file()):
                continue
            if child.is_dir() and not child.is_symlink():
                shutil.rmtree(child)
            else:
                child.unlink()
    write_text(path, format_json(identity))
