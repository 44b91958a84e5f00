"""Cross-validate a recipe: train a run for each fold, predict its held-out pictures, and score them.

fold-1 … fold-K      a run folder for each fold
datasets/fold-1 …    its dataset, in which the fold is the test split
folds.json           figures over all out-of-fold predictions, and their means over the folds
out-of-fold.csv      one row for each picture
state/               the options of the command, and the predictions of the runs
"""

from __future__ import annotations

import csv
import io
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dermpack.dataset.manifest import (
    DATASET_FILE,
    Dataset,
    Manifest,
    Picture,
    Split,
    manifest_text,
    relative_root,
    write_dataset,
)
from dermpack.dataset.views import label_by_column
from dermpack.errors import DermpackError, InputError, OutputError
from dermpack.evaluation.evaluate import predictions_table
from dermpack.metrics.definitions import OVERALL, metric_value
from dermpack.metrics.intervals import Interval
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import Scores, score
from dermpack.progress import ignore
from dermpack.storage.codec import encode
from dermpack.storage.files import format_csv, format_json, read_json, sha256_of, unescape_cell, write_text
from dermpack.storage.shared_folders import STATE_FOLDER, lock_folder
from trainer.datasets.splits.split import DEFAULT_SHARES, Member, Shares, assign_splits, join_equal
from trainer.experiments.runner import ExperimentRun, first_difference, read_predictions, run_recipe
from trainer.recipe.recipe import Recipe
from trainer.runs.preflight import check_single_process, check_training
from trainer.runs.run_folder import read_run
from trainer.runs.subprocess_training import EventCallback, RecipeStarted

