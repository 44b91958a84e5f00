"""Analyse the pixels of a dataset: suspected label errors, unusual pictures and shortcuts.

Every picture is decoded once for its measures and once for the features of a small pretrained network, which
are cached. Of a large dataset, a random sample of units is analysed: the pictures of a group, and near
duplicates, are taken together or not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np

from dermpack.dataset.manifest import Dataset, Picture
from dermpack.errors import MissingExtraError
from dermpack.metrics.slices import is_identifier_column
from dermpack.progress import Track, silent
from trainer.datasets.exploration.columns import Column, ColumnKind, read_columns
from trainer.datasets.exploration.pixels.cross_validation import (
    Folds,
    create_linear_classifier,
    divide_into_folds,
    find_units,
    predict_out_of_fold,
    scale_features,
)
from trainer.datasets.exploration.pixels.label_errors import LabelErrors, find_label_errors
from trainer.datasets.exploration.pixels.picture_measures import measure_pictures
from trainer.datasets.exploration.pixels.shortcuts import Shortcuts, measure_shortcuts
from trainer.datasets.exploration.pixels.unusual_pictures import UnusualPictures, find_unusual_pictures
from trainer.datasets.picture_features import Features, SourcePicture, compute_features

# On two cores, 1,000 pictures of 600 × 450 pixels take about a minute, mostly for their features.
MAX_ANALYSED = 10_000
WITHOUT_FEATURES = "the features of the pictures were not computed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureAnalysis:
    """The analysis of the pixels of a dataset of `pictures`; `analysed` of them were decoded."""

    pictures: int
    analysed: int
    unreadable: int  # missing, changed or broken files among the chosen ones
    features_missing: str  # why there are no features, "" if there are
    label_errors: LabelErrors
    unusual: UnusualPictures
    shortcuts: Shortcuts


def analyse_pictures(
    dataset: Dataset,
    *,
    seed: int,
    most: int = MAX_ANALYSED,
    with_features: bool = True,
    track: Track = silent,
) -> PictureAnalysis:
    """Return the analysis of at most this many pictures; without an interpreter it has no label errors."""
    sample = choose_units(dataset.pictures, most=most, seed=seed)
    found = measure_pictures(_list_sources(dataset, sample), track=track)
    kept = [index for index, measured in zip(sample, found, strict=True) if measured is not None]
    measures = [measured for measured in found if measured is not None]
    chosen = tuple(dataset.pictures[index] for index in kept)
    features, missing = None, WITHOUT_FEATURES
    if with_features:
        features, missing = _compute_features(_list_sources(dataset, kept), track)
    folds = divide_into_folds(chosen, seed=seed)
    label_errors, shortcuts = LabelErrors(refusal=folds.refusal), Shortcuts(refusal=folds.refusal)
    if features is None:
        label_errors = replace(label_errors, refusal=missing)
    rows = list(folds.rows)
    if not folds.refusal:
        if features is not None:
            label_errors = _find_label_errors(chosen, features[rows], folds, seed=seed, track=track)
        shortcuts = measure_shortcuts(
            chosen,
            _read_columns(dataset, kept),
            folds,
            border=np.stack([measures[row].border for row in rows]),
            whole=label_errors.quality,
            seed=seed,
            track=track,
        )
    return PictureAnalysis(
        pictures=len(dataset.pictures),
        analysed=len(chosen),
        unreadable=len(sample) - len(chosen),
        features_missing=missing,
        label_errors=label_errors,
        unusual=find_unusual_pictures(chosen, measures, features),
        shortcuts=shortcuts,
    )


def choose_units(pictures: Sequence[Picture], *, most: int, seed: int) -> list[int]:
    """Return the indices of at most this many pictures: whole units, in a random order of the units."""
    if len(pictures) <= most:
        return list(range(len(pictures)))
    members: dict[int, list[int]] = {}
    for index, unit in enumerate(find_units(pictures)):
        members.setdefault(unit, []).append(index)
    units = list(members)
    Random(f"{seed}").shuffle(units)
    chosen: list[int] = []
    for unit in units:
        if len(chosen) + len(members[unit]) <= most:
            chosen += members[unit]
    return sorted(chosen)


def _list_sources(dataset: Dataset, indices: Sequence[int]) -> list[SourcePicture]:
    chosen = [dataset.pictures[index] for index in indices]
    return [(dataset.file(picture), picture.sha256) for picture in chosen]


def _compute_features(sources: Sequence[SourcePicture], track: Track) -> tuple[Features | None, str]:
    """Return the features, or None and the reason."""
    if not sources:
        return None, "no picture could be read"
    try:
        return compute_features(sources, track=track), ""
    except MissingExtraError as error:
        return None, f"{error.what}: {error.where}. {error.hint}"


def _find_label_errors(
    pictures: Sequence[Picture], features: Features, folds: Folds, *, seed: int, track: Track
) -> LabelErrors:
    classifier = create_linear_classifier()
    scaled = scale_features(features)
    probabilities = predict_out_of_fold(scaled, folds, classifier, what="label errors", track=track)
    return find_label_errors(pictures, probabilities, folds, seed=seed)


def _read_columns(dataset: Dataset, rows: Sequence[int]) -> list[Column]:
    """Return the columns with the cells of these pictures; identifiers are names, whatever they look like."""
    columns = []
    for column in read_columns(dataset.manifest):
        kind = ColumnKind.NAMES if is_identifier_column(dataset, column.name) else column.kind
        cells = tuple(column.cells[row] for row in rows)
        numbers = tuple(column.numbers[row] for row in rows) if column.numbers else ()
        columns.append(replace(column, kind=kind, cells=cells, numbers=numbers))
    return columns
