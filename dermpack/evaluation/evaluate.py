"""Score a predictor on a dataset; whose predictor it is, a run's or a .tflite's, makes no difference."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dermpack.dataset.manifest import Dataset, Picture, Split
from dermpack.dataset.presence import check_presence
from dermpack.errors import DatasetError, InputError
from dermpack.metrics.abstention import Abstention
from dermpack.metrics.identifier_columns import identifies
from dermpack.metrics.intervals import RESAMPLES
from dermpack.metrics.operating_points import AnsweredShare, ReachedPoint, answered, reached
from dermpack.metrics.predictions import Floats, Predictions, as_truth
from dermpack.metrics.slices import MISSING, Slice, banded, score_slices
from dermpack.metrics.summary import Scores, score
from dermpack.metrics.thresholds import OperatingPoint
from dermpack.progress import Track, silent

SCHEMA = 1
MOST_SLICES = 20  # of a column that nobody asked for
DECIMALS = 9  # of a probability in a table: beyond what a float32 holds


class Predictor(Protocol):
    """Files in, float64 [n, k] out, in the order of `classes`."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedDecisions:
    """What a run brings along, fitted on its validation split, and the dataset that it has seen."""

    dataset_sha256: str = ""
    points: tuple[OperatingPoint, ...] = ()
    abstention: Abstention | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a model said of a split, and what that is worth."""

    model: Mapping[str, Any]  # its name, its sha256: whatever tells it from others
    dataset: Dataset
    split: Split
    predictions: Predictions
    scores: Scores
    slices: tuple[Slice, ...]
    operating: tuple[ReachedPoint, ...]
    answered: AnsweredShare | None

    def record(self) -> dict[str, Any]:
        return {
            **self.scores.record(),
            "schema": SCHEMA,
            "model": dict(self.model),
            "dataset": _described(self.dataset),
            "operating": [point.record() for point in self.operating],
            "answered": self.answered and self.answered.record(),
            "slices": [part.record() for part in self.slices],
        }


UNFITTED = FittedDecisions()


def _described(dataset: Dataset) -> dict[str, Any]:
    """On what, for those who have the figures and not the dataset."""
    return {
        "sha256": dataset.sha256,
        **{name: getattr(dataset, name) for name in ("source", "format", "licence", "caution")},
        "options": dict(dataset.options),
        "counts": dataset.counts(),
    }


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
    track: Track = silent,
) -> Evaluation:
    """Predict and score the pictures of a split, and the slices of the columns; nothing is written."""
    check_asked(dataset, split, columns)
    predictions = predict(predictor, dataset, split=split, track=track)
    cells = {column: cells_of(dataset, split, column) for column in columns}
    scores = score(predictions, split=split.value, resamples=resamples, seed=seed)
    return Evaluation(
        model=model,
        dataset=dataset,
        split=split,
        predictions=predictions,
        scores=replace(scores, notes=(*scores.notes, *_familiarity(fitted, dataset, split))),
        slices=_sliced(predictions, cells, resamples=resamples, seed=seed, track=track),
        operating=tuple(reached(predictions, of, resamples=resamples, seed=seed) for of in fitted.points),
        answered=_answered(predictions, fitted, resamples=resamples, seed=seed),
    )


def check_asked(dataset: Dataset, split: Split, columns: Sequence[str] = ()) -> None:
    """Say before a model is loaded that a column is unknown, the split empty, or a picture gone."""
    for column in columns:
        _check_column(dataset, column)
    if not dataset.manifest.of(split):
        what = f"the {split.value} split is empty"
        raise DatasetError(dataset.folder, what, "Choose another --split.", code="empty-split")
    check_presence(dataset, (split,))


def predict(predictor: Predictor, dataset: Dataset, *, split: Split, track: Track = silent) -> Predictions:
    """The predictions for a split; labels are matched by name, and the dataset may lack some."""
    check_asked(dataset, split)
    pictures = dataset.manifest.of(split)
    truth = _truth(pictures, predictor.classes, dataset)
    return Predictions(
        classes=predictor.classes,
        pictures=tuple(picture.path for picture in pictures),
        groups=tuple(picture.group for picture in pictures),
        truth=as_truth(truth),
        probabilities=predictor([dataset.file(picture) for picture in pictures], track=track),
    )


def telling_columns(dataset: Dataset, split: Split) -> tuple[str, ...]:
    """The metadata columns with few values each, or numbers: what is worth slicing by, and names nobody."""
    columns = {name: dataset.manifest.column(name) for name in dataset.manifest.columns}
    few = [name for name, cells in columns.items() if len(set(banded(cells)) - {MISSING}) <= MOST_SLICES]
    telling = [name for name in few if _tells(cells_of(dataset, split, name))]
    return tuple(name for name in telling if not identifies(dataset, name))


def cells_of(dataset: Dataset, split: Split, column: str) -> list[str]:
    at = dataset.manifest.columns.index(column)
    return [picture.metadata[at] for picture in dataset.manifest.of(split)]


def predictions_table(predictions: Predictions) -> str:
    """CSV with one row a picture: what it is, what it was taken for, the probability of each class."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("picture", "group", "truth", "predicted", *predictions.classes))
    names = np.array(predictions.classes, dtype=object)
    named = zip(names[predictions.truth], names[predictions.predicted], strict=True)
    rows = zip(predictions.pictures, predictions.groups, named, predictions.probabilities, strict=True)
    for picture, group, both, probabilities in rows:
        writer.writerow((picture, group, *both, *(f"{value:.{DECIMALS}g}" for value in probabilities)))
    return buffer.getvalue()


