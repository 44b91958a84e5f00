"""Everything that an evaluation report holds, by file name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dermpack.evaluation.plots import evaluation_plots
from dermpack.evaluation.report_page import evaluation_page
from dermpack.metrics.mistakes import worst_mistakes
from dermpack.metrics.operating_points import AnsweredShare, ReachedPoint
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.slices import Slice
from dermpack.metrics.summary import Scores
from dermpack.reporting.contact_sheet import contact_sheet
from dermpack.storage.files import json_text

RECORD_FILE, PAGE_FILE, SHEET_FILE = "report.json", "report.html", "mistakes.png"
WORST = 24  # mistakes on the contact sheet
MISTAKE_PX, MISTAKES_ACROSS = 160, 5  # wide enough for a name of two words


def evaluation_files(
    predictions: Predictions,
    scores: Scores,
    *,
    record: Mapping[str, Any],
    model: str,
    source: str,
    slices: Sequence[Slice] = (),
    operating: Sequence[ReachedPoint] = (),
    answered: AnsweredShare | None = None,
    files: Mapping[str, Path] | None = None,
) -> dict[str, bytes]:
    """File name → bytes; `files` says where the pictures are, None that none may be shown."""
    plots = evaluation_plots(predictions, scores)
    sheet = None if files is None else _mistakes_sheet(predictions, files)
    page = evaluation_page(
        scores,
        model=model,
        source=source,
        slices=slices,
        operating=operating,
        answered=answered,
        plots=plots,
        mistakes=sheet,
    )
    shown = {SHEET_FILE: sheet} if sheet else {}
    texts = {PAGE_FILE: page, RECORD_FILE: json_text(record)}
    return {**plots, **shown, **{name: text.encode("utf-8") for name, text in texts.items()}}


def _mistakes_sheet(predictions: Predictions, files: Mapping[str, Path]) -> bytes | None:
    worst = worst_mistakes(predictions, most=WORST)
    entries = [(files[of.picture], (of.truth, f"as {of.predicted}", f"{of.confidence:.2f}")) for of in worst]
    return contact_sheet(entries, cell=MISTAKE_PX, columns=MISTAKES_ACROSS) if entries else None
