"""Show what metadata adds to the picture, on the page and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from dermpack.evaluation.metadata_study import BOTH, METADATA, PICTURE, SHUFFLED, MetadataStudy, StudyRow
from dermpack.metrics.intervals import Interval
from dermpack.reporting.page import NO_VALUE, Block, Table

SHOWN = {"balanced_accuracy": "balanced accuracy", "accuracy": "accuracy", "auroc": "AUROC"}
ONE_MODEL = {
    BOTH: BOTH,
    PICTURE: f"{PICTURE} (every field blank)",
    METADATA: f"{METADATA} (mid-grey picture)",
    SHUFFLED: SHUFFLED,
}
METHOD = (
    "All rows are about the same pictures. The gain is the figure of picture and metadata minus that of the "
    "row, with a paired 95 % interval: one that contains 0 shows no difference. A row without a model "
    "shows what this model does without one of its inputs; a row with a model shows what a model does that "
    "was trained on one input alone. If metadata of other pictures changes nothing, the model ignores it."
)
IMPORTANCE = (
    "The balanced accuracy that is lost where the values of one column are shuffled among the pictures: the "
    "mean and the standard deviation over {repeats} permutations. A negative loss is chance."
)


def study_blocks(study: MetadataStudy) -> list[Block]:
    """Return the tables of the page."""
    header = ("answer from", *(f"{name}{gain}" for name in SHOWN.values() for gain in ("", ", gain")))
    rows = [(_name(row), *_cells(row, tuple(SHOWN))) for row in study.rows]
    losses = [
        (loss.column, f"{loss.mean:.3f} ± {loss.deviation:.3f}", f"{loss.ignored}") for loss in study.columns
    ]
    columns = ("column", "loss", "cells with a value that the model has not seen")
    return [
        Table("Picture and metadata", header, rows),
        METHOD,
        Table("Importance of each column", columns, losses),
        IMPORTANCE.format(repeats=study.repeats),
    ]


def terminal_rows(study: MetadataStudy) -> list[tuple[str, ...]]:
    """Return answer from, balanced accuracy and gain, narrow enough for a terminal."""
    return [(_name(row), *_cells(row, ("balanced_accuracy",))) for row in study.rows]


def _name(row: StudyRow) -> str:
    return f"{row.name} ({row.model}, trained for it)" if row.model else ONE_MODEL[row.name]


def _cells(row: StudyRow, metrics: Sequence[str]) -> list[str]:
    """Return each figure and its gain: 0.712 (0.690 to 0.731), +0.020 (+0.001 to +0.041)."""
    cells = []
    for metric in metrics:
        figure, gain = row.figures[metric], row.gains[metric]
        value = NO_VALUE if figure.value is None else f"{figure.value:.3f} ({_interval(figure.ci95, '.3f')})"
        is_itself = row.name == BOTH and not row.model
        signed = f"{gain.difference:+.3f} ({_interval(gain.ci95, '+.3f')})"
        cells += [value, NO_VALUE if is_itself else signed]
    return cells


def _interval(ends: Interval | None, form: str) -> str:
    return NO_VALUE if ends is None else " to ".join(format(end, form) for end in ends)
