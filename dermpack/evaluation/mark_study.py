"""Measure what generated marks change: the same pictures with letters, a ruler, or text in a corner.

A network that learned a mark instead of the condition gives other answers when a mark is added. All figures
are paired: marked minus unmarked, on the same pictures and the same draws of groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np

from dermpack.dataset.manifest import Dataset, Split
from dermpack.errors import count_noun
from dermpack.evaluation.evaluate import Predictor, predict
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.preprocessing import Policy
from dermpack.metrics.definitions import (
    Metric,
    label_recall,
    weighted_auroc,
    weighted_balanced_accuracy,
)
from dermpack.metrics.intervals import MIN_GROUPS, Difference, compare_metric
from dermpack.metrics.predictions import Flags, Floats, Predictions
from dermpack.progress import Track, silent
from dermpack.reporting.page import Block, Image, Table
from dermpack.storage.codec import encode
from dermpack.synthetic.marks import MarkKind, draw_mark, encode_png, paint_mark

OVERALL = {"balanced_accuracy": weighted_balanced_accuracy, "auroc": weighted_auroc}
METHOD = (
    "The same pictures with one generated mark each, painted on the pixels that the model gets. Each value "
    "is marked minus unmarked, with a paired 95 % interval. If an interval contains 0, the effect may be "
    "chance; of many intervals, about one in twenty does not contain 0 by chance alone. A label whose recall "
    "falls and another whose share of the answers rises show where the answers go. Marks of other shapes can "
    "have other effects."
)
ENDS = {"first": "unmarked", "second": "marked"}  # of a difference, in the record
SHOWN = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC"}
SAMPLE_PX, SAMPLE_GREY, GAP_PX = 160, 128, 8
CHUNK = 256  # marked copies on the disk at a time


class SquarePredictor(Predictor, Protocol):
    """A predictor whose input is a square of pixels."""

    @property
    def input_format(self) -> tuple[int, Policy]:
        """The side of the input, and how a picture becomes a square."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedLabel:
    """What a mark changes for one label, which `n` pictures have."""

    label: str
    n: int
    recall: Difference | None  # None without pictures of the label
    answers: Difference  # the share of all pictures that get this label


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkEffect:
    """What one kind of mark changes."""

    kind: MarkKind
    n: int
    changed_answers: int
    figures: dict[str, Difference]
    labels: tuple[MarkedLabel, ...]

    def record(self) -> dict[str, Any]:
        """Return the JSON form, in which first is unmarked and second marked."""
        return dict(_name_ends(encode(self)))


def study_marks(
    predictor: SquarePredictor,
    dataset: Dataset,
    split: Split,
    unmarked: Predictions,
    *,
    resamples: int,
    seed: int,
    track: Track = silent,
) -> tuple[MarkEffect, ...]:
    """Return the effect of each kind of mark on the predictions for a split."""
    effects = []
    for kind in MarkKind:
        probabilities = _predict_marked(predictor, dataset, split, kind, seed=seed, track=track)
        marked = replace(unmarked, probabilities=probabilities)
        effects.append(_compare(kind, unmarked, marked, resamples=resamples, seed=seed))
    return tuple(effects)


def _predict_marked(
    predictor: SquarePredictor, dataset: Dataset, split: Split, kind: MarkKind, *, seed: int, track: Track
) -> Floats:
    """Return the probabilities of marked copies of the pictures, some of which are on the disk at a time."""
    size, policy = predictor.input_format
    pictures = dataset.manifest.of(split)
    starts = range(0, len(pictures), CHUNK)
    parts = []
    with PictureDecoder() as decoder:
        for start in track(starts, total=len(starts), what=f"Marking ({kind.value})"):
            chunk = pictures[start : start + CHUNK]
            prepared = decoder.prepare_all([dataset.file(each) for each in chunk], size, policy=policy)
            with TemporaryDirectory(prefix="dermpack-marks-") as name:
                for index, (picture, pixels) in enumerate(zip(chunk, prepared, strict=True), start=start):
                    # A PNG of the size of the input gives the model exactly these pixels.
                    target = Path(name) / picture.path
                    target.parent.mkdir(parents=True, exist_ok=True)
                    mark = draw_mark(kind, size, seed=(seed, index))
                    target.write_bytes(encode_png(paint_mark(pixels, mark)))
                manifest = replace(dataset.manifest, pictures=chunk)
                copies = replace(dataset, folder=Path(name), root=".", manifest=manifest)
                parts.append(predict(predictor, copies, split=split).probabilities)
    return np.concatenate(parts)