RECORD_FILE, TABLE_FILE = "folds.json", "out-of-fold.csv"
MARKER = Path(STATE_FOLDER) / "folds.json"
SCHEMA = 1
SPLIT = "out of fold"
# The 97.5 % quantiles of Student's t for 1 to 19 degrees of freedom, which are 2 to 20 folds.
STUDENT = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930),
)
HIGHEST: Mapping[str, float] = {"brier": 2.0}  # all other figures are at most 1
NOTE = (
    "the folds share most of their training pictures, so the interval over folds is rather too narrow; the "
    "interval over out-of-fold predictions does not contain the variation between trainings"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One fold: its run, and the run's predictions for the pictures of the fold."""

    number: int  # from 1
    run: str  # relative to the output folder
    weights_sha256: str
    counts: Mapping[str, int]  # train, validation, held_out
    training_seconds: float  # measured, so never the same twice
    predictions: Predictions

    def figures(self) -> dict[str, float]:
        return {name: metric_value(metric, self.predictions) for name, metric in OVERALL.items()}

    def record(self) -> dict[str, Any]:
        return {
            "fold": self.number,
            "run": self.run,
            "weights_sha256": self.weights_sha256,
            "pictures": dict(self.counts),
            "training_seconds": self.training_seconds,
            "figures": {name: None if math.isnan(value) else value for name, value in self.figures().items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanOverFolds:
    """The mean of a figure over the folds, with its 95 % interval by Student's t."""

    mean: float
    standard_deviation: float | None
    ci95: Interval | None
    folds: int  # in which the figure is defined


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldsResult:
    """All folds and their common figures."""

    dataset: Mapping[str, str]
    recipe: Mapping[str, Any]
    seed: int
    folds: tuple[Fold, ...]
    out_of_fold: Scores
    over_folds: Mapping[str, MeanOverFolds]

    def record(self) -> dict[str, Any]:
        folds = [fold.record() for fold in self.folds]
        scores = self.out_of_fold.record()
        return {**encode(self), "schema": SCHEMA, "folds": folds, "out_of_fold": scores, "notes": [NOTE]}


def train_folds(
    dataset: Dataset,
    folder: Path,
    recipe: Recipe,
    *,
    folds: int,
    overwrite: bool = False,
    on_event: EventCallback = ignore,
) -> FoldsResult:
    """Train the recipe on each fold and write the figures; after an interruption, the same call resumes."""
    check_single_process(recipe)
    folder = folder.resolve()
    dataset = label_by_column(dataset, recipe.label)
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
            on_event(RecipeStarted(name=part.folder.name, number=number, of=folds))
            trained.append(_train_fold(part, number, folder, recipe, on_event))
        # The figures need the predictions of all folds, so they are written once at the end.
        about = {"sha256": dataset.sha256, "source": dataset.source}
        result = summarize_folds(trained, dataset=about, recipe=recipe.record(), seed=recipe.seed)
        write_text(folder / TABLE_FILE, out_of_fold_table(trained))
        write_text(folder / RECORD_FILE, format_json(result.record()))
    return result


def _train_fold(part: Dataset, number: int, folder: Path, recipe: Recipe, on_event: EventCallback) -> Fold:
    """Train on one fold, or resume it, and return the predictions of the pictures held out."""
    name = part.folder.name
    # The training process reads the dataset from its folder; a resumed command finds it written already.
    if not (part.folder / DATASET_FILE).is_file():
        part.folder.mkdir(parents=True, exist_ok=True)
        write_dataset(part, part.folder)
    files = ExperimentRun(run=folder / name, state=folder / STATE_FOLDER / name)
    try:
        run_recipe(files, recipe, part, [(part, Split.TEST)], on_event=on_event)
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


def fold_datasets(dataset: Dataset, *, folds: int, seed: int, folder: Path) -> tuple[Dataset, ...]:
    """Return one dataset for each fold, to be written below the folder; the fold is its test split.

    Folds are stratified by label, and related pictures stay together. The train and validation splits are
    divided into folds, and the test split is not used. The pictures outside the fold are divided into train
    and validation with the shares of the dataset.
    """
    pictures = [picture for picture in dataset.pictures if picture.split is not Split.TEST]
    members = split_members(pictures)
    fold_of = assign_folds(members, folds=folds, seed=seed)
    train, validation = (len(dataset.manifest.of(each)) for each in (Split.TRAIN, Split.VALIDATION))
    shares = Shares(train=train, validation=validation, test=0)
    if not validation:
        # Training selects its best epoch on a validation split, so the folds need one in any case.
        shares = DEFAULT_SHARES.without(Split.TEST)
    made = []
    for fold in range(folds):
        is_held_out = [number == fold for number in fold_of]
        seen = [member for member, out in zip(members, is_held_out, strict=True) if not out]
        chosen = iter(assign_splits(seen, shares=shares, seed=seed))
        # The splits of the other members come in their order, and are merged with the pictures held out.
        splits = (Split.TEST if out else next(chosen) for out in is_held_out)
        arranged = tuple(
            replace(picture, split=new_split) for picture, new_split in zip(pictures, splits, strict=True)
        )
        options = {"folds": str(folds), "fold": str(fold + 1), "seed": str(seed)}
        # The fold has its own folder and manifest, but refers to the pictures of the original dataset.
        manifest = Manifest(pictures=arranged, columns=dataset.manifest.columns)
        fold_folder = folder / f"fold-{fold + 1}"
        made.append(
            replace(
                dataset,
                folder=fold_folder,
                root=relative_root(dataset.pictures_folder, fold_folder),
                manifest=manifest,
                options={**dataset.options, **options},
                refused=(),
                notes=(),
                sha256=sha256_of(manifest_text(manifest).encode("utf-8")),
            )
        )
    return tuple(made)


def split_members(pictures: Sequence[Picture]) -> tuple[Member, ...]:
    """Return the pictures with the unit that must stay together: linked by groups and duplicate clusters."""
    units = join_equal([picture.group for picture in pictures], [picture.cluster for picture in pictures])
    pairs = zip(pictures, units, strict=True)
    return tuple(Member(path=picture.path, label=picture.label, unit=unit) for picture, unit in pairs)


def assign_folds(members: Sequence[Member], *, folds: int, seed: int) -> tuple[int, ...]:
    """Return the fold of each member, from 0.

    One fold after the other is split off from the members that are left, as a test split of 1/n of them:
    this reuses the stratified split, which keeps units together.
    """
    # The last fold consists of the members that no other fold takes.
    fold_of, left = [folds - 1] * len(members), list(range(len(members)))
    for fold in range(folds - 1):
        shares = Shares(train=folds - 1 - fold, validation=0, test=1)
        splits = assign_splits([members[index] for index in left], shares=shares, seed=seed + fold)
        for index, chosen in zip(left, splits, strict=True):
            if chosen is Split.TEST:
                fold_of[index] = fold
        left = [index for index, chosen in zip(left, splits, strict=True) if chosen is Split.TRAIN]
    return tuple(fold_of)


def summarize_folds(
    folds: Sequence[Fold], *, dataset: Mapping[str, str], recipe: Mapping[str, Any], seed: int
) -> FoldsResult:
    """Return the figures with their intervals: by bootstrap over groups, and over the folds."""
    figures = [fold.figures() for fold in folds]
    over_folds = {}
    for name in OVERALL:
        values = [figure[name] for figure in figures]
        if mean := mean_over_folds(values, highest=HIGHEST.get(name, 1.0)):
            over_folds[name] = mean
    return FoldsResult(
        dataset=dataset,
        recipe=recipe,
        seed=seed,
        folds=tuple(folds),
        out_of_fold=score(join_predictions(folds), split=SPLIT),
        over_folds=over_folds,
    )


def mean_over_folds(values: Sequence[float], *, highest: float = 1.0) -> MeanOverFolds | None:
    """Return the mean over the folds in which the figure is defined: (0.7, 0.8) → 0.75 (0.11 to 1)."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return None
    mean = math.fsum(known) / len(known)
    # One value has no variation to estimate an interval from.
    if len(known) < 2:
        return MeanOverFolds(mean=mean, standard_deviation=None, ci95=None, folds=len(known))
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1))
    # The half width of the interval: the quantile times the standard error of the mean.
    half = STUDENT[len(known) - 2] * deviation / math.sqrt(len(known))
    ci95 = (max(mean - half, 0.0), min(mean + half, highest))
    return MeanOverFolds(mean=mean, standard_deviation=deviation, ci95=ci95, folds=len(known))


def join_predictions(folds: Sequence[Fold]) -> Predictions:
    """Return every picture once, predicted by the run that was not trained on it, sorted by path."""
    parts = [fold.predictions for fold in folds]
    names = [name for part in parts for name in part.pictures]
    # Sorted by path, the order does not depend on which fold a picture is in.
    order = sorted(range(len(names)), key=names.__getitem__)
    groups = [group for part in parts for group in part.groups]
    return Predictions(
        classes=parts[0].classes,
        pictures=tuple(names[index] for index in order),
        groups=tuple(groups[index] for index in order),
        truth=np.concatenate([part.truth for part in parts])[order],
        probabilities=np.concatenate([part.probabilities for part in parts])[order],
    )


def out_of_fold_table(folds: Sequence[Fold]) -> str:
    """Return a CSV with one row for each picture: its fold, its label and the prediction."""
    # The table is the usual table of predictions with one more column, directly after the path.
    number_of = {name: fold.number for fold in folds for name in fold.predictions.pictures}
    text = io.StringIO(predictions_table(join_predictions(folds)), newline="")
    header, *rows = ([unescape_cell(cell) for cell in row] for row in csv.reader(text))
    numbered = ((row[0], number_of[row[0]], *row[1:]) for row in rows)
    return format_csv([(header[0], "fold", *header[1:]), *numbered])
