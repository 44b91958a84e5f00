"""Measure what metadata adds to the picture: both, each alone, shuffled, and the importance of each column.

All rows are about the same pictures, and every difference is paired. One model gives all of them: a blank row
of metadata for the picture alone, a mid-grey picture for the metadata alone. That shows what this model uses.
What the other input could do by itself, only a model shows that was trained on it alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dermpack.inference.metadata_rows import EncodedMetadata, MetadataVariant, column_slices
from dermpack.metrics.definitions import (
    balanced_accuracy,
    weighted_accuracy,
    weighted_auroc,
    weighted_balanced_accuracy,
)
from dermpack.metrics.intervals import Interval, compare_metric
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.metrics.summary import Figure, overall_figures
from dermpack.storage.codec import encode

REPEATS = 5  # permutations of a column
BOTH, PICTURE, METADATA, SHUFFLED = (
    "picture and metadata",
    "picture alone",
    "metadata alone",
    "metadata of other pictures",
)
SHOWN = {
    "balanced_accuracy": weighted_balanced_accuracy,
    "accuracy": weighted_accuracy,
    "auroc": weighted_auroc,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """Picture and metadata minus the row, under the same draws of groups."""

    difference: float
    ci95: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationRow:
    """The figures of one way to answer; `model` names another model than the one that is scored."""

    name: str
    model: str = ""
    figures: Mapping[str, Figure]
    gains: Mapping[str, PairedDifference]  # what picture and metadata of the scored model reach beyond it


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnLoss:
    """The balanced accuracy that is lost where the values of a column are shuffled among the pictures."""

    column: str
    mean: float
    deviation: float  # standard deviation over the permutations
    ignored: int  # cells with a value that the model was not trained on, which count as missing


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataStudy:
    """The rows of a model with metadata, and the loss of each column."""

    rows: tuple[AblationRow, ...]
    columns: tuple[ColumnLoss, ...]
    repeats: int = REPEATS

    def record(self) -> dict[str, Any]:
        content: dict[str, Any] = encode(self)
        return content


def make_variants(metadata: EncodedMetadata, *, has_picture: bool, seed: int) -> tuple[MetadataVariant, ...]:
    """Return what to predict: as it is, blank, without picture, shuffled, then each column shuffled."""
    rows, n = metadata.rows, len(metadata.rows)
    rng = np.random.default_rng(seed)
    variants = [MetadataVariant(rows=rows)]
    if has_picture:
        variants.append(MetadataVariant(rows=np.tile(metadata.blank, (n, 1))))
        variants.append(MetadataVariant(rows=rows, hides_picture=True))
    variants.append(MetadataVariant(rows=rows[rng.permutation(n)]))
    for slots in column_slices(metadata.columns).values():
        for _ in range(REPEATS):
            shuffled = rows.copy()
            shuffled[:, slots] = rows[rng.permutation(n), slots]
            variants.append(MetadataVariant(rows=shuffled))
    return tuple(variants)


def study_metadata(
    predictions: Predictions,
    probabilities: Floats,
    metadata: EncodedMetadata,
    *,
    others: Sequence[tuple[str, str, Predictions]] = (),
    resamples: int,
    seed: int,
) -> MetadataStudy:
    """Return the study; `probabilities` are [variants, n, k] in the order of `make_variants`.

    `others` are predictions of models that were trained on one input: the row, the model, its predictions.
    """
    names = (BOTH, PICTURE, METADATA, SHUFFLED)
    has_picture = len(probabilities) == len(names) + REPEATS * len(metadata.columns)
    own = names if has_picture else (BOTH, SHUFFLED)
    variants = [replace(predictions, probabilities=each) for each in probabilities]
    named = [(name, "", variant) for name, variant in zip(own, variants, strict=False)]
    rows = []
    for name, model, row in (*named, *others):
        figures = overall_figures(row, resamples=resamples, seed=seed)
        gains = {metric: _pair(row, predictions, metric, resamples=resamples, seed=seed) for metric in SHOWN}
        shown = {metric: figures[metric] for metric in SHOWN}
        rows.append(AblationRow(name=name, model=model, figures=shown, gains=gains))
    scores = [balanced_accuracy(variant) for variant in variants[len(own) :]]
    losses = []
    for index, column in enumerate(metadata.columns):
        lost = balanced_accuracy(predictions) - np.array(scores[index * REPEATS : (index + 1) * REPEATS])
        losses.append(
            ColumnLoss(
                column=column.name,
                mean=float(lost.mean()),
                deviation=float(lost.std(ddof=1)),
                ignored=metadata.ignored[column.name],
            )
        )
    return MetadataStudy(rows=tuple(rows), columns=tuple(losses))


def _pair(row: Predictions, both: Predictions, metric: str, *, resamples: int, seed: int) -> PairedDifference:
    found = compare_metric(row, both, SHOWN[metric], resamples=resamples, seed=seed)
    return PairedDifference(difference=found.difference, ci95=found.ci95)
