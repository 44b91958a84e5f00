"""Check the options of a training before any work, without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from dermpack.contract import NumericColumn
from dermpack.dataset.manifest import Dataset, Split, require_pictures
from dermpack.dataset.views import label_by_column, reduce_training
from dermpack.errors import DatasetError, InputError, OutputError, count_noun
from dermpack.storage.codec import encode
from dermpack.storage.files import check_output_folder
from trainer.datasets.metadata_columns import check_leaks, fit_columns
from trainer.datasets.splits.split import cluster_of, find_leaks, group_of
from trainer.distributed.cluster import read_own_cluster
from trainer.model.efficientnet_lite import find_weights
from trainer.recipe.network_spec import BUNDLED_ALPHA, Arch, NetworkSpec, Weights
from trainer.recipe.recipe import Balance, DistributionStrategy, Recipe
from trainer.runs import RUN_FILE
from trainer.runs.run_folder import Run, read_run

MIN_OF_CLASS = 2  # training pictures, to make new rows between two of them
BUNDLED_NETWORK = (Arch.MOBILENET_V2, BUNDLED_ALPHA)
USED_SPLITS = (Split.TRAIN, Split.VALIDATION)  # the test split is left to `dermpack evaluate`


def check_training(dataset: Dataset, run: Path, recipe: Recipe, *, overwrite: bool) -> None:
    """Check everything that would fail after long work, or would make its figures meaningless.

    A command calls this once, before it trains; raise InputError, DatasetError or OutputError.
    """
    # Cheap checks come first; the last one looks for every picture on the disk.
    dataset = select_pictures(dataset, recipe)
    spec = recipe.spec(classes=len(dataset.classes), columns=fit_columns(dataset, recipe.metadata))
    read_own_cluster(recipe)
    _check_published_weights(recipe)
    if not overwrite and (run / RUN_FILE).is_file():
        hint = "Evaluate it, choose another output, or add --overwrite to train it again."
        raise OutputError(run, "training is already finished", hint, code="already-finished")
    check_output_folder(run, marker=RUN_FILE, overwrite=overwrite)
    if recipe.average and not (isinstance(recipe.weights, Path) and recipe.weights.is_dir()):
        hint = "Name the first of the runs with --weights."
        raise InputError("--average", "needs a run in --weights", hint, code="missing-option")
    if isinstance(recipe.weights, Path) and recipe.weights.resolve() in {
        run.resolve() for run in recipe.average
    }:
        hint = "Name each run once: --weights RUN is one of those that are averaged."
        raise InputError(
            f"--average {recipe.weights}", "is the run of --weights", hint, code="conflicting-options"
        )
    _check_initial_runs(dataset, recipe, spec)
    _check_teachers(recipe, spec)
    _check_counts(dataset, recipe)
    _check_resampling(dataset, recipe, spec)
    # No group or duplicate may be in two splits. No option disables this check: scores would be wrong.
    if count := len(find_leaks(dataset.pictures, group_of, cluster_of)):
        pictures = count_noun(count, "picture")
        what = f"the splits leak ({pictures} with a group or duplicates in another split)"
        hint = 'Import it again with "dermpack data import … --mend" or with --new-splits.'
        raise DatasetError(dataset.folder, what, hint, code="dataset-leaks")
    require_pictures(dataset, USED_SPLITS)
    if recipe.metadata:
        check_leaks(dataset, recipe.metadata, allowed=recipe.allow_leak)


def select_pictures(dataset: Dataset, recipe: Recipe) -> Dataset:
    """Return the dataset with the labels and the training pictures that the recipe chooses."""
    labelled = label_by_column(dataset, recipe.label)
    return reduce_training(labelled, recipe.train_share, seed=recipe.seed)


def check_single_process(recipe: Recipe) -> None:
    """Raise InputError if one of several trainings in a row requires workers."""
    if recipe.strategy is DistributionStrategy.MULTIWORKER:
        what = "only a single training can use several workers, not folds, a study or a search"
        hint = "Train this recipe alone, or choose --strategy mirrored."
        raise InputError("--strategy multiworker", what, hint, code="option-not-applicable")


def _check_published_weights(recipe: Recipe) -> None:
    """Check that the weights exist for the network, as far as this can be checked without a download."""
    if recipe.weights is Weights.IMAGENET and recipe.arch.is_lite:
        find_weights(recipe.arch)
    # The architecture "metadata" has no backbone: only a whole run has weights for it.
    is_backbone = recipe.weights is Weights.IMAGENET or (
        isinstance(recipe.weights, Path) and not recipe.weights.is_dir()
    )
    if recipe.arch is Arch.METADATA and is_backbone:
        where, what = "--weights", "not available for the architecture metadata, which takes no picture"
        raise InputError(where, what, "Use --weights none, or a run.", code="option-not-applicable")
    if recipe.weights is Weights.BUNDLED and (recipe.arch, recipe.alpha) != BUNDLED_NETWORK:
        what = f"only mobilenet_v2 with alpha {BUNDLED_ALPHA} is part of dermpack"
        hint = f"Use --arch mobilenet_v2 --alpha {BUNDLED_ALPHA}, or other weights."
        raise InputError("--weights bundled", what, hint, code="option-not-applicable")


def _check_initial_runs(dataset: Dataset, recipe: Recipe, spec: NetworkSpec) -> None:
    """Check that the runs whose weights or predictions are used were trained on the same split and labels.

    Another split may have had pictures in training that are held out here.
    """
    runs = [("weights", recipe.weights), *(("average", each) for each in recipe.average)]
    first: Run | None = None
    for option, folder in (*runs, *(("teacher", each) for each in recipe.teacher)):
        if not (isinstance(folder, Path) and folder.is_dir()):
            continue
        run = read_run(folder)
        if run.dataset.get("manifest_sha256") != dataset.sha256:
            what = (
                "trained on another dataset or split, so it may have been trained on pictures that are held "
                "out here"
            )
            hint = f"Give a run that was trained on {dataset.folder}."
            raise InputError(f"--{option} {folder}", what, hint, code="run-mismatch")
        if run.classes != dataset.classes:
            what = f"trained for other labels ({', '.join(run.classes)})"
            hint = f"Give a run with the labels {', '.join(dataset.classes)}."
            raise InputError(f"--{option} {folder}", what, hint, code="run-mismatch")
        if option != "teacher":
            _check_same_network(run, spec)
            first = first or run
        if option == "average" and first and not _is_related(first, run):
            what = "began with other weights than the run of --weights, so their mean would answer at random"
            hint = "Average runs that began with the same weights, such as two seeds of one recipe."
            raise InputError(f"--average {folder}", what, hint, code="run-mismatch")


def _is_related(first: Run, second: Run) -> bool:
    """Tell whether the runs began with the same weights, or one of them with the weights of the other."""
    began = [
        {"seed": run.recipe.get("seed")} if run.recipe.get("weights") == Weights.NONE.value
        else run.recipe.get("weights")
        for run in (first, second)
    ]  # fmt: skip
    ended = [{"sha256": run.weights_sha256} for run in (first, second)]
    return began[0] == began[1] or began[0] == ended[1] or began[1] == ended[0]


def _check_teachers(recipe: Recipe, spec: NetworkSpec) -> None:
    """Check that a phase uses teachers and CutMix, which need pictures instead of cached features."""
    for folder in recipe.teacher:
        taught = read_run(folder).spec
        # A teacher gets the inputs of the trained network: the same row of metadata, or the picture only.
        if not (spec.has_picture and taught.has_picture) or taught.columns not in ((), spec.columns):
            what = "takes inputs that the trained network does not have"
            hint = "Choose a teacher that takes pictures, and no metadata or the same columns."
            raise InputError(f"--teacher {folder}", what, hint, code="conflicting-options")
    if recipe.weights is Weights.NONE or not (recipe.teacher or recipe.augment.cutmix):
        return
    where = f"--teacher {recipe.teacher[0]}" if recipe.teacher else "--augment (cutmix)"
    if not recipe.epochs or recipe.fine_tune == 0:
        what = "it would have no effect, because the head is trained on cached features and the labels only"
        hint = "Choose --epochs and --fine-tune above 0."
        raise InputError(where, what, hint, code="conflicting-options")
    if recipe.fine_tune is not None and (recipe.copies or not recipe.augment.changes_pixels):
        what = "it would have no effect, because these layers are trained on cached features"
        hint = "Choose --fine-tune all, or --copies 0 with an --augment that changes pixels."
        raise InputError(where, what, hint, code="conflicting-options")


def _check_resampling(dataset: Dataset, recipe: Recipe, spec: NetworkSpec) -> None:
    """Check that the head phase has rows from which new ones can be made."""
    if not recipe.balance.resamples_features:
        return
    where = f"--balance {recipe.balance.value}"
    what, hint = "", "Choose --balance oversample."
    if spec.has_picture and (recipe.weights is Weights.NONE or not recipe.head_epochs):
        what = "new features are made for the head phase, but the training has no head phase"
    elif spec.has_picture and recipe.head_copies > 1:
        what, hint = "new features are made from one copy of each picture", "Omit --head-copies."
    elif recipe.balance is Balance.SMOTENC and not spec.columns:
        what, hint = "the network takes no metadata", "Choose --balance smote, or add --metadata."
    elif (
        recipe.balance is Balance.SMOTENC
        and not spec.has_picture
        and not any(isinstance(column, NumericColumn) for column in spec.columns)
    ):
        what, hint = "no metadata column is numeric", "Add a numeric column to --metadata."
    if what:
        raise InputError(where, what, hint, code="conflicting-options")
    for name, count in dataset.counts()[Split.TRAIN.value].items():
        if count < MIN_OF_CLASS:
            what = f"the label {name!r} has {count} training pictures, fewer than {MIN_OF_CLASS}"
            raise InputError(where, what, hint, code="too-few-pictures")


def _check_same_network(run: Run, spec: NetworkSpec) -> None:
    """Check that the run's weights fit; size and dropout may differ, because no weight depends on them."""
    wanted, given = encode(spec), encode(run.spec)
    differing = [name for name in wanted if name not in ("size", "dropout") and wanted[name] != given[name]]
    if differing:
        what = f"weights of a different network ({', '.join(differing)})"
        columns = ",".join(column.name for column in run.spec.columns) or "none"
        shown = {**given, "metadata": columns}
        options = ", ".join(f"{name} {shown[name]}" for name in differing)
        hint = f"Use the options of that run: {options}."
        raise InputError(f"--weights {run.folder}", what, hint, code="weights-mismatch")


def _check_counts(dataset: Dataset, recipe: Recipe) -> None:
    """Check that every label can be learned, and that every requested sensitivity can be measured."""
    counts = dataset.counts()
    training, validation = counts[Split.TRAIN.value], counts[Split.VALIDATION.value]
    for name in dataset.classes:
        if not training[name]:
            hint = "Import the pictures again with --map or with another split."
            what = f"no picture of {name!r} in the training split"
            raise DatasetError(dataset.folder, what, hint, code="label-without-pictures")
    if not sum(validation.values()):
        hint = "Import the pictures again with a validation share."
        raise DatasetError(dataset.folder, "no picture in the validation split", hint, code="empty-split")
    for label, _ in recipe.sensitivity:
        if label not in dataset.classes:
            hint = f"Choose one of {', '.join(dataset.classes)}."
            raise InputError(f"--sensitivity {label}", "unknown label", hint, code="unknown-label")
        if not validation[label]:
            what = "no picture of this label in the validation split"
            hint = "Import the pictures again with another split, or choose another label."
            raise InputError(f"--sensitivity {label}", what, hint, code="label-without-pictures")
