"""Open a run: its network, its dataset and what its training recorded."""

from __future__ import annotations

from pathlib import Path

from converter.export_graph import build_export_graph
from converter.quantize.tflite_conversion import freeze_graph
from converter.sources.source import Source, SourceNetwork, SourcePicture
from dermpack.contract import Parents
from dermpack.dataset.manifest import Dataset, Split, read_dataset, require_pictures
from dermpack.dataset.views import match_labels, reduce_training
from dermpack.errors import DatasetError, InputError, TableError
from dermpack.progress import Track, silent
from dermpack.storage.files import normalize_path, path_exists, sha256_file
from trainer.api import RUN_FILE, Run, fitting_recipe, load_softmax, predict, read_examples

NEEDED_SPLITS = (Split.TRAIN, Split.VALIDATION)  # for calibration and for the comparison to float
DATASET_HINT = "Give the dataset of the run with --data."


def open_run(
    run: Run, dataset: Dataset, *, threads: int, evidence: bool = False, track: Track = silent
) -> Source:
    """Load and freeze the run's network, and predict the validation split with it."""
    spec = run.spec
    if not spec.has_picture:
        what = "the run takes no picture: it only shows what metadata alone can do"
        hint = "Convert a run that was trained with another --arch."
        raise InputError(run.folder, what, hint, code="conversion-not-supported")
    graph = build_export_graph(load_softmax(run), evidence=evidence, where=run.folder)
    validation = read_examples(
        dataset,
        Split.VALIDATION,
        size=spec.size,
        policy=run.policy,
        threads=threads,
        columns=spec.columns,
        track=track,
    )
    refusal = spec.arch.qat_refusal or ""
    if spec.metadata and spec.metadata.join.value == "gates":
        refusal = "tfmot cannot quantize the Multiply of --join gates"
    return Source(
        description="dermpack run",
        where=run.folder,
        name=f"{spec.arch.value}-{spec.alpha:g}-{spec.size}",
        version=run.weights_sha256[:12],  # another training is another version
        labels=run.classes,
        picture=SourcePicture(size=spec.size, policy=run.policy),
        network=SourceNetwork(
            graph=graph,
            frozen=freeze_graph(graph),
            recipe=fitting_recipe(run),
            qat_refusal=refusal,
        ),
        dataset=dataset,
        validation=validation,
        float_predictions=predict(graph.model, validation),
        parents=Parents(
            run=sha256_file(run.folder / RUN_FILE), weights=run.weights_sha256, dataset=dataset.sha256
        ),
        licence=find_licence(run, dataset),
        columns=spec.columns,
        sensitivities={point.label: point.wanted_sensitivity for point in run.thresholds},
    )


def find_licence(run: Run, dataset: Dataset) -> str:
    """Return the licence of the run, or of its dataset if it had none at the time of the training."""
    return run.licence or dataset.licence


def find_dataset(run: Run, given: Path | None) -> Dataset:
    """Return the dataset of the run, from the given folder or from the one that the run names.

    Raise DatasetError if it is missing, is a different dataset, or lacks pictures that conversion reads.
    """
    folder = given or normalize_path(run.folder / run.dataset["path"])
    if given is None and not path_exists(folder):
        what = "not found, and conversion needs the dataset that the run was trained on"
        raise DatasetError(folder, what, DATASET_HINT, code="dataset-not-found")
    try:
        dataset = match_labels(read_dataset(folder), run.dataset["manifest_sha256"])
        share, seed = float(run.recipe.get("train_share", 1.0)), int(run.recipe.get("seed", 0))
        dataset = reduce_training(dataset, share, seed=seed)
    except (TableError, DatasetError) as error:
        if given is None:
            what = f"no longer a valid dataset ({error.what})"
            raise DatasetError(folder, what, DATASET_HINT, code="dataset-not-found") from error
        raise
    if dataset.sha256 != run.dataset["manifest_sha256"]:
        what = "not the dataset that the run was trained on"
        raise DatasetError(folder, what, DATASET_HINT, code="run-mismatch")
    require_pictures(dataset, NEEDED_SPLITS)
    return dataset
