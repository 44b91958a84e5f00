"""Score a predictor, a run or a .tflite file, on a split of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from dermpack.contract import Abstention, OperatingPoint
from dermpack.dataset.manifest import Dataset, Split, require_pictures
from dermpack.errors import DatasetError, InputError
from dermpack.evaluation.unknown_sets import UnknownRequest, UnknownSet, compare_unknown_sets, score_pictures
from dermpack.metrics.intervals import RESAMPLES
from dermpack.metrics.predictions import Floats, Predictions, as_truth
from dermpack.metrics.slices import MISSING, Slice, is_identifier_column, score_slices, slice_values
from dermpack.metrics.summary import Scores, score
from dermpack.metrics.thresholds import AnsweredShare, ReachedPoint, score_abstention, score_operating_point
from dermpack.progress import Track, silent
from dermpack.storage.files import format_csv

if TYPE_CHECKING:
    from dermpack.evaluation.evidence import EvidenceChecks

SCHEMA = 1
MOST_SLICES = 20  # of a column that was not requested
DECIMALS = 9  # of a probability in a table: more than a float32 has


class Predictor(Protocol):
    """Returns probabilities, float64 [n, k], for picture files, in the order of `classes`."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedDecisions:
    """Thresholds that a run fitted on its validation split, and the dataset that it was trained on."""

    dataset_sha256: str = ""
    points: tuple[OperatingPoint, ...] = ()
    abstention: Abstention | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The predictions of a model for a split, and their scores."""

    model: Mapping[str, Any]  # identifies it: name and sha256
    dataset: Dataset
    split: Split
    predictions: Predictions
    scores: Scores
    slices: tuple[Slice, ...]
    operating: tuple[ReachedPoint, ...]
    answered: AnsweredShare | None
    unknown: tuple[UnknownSet, ...] = ()
    evidence: EvidenceChecks | None = None  # of a file that returns evidence maps

    def record(self) -> dict[str, Any]:
        """Return the JSON form, with a description of the dataset for readers who do not have it."""
        dataset = self.dataset
        description = {
            **{name: getattr(dataset, name) for name in ("sha256", "source", "format", "licence", "caution")},
            "options": dict(dataset.options),
            "counts": dataset.counts(),
        }
        return {
            **self.scores.record(),
            "schema": SCHEMA,
            "model": dict(self.model),
            "dataset": description,
            "operating": [point.record() for point in self.operating],
            "answered": self.answered and self.answered.record(),
            "slices": [part.record() for part in self.slices],
            "unknown": [foreign.record() for foreign in self.unknown],
            **({"evidence": self.evidence.record()} if self.evidence else {}),
        }


UNFITTED = FittedDecisions()


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    *,
    model: Mapping[str, Any],
    fitted: FittedDecisions = UNFITTED,
    split: Split = Split.TEST,
    columns: Sequence[str] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    unknown: UnknownRequest | None = None,
    track: Track = silent,
) -> Evaluation:
    """Predict and score the pictures of a split, and the slices of the columns; write nothing.

    With foreign datasets, also score how well the distance of the same model tells their pictures from those
    of the split.
    """
    check_request(dataset, split, columns)
    foreign: tuple[UnknownSet, ...] = ()
    if unknown is None:
        predictions = predict(predictor, dataset, split=split, track=track)
    else:
        _match_labels(predictor.classes, dataset, split)
        pictures = dataset.manifest.of(split)
        known = score_pictures(unknown.runner, unknown.gates, dataset, pictures, track=track)
        predictions = _make_predictions(predictor.classes, dataset, split, known.probabilities)
        foreign = compare_unknown_sets(unknown, known, resamples=resamples, seed=seed, track=track)
    scores = score(predictions, split=split.value, resamples=resamples, seed=seed)
    slices: list[Slice] = []
    # Without columns there is nothing to report progress on.
    for column in track(columns, total=len(columns), what="Slicing") if columns else ():
        cells = column_cells(dataset, split, column)
        slices += score_slices(predictions, column, cells, resamples=resamples, seed=seed)
    operating = [
        score_operating_point(predictions, point, resamples=resamples, seed=seed) for point in fitted.points
    ]
    answered = None
    if fitted.abstention is not None:
        answered = score_abstention(predictions, fitted.abstention, resamples=resamples, seed=seed)
    return Evaluation(
        model=model,
        dataset=dataset,
        split=split,
        predictions=predictions,
        scores=replace(scores, notes=(*scores.notes, *_leak_notes(fitted, dataset, split))),
        slices=tuple(slices),
        operating=tuple(operating),
        answered=answered,
        unknown=foreign,
    )


def check_request(dataset: Dataset, split: Split, columns: Sequence[str] = ()) -> None:
    """Raise before a model is loaded if a column is unknown, the split empty or a picture missing."""
    known = dataset.manifest.columns
    for column in columns:
        if column not in known:
            hint = "Omit the option: the dataset has no columns."
            if known:
                hint = f"Choose one of its columns: {', '.join(known)}."
            raise InputError(dataset.folder, f"there is no column {column!r}", hint, code="unknown-column")
    if not dataset.manifest.of(split):
        what = f"the {split.value} split is empty"
        raise DatasetError(dataset.folder, what, "Choose another --split.", code="empty-split")
    require_pictures(dataset, (split,))


def predict(predictor: Predictor, dataset: Dataset, *, split: Split, track: Track = silent) -> Predictions:
    """Return the predictions for a split; labels are matched by name, and the dataset may lack some."""
    check_request(dataset, split)
    files = [dataset.file(picture) for picture in dataset.manifest.of(split)]
    _match_labels(predictor.classes, dataset, split)  # before the long work
    return _make_predictions(predictor.classes, dataset, split, predictor(files, track=track))


def _make_predictions(
    classes: tuple[str, ...], dataset: Dataset, split: Split, probabilities: Floats
) -> Predictions:
    pictures = dataset.manifest.of(split)
    return Predictions(
        classes=classes,
        pictures=tuple(picture.path for picture in pictures),
        groups=tuple(picture.group for picture in pictures),
        truth=as_truth(_match_labels(classes, dataset, split)),
        probabilities=probabilities,
    )


def _match_labels(classes: tuple[str, ...], dataset: Dataset, split: Split) -> list[int]:
    """Return the position of each picture's label in the classes, or raise InputError."""
    pictures = dataset.manifest.of(split)
    indices = {name: index for index, name in enumerate(classes)}
    # Labels are matched by name: dataset and model may list them in different orders.
    unknown = Counter(picture.label for picture in pictures if picture.label not in indices)
    if unknown:
        label, count = min(unknown.items())
        what = f"{count} pictures have the label {label!r}, which the model does not have"
        known = ", ".join(classes)
        hint = f"Import with --map or --negative, so that all labels are among: {known}."
        raise InputError(dataset.folder, what, hint, code="unknown-label")
    return [indices[picture.label] for picture in pictures]


