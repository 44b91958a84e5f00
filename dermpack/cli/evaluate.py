"""dermpack evaluate."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dermpack.cli.console import note, output_options, result, table, track
from dermpack.cli.stderr_capture import python_alone

if TYPE_CHECKING:
    from dermpack.evaluation.evaluate import Evaluation, FittedDecisions, Predictor
    from dermpack.inference import ModelSettings

SPLITS = ("train", "validation", "test")
RUN_FILE = "training.json"
RESEARCH_ONLY = "research software, not a medical device: no figure here is a diagnosis"
SHOWN = ("balanced_accuracy", "accuracy", "auroc", "macro_f1", "top3", "top5", "ece", "brier")


@click.command("evaluate", short_help="Score a run or a .tflite on a dataset, with intervals.")
@click.argument("model", type=click.Path(path_type=Path), metavar="RUN|EXPORT|MODEL.tflite")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--split", type=click.Choice(SPLITS), default="test", show_default=True)
@click.option("-o", "--output", metavar="REPORT", type=click.Path(path_type=Path), help="A new folder.")
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Labels of the outputs, one a line or a JSON list; else those of model.json beside the model.",
)
@click.option(
    "--predictions",
    "table_file",
    type=click.Path(path_type=Path),
    metavar="FILE.csv",
    help="Write one row a picture.",
)
@click.option("--no-pictures", is_flag=True, help="No picture of the dataset in the report.")
@click.option("--bootstrap", "resamples", type=click.IntRange(1000, 100_000), default=1000, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws the intervals.")
@click.option(
    "--slice",
    "columns",
    multiple=True,
    metavar="COLUMN",
    help="Score by this column's values too; all columns with few values when not given.",
)
@click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace what is there.")
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

    Every figure is a fraction, with a 95 % interval by bootstrap over groups: "(–)" where no draw changed it,
    or where there are fewer than ten groups. A run is never edited; a .tflite runs in a process of its own
    and needs no TensorFlow.

    \b
    Examples:
      dermpack evaluate run dataset -o evaluation
      dermpack evaluate export dataset --split validation --predictions predictions.csv
      dermpack evaluate model.tflite dataset --labels labels.txt --slice sex --slice site
    """
    from dermpack.dataset.manifest import Split, read_dataset
    from dermpack.evaluation.evaluate import check_asked, evaluate, predictions_table, telling_columns
    from dermpack.evaluation.report_files import PAGE_FILE
    from dermpack.storage.files import refuse_file, write_text

    if output is not None:
        _check_report(output, overwrite=overwrite)
    if table_file is not None:
        refuse_file(table_file, overwrite=overwrite)
    data, part = read_dataset(dataset), Split(split)
    check_asked(data, part, columns)
    with _opened(model, labels_file, threads=threads, quiet=quiet) as (predictor, about, fitted):
        evaluation = evaluate(
            predictor,
            data,
            model=about,
            fitted=fitted,
            split=part,
            columns=columns or telling_columns(data, part),
            resamples=resamples,
            seed=seed,
            track=track(quiet=quiet),
        )
    if table_file is not None:
        write_text(table_file, predictions_table(evaluation.predictions))
    if output is not None:
        _write_report(evaluation, output, with_pictures=not no_pictures, overwrite=overwrite)
    _tell(evaluation, quiet=quiet or as_json)
    written = [str(output / PAGE_FILE)] if output is not None else []
    result(evaluation.record(), "\n".join([_sentences(evaluation), *written]), as_json=as_json)


@contextmanager
def _opened(
    model: Path, labels: Path | None, *, threads: int, quiet: bool
) -> Iterator[tuple[Predictor, dict[str, Any], FittedDecisions]]:
    """The predictor of a run folder or of a .tflite, what tells it from others, what it brings along."""
    from dermpack.storage.files import sha256_file

    if (model / RUN_FILE).is_file():
        about = {"kind": "run", "name": model.resolve().name, "sha256": sha256_file(model / RUN_FILE)}
        with python_alone():  # TensorFlow speaks when it is loaded, and again when it computes
            predictor, fitted = _of_run(model, quiet=quiet)
            yield predictor, about, fitted
        return
    from dermpack.inference import open_classifier
    from dermpack.inference.predict import model_file

    file = model_file(model)
    with open_classifier(file, sidecar=_sidecar(file, labels), threads=threads) as classifier:
        name = file.name if file == model else model.resolve().name
        about = {"kind": "tflite", "name": name, "sha256": sha256_file(file)}
        yield classifier, {**about, "engine": classifier.engine}, _of_contract(file, labels)


def _of_run(folder: Path, *, quiet: bool) -> tuple[Predictor, FittedDecisions]:
    from dermpack.evaluation.evaluate import FittedDecisions
    from trainer.runs.run_folder import load_predictor, read_run

    run = read_run(folder)  # without TensorFlow: what is wrong with the folder is said at once
    note("Starting TensorFlow ...", quiet=quiet)
    predictor = load_predictor(folder)
    sha256 = run.dataset.get("manifest_sha256", "")
    return predictor, FittedDecisions(dataset_sha256=sha256, points=run.thresholds, abstention=run.abstention)


