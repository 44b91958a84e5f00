"""The steps of the Python API: functions with the defaults of the commands of the same names.

Each function checks its arguments as its command does and raises the same DermpackError, prints nothing, and
imports what it needs when it is called: `import dermpack` loads neither numpy nor TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dermpack.dataset.manifest import Dataset, DuplicateSearch, Split
from dermpack.dataset.views import match_labels
from dermpack.progress import Track, silent

if TYPE_CHECKING:
    from converter.export.conversion import Conversion
    from converter.quantize.tflite_conversion import Quantization
    from dermpack.bundle.bundle_record import Bundle, BundleFormat
    from dermpack.evaluation.evaluate import Evaluation, FittedDecisions
    from dermpack.inference.classifier import Classifier
    from dermpack.inference.predict.answers import Answers
    from dermpack.verification.check_result import Verification
    from trainer.recipe.recipe import Recipe
    from trainer.runs.run_folder import Run

VERIFIED_PICTURES = 16


def import_dataset(
    source: Path,
    output: Path,
    *,
    group_column: str = "",
    positive: Sequence[str] = (),
    name: str = "",
    negative_name: str = "",
    seed: int = 0,
    duplicates: DuplicateSearch | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    track: Track = silent,
) -> Dataset:
    """Examine a folder of pictures, split it 70/15/15 by group, and write a dataset folder.

    `positive` makes two labels: these classes, called `name`, and all others, called `negative_name`.
    Duplicates stay in one split; without `duplicates`, they are searched thoroughly up to 20,000 pictures.
    With several jobs, which are worker processes, the caller's script must be importable: its own work must
    be below `if __name__ == "__main__":`.
    """
    from trainer.datasets.importer import ImportRequest
    from trainer.datasets.importer import import_dataset as run_import
    from trainer.datasets.layouts.listing import SourceRequest

    request = ImportRequest(
        source=source,
        output=output,
        reading=SourceRequest(positive=tuple(positive), name=name, negative_name=negative_name),
        group_column=group_column,
        seed=seed,
        duplicates=duplicates,
        jobs=jobs,
        overwrite=overwrite,
    )
    return run_import(request, track=track)


def train(
    dataset: Dataset,
    output: Path,
    recipe: Recipe | None = None,
    *,
    overwrite: bool = False,
    track: Track = silent,
) -> Run:
    """Train by a recipe and write a run folder; the same call resumes a training that was interrupted."""
    from trainer.recipe.recipe import Recipe
    from trainer.runs.preflight import check_training

    recipe = recipe or Recipe()
    check_training(dataset, output, recipe, overwrite=overwrite)  # before TensorFlow is imported
    from trainer.runs.train import train as run_training

    return run_training(dataset, output, recipe, overwrite=overwrite, track=track)


def convert(
    run: Path,
    output: Path,
    *,
    quantizations: Sequence[Quantization] = (),
    max_drop: float = 1.0,
    seed: int = 0,
    threads: int = 2,
    overwrite: bool = False,
) -> Conversion:
    """Convert a run to int8, or to the given quantizations, and write an export folder.

    `max_drop` is the loss of balanced accuracy, in points, up to which a smaller file is preferred.
    """
    from trainer.runs.run_folder import read_run

    read_run(run)  # before TensorFlow is imported, so that an error is raised at once
    from converter.export.conversion import convert_run
    from converter.quantize.tflite_conversion import Quantization
    from converter.request import ConversionRequest

    request = ConversionRequest(
        recipes=tuple(quantizations) or (Quantization.INT8,), max_drop=max_drop, seed=seed, threads=threads
    )
    return convert_run(run, output, request, overwrite=overwrite)


def evaluate(
    model: Path, dataset: Dataset, *, split: Split = Split.TEST, threads: int = 1, track: Track = silent
) -> Evaluation:
    """Score an export or a .tflite with its contract on a split of the dataset, with its slices."""
    from dermpack.evaluation.evaluate import check_request, choose_slice_columns
    from dermpack.evaluation.evaluate import evaluate as run_evaluation
    from dermpack.inference.model_files import find_model_file

    file = find_model_file(model)
    fitted = read_fitted_decisions(file)
    dataset = match_labels(dataset, fitted.dataset_sha256)
    check_request(dataset, split)
    with open_classifier(file, threads=threads) as classifier:
        return run_evaluation(
            classifier,
            dataset,
            model=describe_model(model, file, classifier),
            fitted=fitted,
            split=split,
            columns=choose_slice_columns(dataset, split),
            track=track,
        )


def read_fitted_decisions(file: Path) -> FittedDecisions:
    """Return the thresholds in the contract of a .tflite, or UNFITTED if it has none."""
    from dermpack.evaluation.evaluate import UNFITTED, FittedDecisions
    from dermpack.inference.model_files import find_contract

    contract = find_contract(file)
    if contract is None:
        return UNFITTED
    return FittedDecisions(
        dataset_sha256=contract.parents.dataset or "",
        points=contract.thresholds,
        abstention=contract.abstention,
    )


def describe_model(model: Path, file: Path, classifier: Classifier) -> dict[str, str]:
    """Return what identifies the evaluated .tflite; a single file has no folder that could name it."""
    from dermpack.storage.files import sha256_file

    name = file.name if file == model else model.resolve().name
    return {"kind": "tflite", "name": name, "sha256": sha256_file(file), "engine": classifier.engine}


def verify_export(
    path: Path, *, dataset: Dataset | None = None, pictures: int = VERIFIED_PICTURES
) -> tuple[Verification, ...]:
    """Check an export, or each export in a folder, from its files; with a dataset, its scores too."""
    from dermpack.verification.verify import find_exports, open_tools
    from dermpack.verification.verify import verify_export as check_export

    exports = find_exports(path)
    with open_tools(pictures=pictures, dataset=dataset) as tools:
        return tuple(check_export(export, tools) for export in exports)


@contextmanager
def open_classifier(model: Path, *, threads: int = 1) -> Iterator[Classifier]:
    """Yield a classifier for an export or a .tflite with its contract: picture files → probabilities."""
    from dermpack.inference.classifier import open_classifier as open_file
    from dermpack.inference.model_files import make_settings, open_model

    opened = open_model(model)
    settings = make_settings(opened.labels, opened.policy, opened.temperature, opened.interface)
    with open_file(opened.path, sidecar=settings, threads=threads) as classifier:
        yield classifier


def predict(
    model: Path,
    pictures: Sequence[Path],
    *,
    top: int = 3,
    metadata: Mapping[str, str] | None = None,
    threads: int | None = None,
    track: Track = silent,
) -> Answers:
    """Return the answer of an export or a .tflite for each picture, and each picture below a folder.

    `metadata` is what is known about the patient of all pictures, such as {"age": "34"}.
    """
    from contextlib import ExitStack

    from dermpack.imaging.picture_decoder import PictureDecoder
    from dermpack.inference.interpreter_host import count_hosts, first_installed_runtime, open_host
    from dermpack.inference.model_files import open_model
    from dermpack.inference.predict.answers import classify_pictures, interpret_outputs
    from dermpack.inference.predict.patient_table import read_patient_rows
    from dermpack.inference.predict.picture_search import find_pictures

    found, opened = find_pictures(pictures), open_model(model)
    values = [f"{name}={value}" for name, value in (metadata or {}).items()]
    known = read_patient_rows(opened, found.pictures, table=None, values=values)
    if not found.pictures:
        return interpret_outputs(opened, found, (), top=top)
    with ExitStack() as stack:
        runtime = first_installed_runtime()
        count = count_hosts(len(found.pictures), threads=threads)
        hosts = [stack.enter_context(open_host(runtime, children=2 * count)) for _ in range(count)]
        decoder = stack.enter_context(PictureDecoder(jobs=count))
        outputs = classify_pictures(
            opened, found.pictures, hosts=hosts, decoder=decoder, metadata=known.rows, track=track
        )
    return interpret_outputs(opened, found, outputs.rows, top=top)


def package(
    export: Path,
    output: Path,
    *,
    form: BundleFormat | None = None,
    name: str = "",
    variants: Sequence[str] = (),
    overwrite: bool = False,
) -> Bundle:
    """Write a bundle of an export, or of the named exports in a folder: by default, an Android module."""
    from dermpack.bundle.build_bundle import BundleRequest, build_bundle
    from dermpack.bundle.bundle_record import BundleFormat
    from dermpack.bundle.signing import write_with_signature
    from dermpack.bundle.variants import read_variants
    from dermpack.storage.files import check_output_file

    check_output_file(output, overwrite=overwrite)
    request = BundleRequest(format=form or BundleFormat.MODULE, name=name)
    built = build_bundle(read_variants(export, tuple(variants)), request)
    write_with_signature(output, built.data, None)
    return built.bundle


def verify_bundle(
    path: Path, *, key: Path | None = None, pictures: int = VERIFIED_PICTURES
) -> tuple[Verification, ...]:
    """Check a bundle and each model in it; `key` is the public key of its signature."""
    from dermpack.bundle.read_bundle import read_bundle
    from dermpack.bundle.verify_bundle import verify_bundle as check_bundle
    from dermpack.verification.verify import open_tools

    opened = read_bundle(path, key=key)
    with open_tools(pictures=pictures) as tools:
        return check_bundle(opened, tools)
