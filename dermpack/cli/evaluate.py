"""dermpack evaluate: score a run or a .tflite on a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from dermpack.cli import options
from dermpack.cli.console import RESEARCH_ONLY, Printer, python_stderr_only
from dermpack.errors import count_noun
from dermpack.metrics import RESAMPLES

if TYPE_CHECKING:
    from typing import TypeGuard

    from dermpack.dataset.manifest import Dataset
    from dermpack.evaluation.evaluate import Evaluation, FittedDecisions, Predictor
    from dermpack.evaluation.unknown_sets import PictureRunner, UnknownRequest
    from dermpack.inference.classifier import Classifier
    from dermpack.inference.model_files import ModelSettings
    from dermpack.metrics.summary import Figure
    from dermpack.progress import Track

DRAWN_MISTAKES = 6  # under their evidence maps
SHOWN = ("balanced_accuracy", "accuracy", "auroc", "macro_f1", "top3", "top5", "ece", "brier")


@click.command("evaluate")
@click.argument("model", type=options.PATH, metavar="RUN|EXPORT|MODEL.tflite")
@click.argument("dataset", type=options.PATH)
@options.split("score")
@options.output("REPORT", "Write the report into this new folder.", required=False)
@options.labels(
    "The labels of the outputs: a file with one per line or a JSON list, or the labels themselves.  "
    "[default: those in the model.json next to the model]"
)
@options.path("--predictions", "FILE.csv", "Write a table with one row per picture.")
@options.flag("--no-pictures", "Leave the pictures of the dataset out of the report.")
@click.option(
    "--bootstrap", "resamples", type=click.IntRange(RESAMPLES, 100_000), default=RESAMPLES, show_default=True,
    help="Number of bootstrap samples for each interval.",
)  # fmt: skip
@options.seed("the intervals")
@click.option(
    "--slice", "columns", multiple=True, metavar="COLUMN",
    help="Also score each value of this column; can be repeated.  [default: all columns with few values]",
)  # fmt: skip
@options.path(
    "--picture-alone",
    "MODEL",
    "Compare a model with metadata with this run or export, which was trained without metadata.",
)
@options.path("--metadata-alone", "RUN", "Compare it with this run, which was trained with --arch metadata.")
@click.option(
    "--unknown", "unknown", type=options.PATH, multiple=True, metavar="DATASET",
    help="Also score how well the distance of an export made with --familiarity tells the pictures of this "
    "dataset, all of them unknown to the model, from those of the split; can be repeated.",
)  # fmt: skip
@click.option(
    "--label", "label_column", metavar="COLUMN", default="",
    help="Score the values of this column instead of the labels.  [default: what the model was trained on]",
)  # fmt: skip
@options.flag(
    "--mark",
    "Also score the same pictures with generated marks (letters, a ruler, text in a corner), and report what "
    "they change for each label.",
)
@options.threads
@options.flag("--overwrite", "Replace an existing report and table.")
@options.printer
def command(
    model: Path,
    dataset: Path,
    split: str,
    output: Path | None,
    labels: str | None,
    predictions: Path | None,
    no_pictures: bool,
    resamples: int,
    seed: int,
    columns: tuple[str, ...],
    picture_alone: Path | None,
    metadata_alone: Path | None,
    unknown: tuple[Path, ...],
    label_column: str,
    mark: bool,
    threads: int,
    overwrite: bool,
    printer: Printer,
) -> None:
    """Score a trained RUN, an EXPORT or any MODEL.tflite on a split of DATASET.

    Every figure is a fraction with a 95 % bootstrap interval over groups; "(–)" means that no sample changed
    it, or that there are fewer than ten groups. The run is not modified. A .tflite runs in a child process
    and does not require TensorFlow. A model with patient metadata gets the columns of DATASET, and is also
    scored without each of its inputs, with the metadata of other pictures, and with each column shuffled.

    \b
    Examples:
      dermpack evaluate run dataset -o evaluation
      dermpack evaluate export dataset --split validation --predictions predictions.csv
      dermpack evaluate model.tflite dataset --labels labels.txt --slice sex --slice site
      dermpack evaluate both dataset -o evaluation --picture-alone run --metadata-alone alone
      dermpack evaluate export dataset --unknown other-dataset
      dermpack evaluate run dataset -o evaluation --mark
    """
    from importlib.util import find_spec

    from dermpack.dataset.manifest import Split
    from dermpack.errors import EXTRA_OF_MODULE, MissingExtraError
    from dermpack.evaluation.evaluate import (
        ComparedModel,
        check_request,
        choose_slice_columns,
        evaluate,
        predictions_table,
    )
    from dermpack.evaluation.metadata_study import METADATA, PICTURE
    from dermpack.evaluation.report import PAGE_FILE, RECORD_FILE
    from dermpack.storage import files as storage

    if output is not None:  # before the long work
        if find_spec("matplotlib") is None:
            raise MissingExtraError("matplotlib", EXTRA_OF_MODULE["matplotlib"])
        storage.check_output_folder(output, marker=RECORD_FILE, overwrite=overwrite)
    if predictions is not None:
        storage.check_output_file(predictions, overwrite=overwrite)
    data, part = _read_labelled(dataset, label_column, model), Split(split)
    check_request(data, part, columns)
    foreign = _read_unknown(model, labels, unknown)
    given = ((PICTURE, picture_alone), (METADATA, metadata_alone))
    with ExitStack() as opened:
        open_model = partial(_open_predictor, threads=threads, printer=printer)
        predictor, about, fitted = opened.enter_context(open_model(model, labels))
        others = []
        for row, path in given:
            if path is not None:
                other, described, _ = opened.enter_context(open_model(path, None))
                others.append(ComparedModel(row=row, name=str(described["name"]), predictor=other))
        evaluation = evaluate(
            predictor,
            data,
            model=about,
            fitted=fitted,
            split=part,
            columns=columns or choose_slice_columns(data, part),
            others=others,
            resamples=resamples,
            seed=seed,
            unknown=foreign and foreign(predictor),
            track=printer.track,
        )
        if mark:
            evaluation = add_marks(predictor, evaluation, resamples=resamples, seed=seed, track=printer.track)
        overlays: dict[str, bytes] = {}
        if output is not None and has_evidence(predictor):
            evaluation, overlays = add_evidence(
                predictor, evaluation, seed=seed, shows_pictures=not no_pictures, track=printer.track
            )
    if predictions is not None:
        storage.write_text(predictions, predictions_table(evaluation.predictions))
    if output is not None:
        _write_report(output, evaluation, overlays, shows_pictures=not no_pictures, overwrite=overwrite)
    _print_tables(evaluation, printer.unless_json)
    written = [str(output / PAGE_FILE)] if output is not None else []
    printer.result(evaluation.record(), *_overall_lines(evaluation), *written)


def _write_report(
    output: Path,
    evaluation: Evaluation,
    overlays: Mapping[str, bytes],
    *,
    shows_pictures: bool,
    overwrite: bool,
) -> None:
    from dermpack.evaluation.report import RECORD_FILE, evaluation_files
    from dermpack.storage import files as storage

    data = evaluation.dataset
    pictures = {picture.path: data.file(picture) for picture in data.pictures} if shows_pictures else None
    files = evaluation_files(evaluation, files=pictures, overlays=overlays)
    with storage.new_folder(output, marker=RECORD_FILE, overwrite=overwrite) as folder:
        for name, content in files.items():
            storage.write_bytes(folder / name, content)


def has_evidence(predictor: Predictor) -> TypeGuard[Classifier]:
    """Return whether the predictor is a file that returns evidence maps."""
    from dermpack.inference.classifier import Classifier

    return isinstance(predictor, Classifier) and predictor.has_evidence


def add_marks(
    predictor: Predictor, evaluation: Evaluation, *, resamples: int, seed: int, track: Track
) -> Evaluation:
    """Return the evaluation with the effects of generated marks on its predictions."""
    from dataclasses import replace

    from dermpack.errors import InputError
    from dermpack.evaluation.mark_study import SquarePredictor, study_marks

    if not getattr(predictor, "has_picture", True):
        what, hint = "the model takes no picture", "Omit the option."
        raise InputError("--mark", what, hint, code="option-not-applicable")
    effects = study_marks(
        cast("SquarePredictor", predictor),  # a run or a classifier
        evaluation.dataset,
        evaluation.split,
        evaluation.predictions,
        resamples=resamples,
        seed=seed,
        track=track,
    )
    return replace(evaluation, marks=effects)


def add_evidence(
    classifier: Classifier, evaluation: Evaluation, *, seed: int, shows_pictures: bool, track: Track
) -> tuple[Evaluation, dict[str, bytes]]:
    """Return the evaluation with the sanity checks of the maps, and the maps of the worst mistakes."""
    from dataclasses import replace

    from dermpack.evaluation.evidence import check_evidence_maps, draw_maps
    from dermpack.evaluation.report import find_worst_mistakes
    from dermpack.inference.classifier import open_bytes
    from dermpack.tflite.randomized_weights import shuffle_weights

    data, policy = classifier.model, classifier.settings.policy
    shuffled = {
        name: partial(open_bytes, shuffle_weights(data, seed=seed, convolutions=count), like=classifier)
        for name, count in (("the last layer", 1), ("all layers", None))
    }
    checks = check_evidence_maps(
        classifier,
        evaluation.dataset,
        evaluation.split,
        policy=policy,
        shuffled=shuffled,
        seed=seed,
        track=track,
    )
    overlays: dict[str, bytes] = {}
    if shows_pictures:
        mistakes = find_worst_mistakes(evaluation.predictions, most=DRAWN_MISTAKES)
        paths = {picture.path: evaluation.dataset.file(picture) for picture in evaluation.dataset.pictures}
        files = [paths[mistake.picture] for mistake in mistakes]
        drawn = draw_maps(classifier, files, policy=policy)
        overlays = {mistake.picture: png for mistake, png in zip(mistakes, drawn, strict=True)}
    return replace(evaluation, evidence=checks), overlays


@contextmanager
def _open_predictor(
    model: Path, labels: str | None, *, threads: int, printer: Printer
) -> Iterator[tuple[Predictor, dict[str, Any], FittedDecisions]]:
    """Yield the predictor of a run or a .tflite, its description, and the thresholds fitted for it."""
    from dermpack.api import describe_model, read_fitted_decisions
    from dermpack.evaluation.evaluate import UNFITTED, FittedDecisions
    from dermpack.storage.files import sha256_file
    from trainer.runs import RUN_FILE
    from trainer.runs.run_folder import load_predictor, read_run

    if (model / RUN_FILE).is_file():
        about = {"kind": "run", "name": model.resolve().name, "sha256": sha256_file(model / RUN_FILE)}
        with python_stderr_only():  # TensorFlow writes to stderr when it is loaded and when it computes
            run = read_run(model)  # before TensorFlow is loaded, so that an error comes at once
            printer.note("Starting TensorFlow ...")
            sha256 = run.dataset.get("manifest_sha256", "")
            points, abstention = run.thresholds, run.abstention
            fitted = FittedDecisions(dataset_sha256=sha256, points=points, abstention=abstention)
            yield load_predictor(model), about, fitted
        return
    from dermpack.inference.classifier import open_classifier
    from dermpack.inference.model_files import find_model_file

    file = find_model_file(model)
    with open_classifier(file, sidecar=_read_settings(file, labels), threads=threads) as classifier:
        fitted = UNFITTED if labels else read_fitted_decisions(file)
        yield classifier, describe_model(model, file, classifier), fitted


def _read_labelled(folder: Path, column: str, model: Path) -> Dataset:
    """Return the dataset labelled by the column, or else as that which the run or export was trained on."""
    from dermpack.api import read_fitted_decisions
    from dermpack.dataset.manifest import read_dataset
    from dermpack.dataset.views import label_by_column, match_labels
    from dermpack.errors import DermpackError
    from dermpack.inference.model_files import find_model_file
    from trainer.runs import RUN_FILE
    from trainer.runs.run_folder import read_run

    data, parent = read_dataset(folder), ""
    if column:
        return label_by_column(data, column)
    if (model / RUN_FILE).is_file():
        parent = read_run(model).dataset.get("manifest_sha256", "")
    else:
        with suppress(DermpackError):  # the same error comes when the model is opened
            parent = read_fitted_decisions(find_model_file(model)).dataset_sha256
    return match_labels(data, parent)


def _read_unknown(
    model: Path, labels: str | None, folders: tuple[Path, ...]
) -> Callable[[Predictor], UnknownRequest] | None:
    """Return a function that makes the request for a loaded model; raise if it has no distance output."""
    if not folders:
        return None
    from dermpack.dataset.manifest import read_dataset
    from dermpack.errors import InputError
    from dermpack.evaluation.unknown_sets import UnknownRequest, check_unknown
    from dermpack.inference.model_files import find_contract, find_model_file
    from trainer.runs import RUN_FILE

    datasets = tuple(read_dataset(folder) for folder in folders)
    check_unknown(datasets)
    is_run = (model / RUN_FILE).is_file()
    contract = None if is_run or labels else find_contract(find_model_file(model))
    familiarity = contract.familiarity if contract else None
    if contract is None or familiarity is None:
        what = "--unknown needs a model that returns the distance to its training pictures"
        hint = 'Give an export that "dermpack convert --familiarity" has written.'
        raise InputError(model, what, hint, code="no-familiarity")

    def request(predictor: Predictor) -> UnknownRequest:
        runner = cast("PictureRunner", predictor)  # of a contract, it is a classifier
        return UnknownRequest(
            runner=runner, familiarity=familiarity, gates=contract.quality, datasets=datasets
        )

    return request


def _read_settings(model: Path, labels: str | None) -> ModelSettings:
    from dermpack.errors import InputError
    from dermpack.inference.label_list import read_labels
    from dermpack.inference.model_files import ModelSettings, find_sidecar, read_model, read_sidecar
    from trainer.runs.run_folder import refuse_unfinished

    # An interrupted training has left a hidden folder, for which there is a more precise error.
    if not model.exists():
        refuse_unfinished(model)
        what, hint = "the path does not exist", "Give a run folder, an export folder or a .tflite file."
        raise InputError(model, what, hint, code="model-not-found")
    if labels is not None:
        return ModelSettings(labels=read_labels(labels))
    sidecar = find_sidecar(model)
    if sidecar is None:
        read_model(model)  # raises the more precise error if it is not a .tflite
        what = "there is no model.json with its labels in the same folder"
        raise InputError(model, what, "Give --labels FILE.", code="missing-labels")
    return read_sidecar(sidecar, of=model)


def _print_tables(evaluation: Evaluation, printer: Printer) -> None:
    """Print labels and slices; only as many columns as a terminal has room for, the report has all."""
    from dermpack.evaluation.mark_study import mark_rows
    from dermpack.evaluation.metadata_section import terminal_rows
    from dermpack.evaluation.report import short_figure_text
    from dermpack.metrics.summary import FEW_GROUPS, describe_constant_prediction

    def texts(figures: Mapping[str, Figure], *names: str) -> list[str]:
        return [short_figure_text(figures[name]) for name in names]

    labels = [
        (row.label, row.n, *texts(row.figures, "recall", "precision", "auroc"))
        for row in evaluation.scores.per_class
    ]
    printer.table("labels", ("label", "pictures", "recall", "precision", "AUROC"), labels)
    slices = [
        (f"{row.column}: {row.value}", row.groups, *texts(row.figures, "balanced_accuracy", "accuracy"))
        for row in evaluation.slices
    ]
    if evaluation.metadata:
        header = ("answer from", "balanced accuracy", "gain of picture and metadata")
        printer.table("picture and metadata", header, terminal_rows(evaluation.metadata))
        losses = [
            (loss.column, f"{loss.mean:.3f} ± {loss.deviation:.3f}") for loss in evaluation.metadata.columns
        ]
        printer.table("shuffled columns", ("column", "loss of balanced accuracy"), losses)
    if evaluation.operating:
        reached = [
            (
                point.label,
                f"{point.wanted_sensitivity:.2f}",
                short_figure_text(point.sensitivity),
                short_figure_text(point.specificity),
            )
            for point in evaluation.operating
        ]
        wanted = ("label", "wanted sensitivity", "sensitivity", "specificity that is left")
        printer.table("thresholds of the validation split", wanted, reached)
    if evaluation.marks:
        changes = ("mark", "label", "change of recall", "change of its share of the answers")
        printer.table("generated marks", changes, mark_rows(evaluation.marks))
    if slices:
        printer.table("slices", ("slice", "groups", "balanced accuracy", "accuracy"), slices)
    if evaluation.unknown:
        columns = ("dataset", "score", "AUROC", "accepted at 95 %", "by the contract")
        printer.table("unknown pictures", columns, list(_unknown_rows(evaluation)))
    # The constant prediction is part of the result on stdout.
    constant = describe_constant_prediction(evaluation.predictions)
    printer.note(*(line for line in evaluation.scores.notes if line != constant))
    if few := [f"{row.column}: {row.value} ({row.groups})" for row in evaluation.slices if row.warning]:
        printer.note(f"fewer than {FEW_GROUPS} groups, so the figures are mostly chance: {', '.join(few)}")
    printer.note(*(gap.sentence for gap in evaluation.skin_type_gaps))
    printer.note(RESEARCH_ONLY)


def _unknown_rows(evaluation: Evaluation) -> Iterator[tuple[str, ...]]:
    """Yield two rows for each foreign dataset: the separation by the distance and by the confidence."""
    from dermpack.evaluation.report import short_figure_text

    for foreign in evaluation.unknown:
        comparison = foreign.comparison
        for name, scores in (("distance", comparison.familiarity), ("confidence", comparison.confidence)):
            texts = short_figure_text(scores.auroc), short_figure_text(scores.false_acceptance)
            accepted = short_figure_text(comparison.unknown_accepted) if name == "distance" else ""
            yield foreign.name, name, *texts, accepted


def _overall_lines(evaluation: Evaluation) -> Iterator[str]:
    """Yield the figures over all labels, one per line, after the number of pictures and groups."""
    from dermpack.evaluation.report import OVERALL, figure_text
    from dermpack.metrics.summary import describe_constant_prediction

    scores = evaluation.scores
    counted = f"{count_noun(scores.n, 'picture')}, {count_noun(scores.groups, 'group')}, split {scores.split}"
    known = [(OVERALL[name], scores.figures[name]) for name in SHOWN]
    yield counted
    yield from (f"{name:<28} {figure_text(figure)}" for name, figure in known if figure.value is not None)
    if constant := describe_constant_prediction(evaluation.predictions):
        yield constant