def _sliced(
    predictions: Predictions, cells: Mapping[str, Sequence[str]], *, resamples: int, seed: int, track: Track
) -> tuple[Slice, ...]:
    if not cells:
        return ()
    columns = track(cells.items(), total=len(cells), what="Slicing")
    scored = (score_slices(predictions, *column, resamples=resamples, seed=seed) for column in columns)
    return tuple(part for parts in scored for part in parts)


def _answered(
    predictions: Predictions, fitted: FittedDecisions, *, resamples: int, seed: int
) -> AnsweredShare | None:
    if fitted.abstention is None:
        return None
    return answered(predictions, fitted.abstention, resamples=resamples, seed=seed)


def _familiarity(fitted: FittedDecisions, dataset: Dataset, split: Split) -> Iterator[str]:
    """What the model may have seen before."""
    if not fitted.dataset_sha256:
        return
    if fitted.dataset_sha256 != dataset.sha256:
        yield "another dataset than the run was trained on: pictures or people may stand in both"
    elif split is not Split.TEST:
        yield f"the run has seen the {split.value} split: these figures flatter it"
    elif count := _related(dataset, split):
        yield (
            f"the group or a duplicate of {count} of these pictures stands in another split, which the run "
            "has seen: these figures flatter it"
        )


def _related(dataset: Dataset, split: Split) -> int:
    """Pictures of the split that are not strangers to the others."""
    others = [picture for picture in dataset.pictures if picture.split is not split]
    groups, clusters = {of.group for of in others} - {""}, {of.cluster for of in others} - {""}
    return sum(of.group in groups or of.cluster in clusters for of in dataset.manifest.of(split))


def _truth(pictures: Sequence[Picture], classes: Sequence[str], dataset: Dataset) -> list[int]:
    at = {name: position for position, name in enumerate(classes)}
    unknown = Counter(picture.label for picture in pictures if picture.label not in at)
    if unknown:
        label, count = min(unknown.items())
        what = f"{count} pictures have the label {label!r}, which the model does not have"
        hint = f"Import with --map or --negative, so that all labels are among: {', '.join(classes)}."
        raise InputError(dataset.folder, what, hint, code="unknown-label")
    return [at[picture.label] for picture in pictures]


def _check_column(dataset: Dataset, column: str) -> None:
    if column not in dataset.manifest.columns:
        known = ", ".join(dataset.manifest.columns)
        hint = (
            f"Choose one of its columns: {known}."
            if known
            else "Omit the option: the dataset has no columns."
        )
        raise InputError(dataset.folder, f"there is no column {column!r}", hint, code="unknown-column")


def _tells(cells: Sequence[str]) -> bool:
    values = set(banded(cells)) - {MISSING}
    return 2 <= len(values) <= MOST_SLICES and len(values) < len(cells)
