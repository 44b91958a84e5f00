"""dermpack evaluate: score a run or a .tflite on a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli.console import (
    RESEARCH_ONLY,
    output_options,
    print_note,
    print_result,
    print_table,
    progress_bar,
)
from dermpack.cli.stderr_capture import python_stderr_only

if TYPE_CHECKING:
    from dermpack.evaluation.evaluate import Evaluation, FittedDecisions, Predictor
    from dermpack.inference import ModelSettings

SPLITS = ("train", "validation", "test")
RUN_FILE = "training.json"
SHOWN = ("balanced_accuracy", "accuracy", "auroc", "macro_f1", "top3", "top5", "ece", "brier")


@click.command("evaluate", short_help="Score a run or a .tflite on a dataset, with intervals.")
@click.argument("model", type=click.Path(path_type=Path), metavar="RUN|EXPORT|MODEL.tflite")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--split", type=click.Choice(SPLITS), default="test", show_default=True,
    help="The split of DATASET to score.",
)  # fmt: skip
@click.option(
    "-o", "--output", metavar="REPORT", type=click.Path(path_type=Path),
    help="Write the report into this new folder.",
)  # fmt: skip
@click.option(
    "--labels", "labels_file", type=click.Path(path_type=Path), metavar="FILE",
    help="The labels of the outputs, one per line or as a JSON list.  [default: those in the model.json "
    "next to "
    "the model]",
)  # fmt: skip
@click.option(
    "--predictions", "table_file", type=click.Path(path_type=Path), metavar="FILE.csv",
    help="Write a table with one row per picture.",
)  # fmt: skip
@click.option("--no-pictures", is_flag=True, help="Leave the pictures of the dataset out of the report.")
@click.option(
    "--bootstrap", "resamples", type=click.IntRange(1000, 100_000), default=1000, show_default=True,
    help="Number of bootstrap samples for each interval.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the intervals."
)
@click.option(
    "--slice", "columns", multiple=True, metavar="COLUMN",
    help="Also score each value of this column; can be repeated.  [default: all columns with few values]",
)  # fmt: skip
@click.option(
    "--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="Threads of the interpreter."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing report and table.")
@output_options
def command(
    model: Path,
    dataset: Path,
    split: str,
    output: Path | None,
    labels_file: Path | None,
    table_file: Path | None,
    no_pictures: bool,
    resamples: int,
    seed: int,
    columns: tuple[str, ...],
    threads: int,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Score a trained RUN, an EXPORT or any MODEL.tflite on a split of DATASET.

    Every figure is a fraction with a 95 % bootstrap interval over groups; "(–)" means that no sample changed
    it, or that there are fewer than ten groups. The run is not modified. A .tflite runs in a child process
    and does not require TensorFlow.

    \b
    Examples:
      dermpack evaluate run dataset -o evaluation
      dermpack evaluate export dataset --split validation --predictions predictions.csv
      dermpack evaluate model.tflite dataset --labels labels.txt --slice sex --slice site
    """
    from importlib.util import find_spec

    from dermpack.dataset.manifest import Split, read_dataset
    from dermpack.errors import EXTRA_OF_MODULE, MissingExtraError
    from dermpack.evaluation.evaluate import check_request, choose_slice_columns, evaluate, predictions_table
    from dermpack.evaluation.report import PAGE_FILE, RECORD_FILE, evaluation_files
    from dermpack.storage.files import (
        check_output_file,
        check_output_folder,
        new_folder,
        write_bytes,
        write_text,
    )

    if output is not None:  # before the long work
        if find_spec("matplotlib") is None:
            raise MissingExtraError("matplotlib", EXTRA_OF_MODULE["matplotlib"])
        check_output_folder(output, marker=RECORD_FILE, overwrite=overwrite)
    if table_file is not None:
        check_output_file(table_file, overwrite=overwrite)
    data, part = read_dataset(dataset), Split(split)
    check_request(data, part, columns)
    with _open_predictor(model, labels_file, threads=threads, quiet=quiet) as (predictor, about, fitted):
        evaluation = evaluate(
            predictor,
            data,
            model=about,
            fitted=fitted,
            split=part,
            columns=columns or choose_slice_columns(data, part),
            resamples=resamples,
            seed=seed,
            track=progress_bar(quiet=quiet),
        )
    if table_file is not None:
        write_text(table_file, predictions_table(evaluation.predictions))
    if output is not None:
        files = evaluation_files(
            evaluation.predictions,
            evaluation.scores,
            record=evaluation.record(),
            model=str(evaluation.model["name"]),
            source=data.source,
            slices=evaluation.slices,
            operating=evaluation.operating,
            answered=evaluation.answered,
            files=None if no_pictures else {picture.path: data.file(picture) for picture in data.pictures},
        )
        with new_folder(output, marker=RECORD_FILE, overwrite=overwrite) as folder:
            for name, content in files.items():
                write_bytes(folder / name, content)
    _print_tables(evaluation, quiet=quiet or as_json)
    written = [str(output / PAGE_FILE)] if output is not None else []
    print_result(evaluation.record(), "\n".join([_overall_text(evaluation), *written]), as_json=as_json)


