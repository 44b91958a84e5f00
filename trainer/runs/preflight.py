"""Check what a training is asked for, before any work and without TensorFlow."""

from __future__ import annotations

from dataclasses import fields, replace
from enum import Enum
from pathlib import Path

from dermpack.dataset.manifest import Dataset, Split
from dermpack.dataset.presence import check_presence
from dermpack.errors import DatasetError, InputError, OutputError
from dermpack.storage.files import refuse_existing
from trainer.datasets.checks.check import cluster_of, group_of
from trainer.datasets.splits.leaks import leaking
from trainer.distributed.cluster import own_cluster
from trainer.recipe.network_spec import Weights
from trainer.recipe.recipe import RUN_FILE, DistributionStrategy, Recipe
from trainer.runs.run_folder import Run, read_run

SEEN = (Split.TRAIN, Split.VALIDATION)  # the test split is left to `dermpack evaluate`


def check_asked(dataset: Dataset, run: Path, recipe: Recipe, *, overwrite: bool) -> None:
    """Raise what would fail after the work, or would make its figures worthless."""
    recipe.spec(classes=len(dataset.classes))
    own_cluster(recipe)
    _check_output(run, overwrite=overwrite)
    _check_runs(dataset, recipe)
    _check_teaches(recipe)
    _check_counts(dataset)
    _check_sensitivity(dataset, recipe)
    _check_leaks(dataset)
    check_presence(dataset, SEEN)


def check_alone(recipe: Recipe) -> None:
    """Several trainings, one after another, each in a process of its own: no workers join those."""
    if recipe.strategy is DistributionStrategy.MULTIWORKER:
        what = "only a single training can use several workers, not folds, a study or a search"
        hint = "Train this recipe alone, or choose --strategy mirrored."
        raise InputError("--strategy multiworker", what, hint, code="option-not-applicable")


def _check_output(run: Path, *, overwrite: bool) -> None:
    if not overwrite and (run / RUN_FILE).is_file():
        hint = "Evaluate it, choose another output, or add --overwrite to train it again."
        raise OutputError(run, "training is already finished", hint, code="already-finished")
    refuse_existing(run, marker=RUN_FILE, overwrite=overwrite)


def _check_runs(dataset: Dataset, recipe: Recipe) -> None:
    """A run that is started from or learned from must not have seen what is held out here."""
    for option, folder in (("weights", recipe.weights), ("teacher", recipe.teacher)):
        if not (isinstance(folder, Path) and folder.is_dir()):
            continue
        run = read_run(folder)
        if run.dataset.get("manifest_sha256") != dataset.sha256:
            what = "trained on another dataset or split, so it may have seen pictures that are held out here"
            hint = f"Give a run that was trained on {dataset.folder}."
            raise InputError(f"--{option} {folder}", what, hint, code="run-mismatch")
        if run.classes != dataset.classes:
            what = f"trained for other labels ({', '.join(run.classes)})"
            hint = f"Give a run with the labels {', '.join(dataset.classes)}."
            raise InputError(f"--{option} {folder}", what, hint, code="run-mismatch")
        if option == "weights":
            _check_same_network(run, recipe, classes=len(dataset.classes))


def _check_teaches(recipe: Recipe) -> None:
    """A teacher answers of pictures, and a phase that learns from kept activations has none."""
    if recipe.teacher is None or recipe.weights is Weights.NONE:
        return
    where = f"--teacher {recipe.teacher}"
    if not recipe.epochs or recipe.fine_tune == 0:
        what = "the teacher would have no effect, because the head is trained on the labels only"
        hint = "Choose --epochs and --fine-tune above 0."
        raise InputError(where, what, hint, code="conflicting-options")
    if recipe.fine_tune is not None and (recipe.copies or not recipe.augment.changes_pixels):
        what = "the teacher would have no effect, because these layers are trained on cached features"
        hint = "Choose --fine-tune all, or --copies 0 with an --augment that changes pixels."
        raise InputError(where, what, hint, code="conflicting-options")


def _check_same_network(run: Run, recipe: Recipe, *, classes: int) -> None:
    """The size of the pictures and dropout may differ: no weight depends on them."""
    asked = recipe.spec(classes=classes)
    theirs = replace(run.spec, size=asked.size, dropout=asked.dropout)
    if odd := [
        field.name for field in fields(asked) if getattr(asked, field.name) != getattr(theirs, field.name)
    ]:
        what = f"weights of a different network ({', '.join(odd)})"
        own = ", ".join(f"{name} {_said(getattr(theirs, name))}" for name in odd)
        hint = f"Use the options of that run: {own}."
        raise InputError(f"--weights {run.folder}", what, hint, code="weights-mismatch")


def _said(value: object) -> str:
    return str(value.value if isinstance(value, Enum) else value)


def _check_counts(dataset: Dataset) -> None:
    counts = dataset.counts()
    for name in dataset.classes:
        if not counts[Split.TRAIN.value][name]:
            hint = "Import the pictures again with --map or with another split."
            what = f"no picture of {name!r} in the training split"
            raise DatasetError(dataset.folder, what, hint, code="label-without-pictures")
    if not sum(counts[Split.VALIDATION.value].values()):
        hint = "Import the pictures again with a validation share."
        raise DatasetError(dataset.folder, "no picture in the validation split", hint, code="empty-split")


def _check_sensitivity(dataset: Dataset, recipe: Recipe) -> None:
    counts = dataset.counts()[Split.VALIDATION.value]
    for label, _ in recipe.sensitivity:
        if label not in dataset.classes:
            hint = f"Choose one of {', '.join(dataset.classes)}."
            raise InputError(f"--sensitivity {label}", "unknown label", hint, code="unknown-label")
        if not counts[label]:
            what = "no picture of this label in the validation split"
            hint = "Import the pictures again with another split, or choose another label."
            raise InputError(f"--sensitivity {label}", what, hint, code="label-without-pictures")


def _check_leaks(dataset: Dataset) -> None:
    """Figures from a split that knows the answers would be believed: no option lets them through."""
    if count := len(leaking(dataset.pictures, group_of, cluster_of)):
        what = f"the splits leak ({_pictures(count)} with a group or duplicates in another split)"
        hint = 'Import it again with "dermpack data import … --mend" or with --new-splits.'
        raise DatasetError(dataset.folder, what, hint, code="dataset-leaks")


def _pictures(count: int) -> str:
    return f"{count} picture{'s' if count != 1 else ''}"
