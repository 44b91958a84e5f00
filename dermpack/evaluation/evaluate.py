"""Score a predictor, a run or a .tflite file, on a split of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from dermpack.contract import Abstention, MetadataColumn, OperatingPoint
from dermpack.dataset.manifest import Dataset, Split, require_pictures
from dermpack.dataset.views import find_column, name_joined_groups
from dermpack.errors import DatasetError, InputError, count_noun
from dermpack.evaluation.metadata_study import MetadataStudy, make_variants, study_metadata
from dermpack.evaluation.unknown_sets import (
    DistancedPictures,
    UnknownRequest,
    UnknownSet,
    compare_unknown_sets,
    score_pictures,
)
from dermpack.inference.metadata_rows import EncodedMetadata, MetadataVariant, encode_split
from dermpack.metrics import RESAMPLES
from dermpack.metrics.predictions import Floats, Predictions, as_truth
from dermpack.metrics.skin_type_gap import SkinTypeGap, measure_skin_type_gap
from dermpack.metrics.skin_types import is_skin_type_column
from dermpack.metrics.slices import MISSING, Slice, is_identifier_column, score_slices, slice_values
from dermpack.metrics.summary import Scores, score
from dermpack.metrics.thresholds import AnsweredShare, ReachedPoint, score_abstention, score_operating_point
from dermpack.progress import Track, silent
from dermpack.storage.files import format_csv

if TYPE_CHECKING:
    from dermpack.evaluation.evidence import EvidenceChecks
    from dermpack.evaluation.mark_study import MarkEffect

SCHEMA = 1
MOST_SLICES = 20  # of a column that was not requested
DECIMALS = 9  # of a probability in a table: more than a float32 has


class Predictor(Protocol):
    """Returns probabilities, float64 [n, k], for picture files, in the order of `classes`."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats: ...