def _of_contract(model: Path, labels: Path | None) -> FittedDecisions:
    """What an export brings along of its run; a foreign model, or one asked under other labels, nothing."""
    from dataclasses import asdict

    from dermpack.contract import read_contract
    from dermpack.evaluation.evaluate import UNFITTED, FittedDecisions
    from dermpack.inference import find_sidecar
    from dermpack.metrics.abstention import Abstention
    from dermpack.metrics.thresholds import OperatingPoint
    from dermpack.storage.files import read_json

    beside = find_sidecar(model)
    if labels is not None or beside is None or "schema" not in read_json(beside):
        return UNFITTED
    contract = read_contract(beside)
    rule = contract.abstention
    return FittedDecisions(
        dataset_sha256=contract.parents.dataset,
        points=tuple(OperatingPoint(**asdict(point)) for point in contract.thresholds),
        abstention=Abstention(**{**asdict(rule), "curve": ()}) if rule else None,
    )


def _sidecar(model: Path, labels: Path | None) -> ModelSettings:
    from dermpack.errors import InputError
    from dermpack.inference import find_sidecar, read_labels, read_sidecar
    from dermpack.inference.model_bytes import read_model
    from trainer.runs.partial_run import refuse_unfinished

    if not model.exists():
        refuse_unfinished(model)
        what, hint = "the path does not exist", "Give a run folder, an export folder or a .tflite file."
        raise InputError(model, what, hint, code="model-not-found")
    if labels is not None:
        return read_labels(labels)
    beside = find_sidecar(model)
    if beside is None:
        read_model(model)  # what is no .tflite is told so, whatever lies beside it
        what = "there is no model.json with its labels in the same folder"
        raise InputError(model, what, "Give --labels FILE.", code="missing-labels")
    return read_sidecar(beside, of=model)


def _check_report(folder: Path, *, overwrite: bool) -> None:
    """Say before the long work that there will be no report."""
    from importlib.util import find_spec

    from dermpack.errors import EXTRA_OF_MODULE, MissingExtraError
    from dermpack.evaluation.report_files import RECORD_FILE
    from dermpack.storage.files import refuse_existing

    for module in ("jinja2", "matplotlib"):
        if find_spec(module) is None:
            raise MissingExtraError(module, EXTRA_OF_MODULE[module])
    refuse_existing(folder, marker=RECORD_FILE, overwrite=overwrite)


def _write_report(evaluation: Evaluation, folder: Path, *, with_pictures: bool, overwrite: bool) -> None:
    from dermpack.evaluation.report_files import RECORD_FILE, evaluation_files
    from dermpack.storage.files import new_folder, write_bytes

    data = evaluation.dataset
    files = evaluation_files(
        evaluation.predictions,
        evaluation.scores,
        record=evaluation.record(),
        model=str(evaluation.model["name"]),
        source=data.source,
        slices=evaluation.slices,
        operating=evaluation.operating,
        answered=evaluation.answered,
        files={of.path: data.file(of) for of in data.pictures} if with_pictures else None,
    )
    with new_folder(folder, marker=RECORD_FILE, overwrite=overwrite) as beside:
        for name, content in files.items():
            write_bytes(beside / name, content)


def _tell(evaluation: Evaluation, *, quiet: bool) -> None:
    """Labels and slices for a person, as wide as a terminal is at least; the report has all figures."""
    from dermpack.evaluation.report_page import brief
    from dermpack.metrics.constant_prediction import guess
    from dermpack.metrics.summary import FEW_GROUPS

    labels = [
        (of.label, of.n, *(brief(of.figures[name]) for name in ("recall", "precision", "auroc")))
        for of in evaluation.scores.per_class
    ]
    slices = [
        (
            f"{of.column}: {of.value}",
            of.groups,
            brief(of.figures["balanced_accuracy"]),
            brief(of.figures["accuracy"]),
        )
        for of in evaluation.slices
    ]
    table("labels", ("label", "pictures", "recall", "precision", "AUROC"), labels, quiet=quiet)
    if slices:
        table("slices", ("slice", "groups", "balanced accuracy", "accuracy"), slices, quiet=quiet)
    few = [f"{of.column}: {of.value} ({of.groups})" for of in evaluation.slices if of.warning]
    small = [f"fewer than {FEW_GROUPS} groups, so mostly chance: {', '.join(few)}"] if few else []
    notes = [line for line in evaluation.scores.notes if line != guess(evaluation.predictions)]
    for line in (*notes, *small, RESEARCH_ONLY):
        note(line, quiet=quiet)


def _sentences(evaluation: Evaluation) -> str:
    """The figures of all labels together, one a line, and what they were counted on."""
    from dermpack.evaluation.report_page import OVERALL, figure_text
    from dermpack.metrics.constant_prediction import guess

    scores = evaluation.scores
    counted = f"{scores.n:,} pictures, {scores.groups:,} groups, split {scores.split}"
    known = [(OVERALL[name], scores.figures[name]) for name in SHOWN]
    lines = [f"{name:<28} {figure_text(figure)}" for name, figure in known if figure.value is not None]
    return "\n".join(filter(None, (counted, *lines, guess(evaluation.predictions))))