def choose_slice_columns(dataset: Dataset, split: Split) -> tuple[str, ...]:
    """Return the metadata columns worth slicing by: few values or numbers, and no identifiers."""
    chosen = []
    for name in dataset.manifest.columns:
        values = set(slice_values(name, dataset.manifest.column(name))) - {MISSING}
        cells = column_cells(dataset, split, name)
        split_values = set(slice_values(name, cells)) - {MISSING}
        # Few values in the whole dataset, but at least two of them in this split.
        is_few = len(values) <= MOST_SLICES and 2 <= len(split_values) <= MOST_SLICES
        if is_few and len(split_values) < len(cells) and not is_identifier_column(dataset, name):
            chosen.append(name)
    return tuple(chosen)


def column_cells(dataset: Dataset, split: Split, column: str) -> list[str]:
    """Return the column's cells for the pictures of a split."""
    index = dataset.manifest.columns.index(column)
    return [picture.metadata[index] for picture in dataset.manifest.of(split)]


def predictions_table(predictions: Predictions) -> str:
    """Return CSV with one row per picture: truth, prediction and the probability of each class."""
    rows = [("picture", "group", "truth", "predicted", *predictions.classes)]
    classes, predicted = predictions.classes, predictions.predicted
    for index, picture in enumerate(predictions.pictures):
        labels = classes[predictions.truth[index]], classes[predicted[index]]
        probabilities = (f"{value:.{DECIMALS}g}" for value in predictions.probabilities[index])
        rows.append((picture, predictions.groups[index], *labels, *probabilities))
    return format_csv(rows)


def _leak_notes(fitted: FittedDecisions, dataset: Dataset, split: Split) -> Iterator[str]:
    """Yield a note if the run may have been trained on some of the pictures, or on related ones."""
    if not fitted.dataset_sha256:
        return
    if fitted.dataset_sha256 != dataset.sha256:
        yield "another dataset than the run was trained on: both may contain the same pictures or people"
        return
    if split is not Split.TEST:
        yield f"optimistic: the run was trained with the {split.value} split"
        return
    # A clean split shares no group and no near-duplicate with the pictures that the run was trained with.
    others = [picture for picture in dataset.pictures if picture.split is not split]
    groups = {picture.group for picture in others} - {""}
    clusters = {picture.cluster for picture in others} - {""}
    pictures = dataset.manifest.of(split)
    count = sum(picture.group in groups or picture.cluster in clusters for picture in pictures)
    if count:
        yield (
            f"optimistic: the group or a duplicate of {count} of these pictures is in another split, "
            "which the run was trained with"
        )