@contextmanager
def _open_predictor(
    model: Path, labels: Path | None, *, threads: int, quiet: bool
) -> Iterator[tuple[Predictor, dict[str, Any], FittedDecisions]]:
    """Yield the predictor of a run or a .tflite, its description, and the thresholds fitted for it."""
    from dermpack.evaluation.evaluate import FittedDecisions
    from dermpack.storage.files import sha256_file
    from trainer.runs.run_folder import load_predictor, read_run

    if (model / RUN_FILE).is_file():
        about = {"kind": "run", "name": model.resolve().name, "sha256": sha256_file(model / RUN_FILE)}
        with python_stderr_only():  # TensorFlow writes to stderr when it is loaded and when it computes
            run = read_run(model)  # before TensorFlow is loaded, so that an error comes at once
            print_note("Starting TensorFlow ...", quiet=quiet)
            predictor = load_predictor(model)
            sha256 = run.dataset.get("manifest_sha256", "")
            points, abstention = run.thresholds, run.abstention
            fitted = FittedDecisions(dataset_sha256=sha256, points=points, abstention=abstention)
            yield predictor, about, fitted
        return
    from dermpack.inference import open_classifier
    from dermpack.inference.predict import find_model_file

    # A single file has no folder of its own that could name it.
    file = find_model_file(model)
    with open_classifier(file, sidecar=_read_settings(file, labels), threads=threads) as classifier:
        name = file.name if file == model else model.resolve().name
        about = {"kind": "tflite", "name": name, "sha256": sha256_file(file)}
        yield classifier, {**about, "engine": classifier.engine}, _read_fitted(file, labels)


def _read_fitted(model: Path, labels: Path | None) -> FittedDecisions:
    """Return the thresholds of an export; UNFITTED for other models, and if other labels were given."""
    from dermpack.contract import read_contract
    from dermpack.evaluation.evaluate import UNFITTED, FittedDecisions
    from dermpack.inference import find_sidecar
    from dermpack.storage.files import read_json

    sidecar = find_sidecar(model)
    if labels is not None or sidecar is None or "schema" not in read_json(sidecar):
        return UNFITTED
    contract = read_contract(sidecar)
    return FittedDecisions(
        dataset_sha256=contract.parents.dataset, points=contract.thresholds, abstention=contract.abstention
    )


def _read_settings(model: Path, labels: Path | None) -> ModelSettings:
    from dermpack.errors import InputError
    from dermpack.inference import find_sidecar, read_labels, read_sidecar
    from dermpack.inference.model_files import read_model
    from trainer.runs.run_folder import refuse_unfinished

    # An interrupted training has left a hidden folder, for which there is a more precise error.
    if not model.exists():
        refuse_unfinished(model)
        what, hint = "the path does not exist", "Give a run folder, an export folder or a .tflite file."
        raise InputError(model, what, hint, code="model-not-found")
    if labels is not None:
        return read_labels(labels)
    sidecar = find_sidecar(model)
    if sidecar is None:
        read_model(model)  # raises the more precise error if it is not a .tflite
        what = "there is no model.json with its labels in the same folder"
        raise InputError(model, what, "Give --labels FILE.", code="missing-labels")
    return read_sidecar(sidecar, of=model)


def _print_tables(evaluation: Evaluation, *, quiet: bool) -> None:
    """Print labels and slices; only as many columns as a terminal has room for, the report has all."""
    from dermpack.evaluation.report import short_figure_text
    from dermpack.metrics.summary import FEW_GROUPS, describe_constant_prediction

    labels = [
        (
            row.label,
            row.n,
            *(short_figure_text(row.figures[name]) for name in ("recall", "precision", "auroc")),
        )
        for row in evaluation.scores.per_class
    ]
    slices = [
        (
            f"{row.column}: {row.value}",
            row.groups,
            short_figure_text(row.figures["balanced_accuracy"]),
            short_figure_text(row.figures["accuracy"]),
        )
        for row in evaluation.slices
    ]
    print_table("labels", ("label", "pictures", "recall", "precision", "AUROC"), labels, quiet=quiet)
    if slices:
        print_table("slices", ("slice", "groups", "balanced accuracy", "accuracy"), slices, quiet=quiet)
    few = [f"{row.column}: {row.value} ({row.groups})" for row in evaluation.slices if row.warning]
    small = (
        [f"fewer than {FEW_GROUPS} groups, so the figures are mostly chance: {', '.join(few)}"] if few else []
    )
    # The constant prediction is part of the result on stdout.
    notes = [
        line
        for line in evaluation.scores.notes
        if line != describe_constant_prediction(evaluation.predictions)
    ]
    for line in (*notes, *small, RESEARCH_ONLY):
        print_note(line, quiet=quiet)


def _overall_text(evaluation: Evaluation) -> str:
    """Return the figures over all labels, one per line, after the number of pictures and groups."""
    from dermpack.evaluation.report import OVERALL, figure_text
    from dermpack.metrics.summary import describe_constant_prediction

    scores = evaluation.scores
    counted = f"{scores.n:,} pictures, {scores.groups:,} groups, split {scores.split}"
    known = [(OVERALL[name], scores.figures[name]) for name in SHOWN]
    lines = [f"{name:<28} {figure_text(figure)}" for name, figure in known if figure.value is not None]
    return "\n".join(filter(None, (counted, *lines, describe_constant_prediction(evaluation.predictions))))
