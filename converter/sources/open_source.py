"""Open whatever a conversion starts from: a run, or a file of another program."""

from __future__ import annotations

from pathlib import Path

from converter.request import SourceOptions
from converter.sources.keras.keras_source import KERAS_ENDINGS, load_keras, open_keras
from converter.sources.run_source import NEEDED_SPLITS, find_dataset, open_run
from converter.sources.source import Source
from dermpack.dataset.manifest import Dataset, read_dataset, require_pictures
from dermpack.errors import InputError
from dermpack.progress import Track, silent
from dermpack.storage.files import is_directory, path_exists
from trainer.api import read_run

MODEL_HINT = "Give a run that dermpack trained, or a .keras or .h5 file."
LABELS_HINT = "Give --labels FILE or --labels A,B,C, in the order of the outputs."
DATA_HINT = "Give a dataset with --data, so that ranges can be measured and the loss compared."


def open_source(model: Path, options: SourceOptions, *, threads: int, track: Track = silent) -> Source:
    """Return the source of a path, read by its kind; everything cheap is checked before TensorFlow works."""
    if is_directory(model) or not path_exists(model):
        options.refuse_for_run()
        run = read_run(model)
        return open_run(run, find_dataset(run, options.data), threads=threads, track=track)
    if model.suffix.lower() not in KERAS_ENDINGS:
        what = f"not a model that can be converted (its name ends with {model.suffix!r})"
        raise InputError(model, what, MODEL_HINT, code="unknown-model-kind")
    if options.labels is None:
        raise InputError(model, "the labels of the outputs are unknown", LABELS_HINT, code="missing-labels")
    dataset = read_labelled(options.data, model)
    network = load_keras(model, labels=options.labels, declared=options.pixels, size=options.size)
    return open_keras(
        network,
        dataset,
        labels=options.labels,
        policy=options.policy,
        compare=options.compare_original,
        threads=threads,
        track=track,
    )


def read_labelled(folder: Path | None, model: Path) -> Dataset:
    """Return the dataset on whose training split ranges are measured; the test split is never read."""
    if folder is None:
        raise InputError(model, "conversion needs a dataset", DATA_HINT, code="missing-option")
    dataset = read_dataset(folder)
    for split in NEEDED_SPLITS:
        if not dataset.manifest.of(split):
            what = f"the dataset has no pictures in the {split.value} split"
            hint = "Import it with a training and a validation split (--split)."
            raise InputError(folder, what, hint, code="empty-split")
    require_pictures(dataset, NEEDED_SPLITS)
    return dataset