def mark_blocks(effects: Sequence[MarkEffect]) -> list[Block]:
    """Return the section of the page: samples of the marks without any picture, and a table for each kind."""
    grey = np.full((SAMPLE_PX, SAMPLE_PX, 3), SAMPLE_GREY, np.uint8)
    samples = [paint_mark(grey, draw_mark(kind, SAMPLE_PX, seed=(0,))) for kind in MarkKind]
    samples = [np.pad(each, ((0, 0), (0, GAP_PX), (0, 0)), constant_values=255) for each in samples]
    alt = "One generated mark of each kind on grey: letters, a ruler, text in a corner"
    blocks: list[Block] = [METHOD, Image(data=encode_png(np.concatenate(samples, axis=1)), alt=alt)]
    header = ("label", "pictures", "change of recall", "change of its share of the answers")
    for effect in effects:
        overall = "; ".join(
            f"{SHOWN[name]} {difference_text(change)}" for name, change in effect.figures.items()
        )
        rows = [
            (one.label, f"{one.n}", difference_text(one.recall), difference_text(one.answers))
            for one in effect.labels
        ]
        changed = f"{effect.changed_answers:,} of {count_noun(effect.n, 'answer')} change"
        blocks.append(Table(f"{effect.kind.value.capitalize()}: {changed}; {overall}", header, rows))
    return blocks


def mark_rows(effects: Sequence[MarkEffect]) -> list[tuple[str, ...]]:
    """Return mark, label, change of recall and of the answers, narrow enough for a terminal."""
    return [
        (
            effect.kind.value,
            one.label,
            difference_text(one.recall, ".2f"),
            difference_text(one.answers, ".2f"),
        )
        for effect in effects
        for one in effect.labels
    ]


def difference_text(change: Difference | None, form: str = ".3f") -> str:
    """Format a paired change with its interval: "-0.120 (-0.160 to -0.080)"."""
    if change is None:
        return "–"
    interval = "–" if change.ci95 is None else " to ".join(f"{end:+{form}}" for end in change.ci95)
    return f"{change.difference:+{form}} ({interval})"


def _compare(
    kind: MarkKind, unmarked: Predictions, marked: Predictions, *, resamples: int, seed: int
) -> MarkEffect:
    codes = unmarked.group_codes()

    def compare(metric: Metric, rows: Flags) -> Difference:
        """Compare over all pictures; an interval needs enough groups of those that the metric is about."""
        draws = resamples if len(np.unique(codes[rows])) >= MIN_GROUPS else 0
        return compare_metric(unmarked, marked, metric, resamples=draws, seed=seed)

    everything = np.ones(len(unmarked), bool)
    labels = []
    for index, label in enumerate(unmarked.classes):
        own = unmarked.truth == index
        n = int(own.sum())
        labels.append(
            MarkedLabel(
                label=label,
                n=n,
                recall=compare(label_recall(index), own) if n else None,
                answers=compare(_share_of_answers(index), everything),
            )
        )
    return MarkEffect(
        kind=kind,
        n=len(unmarked),
        changed_answers=int((unmarked.predicted != marked.predicted).sum()),
        figures={name: compare(metric, everything) for name, metric in OVERALL.items()},
        labels=tuple(labels),
    )


def _share_of_answers(index: int) -> Metric:
    """Return the share of the pictures that get this label as a metric."""
    return lambda predictions, weights: np.asarray(
        weights @ (predictions.predicted == index) / weights.sum(axis=1)
    )


def _name_ends(content: Any) -> Any:
    """Return a record with the ends of each difference named: first and second become unmarked and marked."""
    if isinstance(content, list):
        return [_name_ends(value) for value in content]
    if not isinstance(content, dict):
        return content
    return {ENDS.get(name, name): _name_ends(value) for name, value in content.items()}