@runtime_checkable
class MetadataPredictor(Predictor, Protocol):
    """Also takes patient metadata; without columns, it is a predictor for pictures alone."""

    @property
    def columns(self) -> tuple[MetadataColumn, ...]: ...

    @property
    def has_picture(self) -> bool: ...

    def predict_variants(
        self, files: Sequence[Path], variants: Sequence[MetadataVariant], *, track: Track = silent
    ) -> Floats:
        """Return [variants, n, k]: every picture with each variant of its metadata."""


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
    metadata: MetadataStudy | None = None  # of a model that takes metadata
    unknown: tuple[UnknownSet, ...] = ()
    skin_type_gaps: tuple[SkinTypeGap, ...] = ()  # one for each column of skin types
    marks: tuple[MarkEffect, ...] = ()  # of generated marks, if they were asked for
    evidence: EvidenceChecks | None = None  # of a file that returns evidence maps

    def record(self) -> dict[str, Any]:
        """Return the JSON form, with a description of the dataset for readers who do not have it."""
        dataset = self.dataset
        description = {
            **{name: getattr(dataset, name) for name in ("sha256", "source", "format", "licence", "caution")},
            "options": dict(dataset.options),
            "counts": dataset.counts(),
        }
        study = {"metadata": self.metadata.record()} if self.metadata else {}
        return {
            **self.scores.record(),
            **study,
            "schema": SCHEMA,
            "model": dict(self.model),
            "dataset": description,
            "operating": [point.record() for point in self.operating],
            "answered": self.answered and self.answered.record(),
            "slices": [part.record() for part in self.slices],
            "skin_type_gaps": [gap.record() for gap in self.skin_type_gaps],
            **({"marks": [effect.record() for effect in self.marks]} if self.marks else {}),
            "unknown": [foreign.record() for foreign in self.unknown],
            **({"evidence": self.evidence.record()} if self.evidence else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedModel:
    """A model that was trained on one of the inputs; `row` states which."""

    row: str
    name: str
    predictor: Predictor


UNFITTED = FittedDecisions()


def evaluate(
    predictor: Predictor,
    dataset: Dataset,
    *,
    model: Mapping[str, Any],
    fitted: FittedDecisions = UNFITTED,
    split: Split = Split.TEST,
    columns: Sequence[str] = (),
    others: Sequence[ComparedModel] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
    unknown: UnknownRequest | None = None,
    track: Track = silent,
) -> Evaluation:
    """Predict and score the pictures of a split, and the slices of the columns; write nothing.

    A model with metadata gets that of the dataset, and is compared with itself without each of its inputs,
    and with the others, which were trained on one of them. With foreign datasets, also score how well the
    distance of the same model separates their pictures from those of the split.
    """
    check_request(dataset, split, columns)
    _check_labels(predictor.classes, dataset, split)
    with_metadata = _takes_metadata(predictor)
    if others and with_metadata is None:
        what, hint = "the model takes no metadata to compare", "Omit these models."
        raise InputError("--picture-alone, --metadata-alone", what, hint, code="option-not-applicable")
    known: DistancedPictures | None = None
    foreign: tuple[UnknownSet, ...] = ()
    if unknown is not None:
        pictures = dataset.manifest.of(split)
        known = score_pictures(unknown.runner, unknown.gates, dataset, pictures, track=track)
        foreign = compare_unknown_sets(unknown, known, resamples=resamples, seed=seed, track=track)
    study: MetadataStudy | None = None
    remarks = list(_leak_notes(fitted, dataset, split))
    if with_metadata is not None:
        metadata = encode_split(dataset, split, with_metadata.columns)
        remarks = [*_metadata_notes(metadata, dataset), *remarks]
        predictions, study = _compare_inputs(
            with_metadata, metadata, dataset, split, others, resamples=resamples, seed=seed, track=track
        )
    elif known is not None:
        predictions = _label(known.probabilities, predictor.classes, dataset, split)
    else:
        predictions = predict(predictor, dataset, split=split, track=track)
    scores = score(predictions, split=split.value, resamples=resamples, seed=seed)
    cells = [(column, column_cells(dataset, split, column)) for column in columns]
    slices, gaps = _score_columns(predictions, cells, resamples=resamples, seed=seed, track=track)
    operating, answered = _score_decisions(predictions, fitted, resamples=resamples, seed=seed)
    return Evaluation(
        model=model,
        dataset=dataset,
        split=split,
        predictions=predictions,
        scores=replace(scores, notes=(*scores.notes, *remarks)),
        slices=slices,
        operating=operating,
        answered=answered,
        metadata=study,
        unknown=foreign,
        skin_type_gaps=gaps,
    )


def _score_columns(
    predictions: Predictions,
    columns: Sequence[tuple[str, Sequence[str]]],
    *,
    resamples: int,
    seed: int,
    track: Track,
) -> tuple[tuple[Slice, ...], tuple[SkinTypeGap, ...]]:
    """Return the slices by each column, given with its cells, and the gap of each column of skin types."""
    slices: list[Slice] = []
    gaps: list[SkinTypeGap] = []
    # Without columns there is nothing to report progress on.
    for column, cells in track(columns, total=len(columns), what="Slicing") if columns else ():
        slices += score_slices(predictions, column, cells, resamples=resamples, seed=seed)
        if is_skin_type_column(column, cells):
            gap = measure_skin_type_gap(predictions, column, cells, resamples=resamples, seed=seed)
            gaps += [gap] if gap else []
    return tuple(slices), tuple(gaps)


def _score_decisions(
    predictions: Predictions, fitted: FittedDecisions, *, resamples: int, seed: int
) -> tuple[tuple[ReachedPoint, ...], AnsweredShare | None]:
    """Return the scores of the operating points and of the abstention that the run fitted."""
    operating = tuple(
        score_operating_point(predictions, point, resamples=resamples, seed=seed) for point in fitted.points
    )
    if fitted.abstention is None:
        return operating, None
    return operating, score_abstention(predictions, fitted.abstention, resamples=resamples, seed=seed)


def _compare_inputs(
    predictor: MetadataPredictor,
    metadata: EncodedMetadata,
    dataset: Dataset,
    split: Split,
    others: Sequence[ComparedModel],
    *,
    resamples: int,
    seed: int,
    track: Track,
) -> tuple[Predictions, MetadataStudy]:
    """Return the predictions from all inputs, and their comparison with fewer inputs and other models."""
    variants = make_variants(metadata, has_picture=predictor.has_picture, seed=seed)
    files = [dataset.file(picture) for picture in dataset.manifest.of(split)]
    probabilities = predictor.predict_variants(files, variants, track=track)
    predictions = _label(probabilities[0], predictor.classes, dataset, split)
    compared = [
        (other.row, other.name, predict(other.predictor, dataset, split=split, track=track))
        for other in others
    ]
    study = study_metadata(
        predictions, probabilities, metadata, others=compared, resamples=resamples, seed=seed
    )
    return predictions, study


def check_request(dataset: Dataset, split: Split, columns: Sequence[str] = ()) -> None:
    """Raise before a model is loaded if a column is unknown, the split empty or a picture missing."""
    for column in columns:
        find_column(dataset, column)
    if not dataset.manifest.of(split):
        what = f"the {split.value} split is empty"
        raise DatasetError(dataset.folder, what, "Choose another --split.", code="empty-split")
    require_pictures(dataset, (split,))


def predict(predictor: Predictor, dataset: Dataset, *, split: Split, track: Track = silent) -> Predictions:
    """Return the predictions for a split; labels are matched by name, and the dataset may lack some.

    A model with metadata gets that of the dataset.
    """
    check_request(dataset, split)
    files = [dataset.file(picture) for picture in dataset.manifest.of(split)]
    _check_labels(predictor.classes, dataset, split)
    if (with_metadata := _takes_metadata(predictor)) is None:
        return _label(predictor(files, track=track), predictor.classes, dataset, split)
    rows = encode_split(dataset, split, with_metadata.columns).rows
    (probabilities,) = with_metadata.predict_variants(files, [MetadataVariant(rows=rows)], track=track)
    return _label(probabilities, with_metadata.classes, dataset, split)


def _takes_metadata(predictor: Predictor) -> MetadataPredictor | None:
    """Return the predictor if it takes metadata."""
    return predictor if isinstance(predictor, MetadataPredictor) and predictor.columns else None


def _check_labels(classes: Sequence[str], dataset: Dataset, split: Split) -> None:
    """Raise InputError if a picture has a label that the model does not have."""
    pictures = dataset.manifest.of(split)
    # Labels are matched by name: dataset and model may list them in different orders.
    unknown = Counter(picture.label for picture in pictures if picture.label not in classes)
    if unknown:
        label, count = min(unknown.items())
        counted = count_noun(count, "picture has", "pictures have")
        what = f"{counted} the label {label!r}, which the model does not have"
        known = ", ".join(classes)
        hint = f"Import with --map or --negative, so that all labels are among: {known}."
        raise InputError(dataset.folder, what, hint, code="unknown-label")


def _label(probabilities: Floats, classes: tuple[str, ...], dataset: Dataset, split: Split) -> Predictions:
    """Return the probabilities of the pictures of a split together with their labels."""
    pictures = dataset.manifest.of(split)
    indices = {name: index for index, name in enumerate(classes)}
    return Predictions(
        classes=classes,
        pictures=tuple(picture.path for picture in pictures),
        groups=name_joined_groups(pictures),
        truth=as_truth([indices[picture.label] for picture in pictures]),
        probabilities=probabilities,
    )


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


def _metadata_notes(metadata: EncodedMetadata, dataset: Dataset) -> Iterator[str]:
    """Yield which fields of the model are blank although an app could fill them in."""
    for column in metadata.columns:
        if column.name not in dataset.manifest.columns:
            yield f"the dataset has no column {column.name}: this field of the model is blank"
        elif count := metadata.ignored[column.name]:
            values = count_noun(count, "value")
            yield f"unknown to the model, and counted as blank: {values} of {column.name}"


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
