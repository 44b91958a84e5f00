"""Answers for programs: JSON, and CSV that a spreadsheet may open."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from dermpack.errors import PictureError
from dermpack.inference.predict.answers import Answer, Answers, Failure, Flag
from dermpack.inference.predict.opened_model import OpenedModel
from dermpack.inference.predict.terminal_text import NOT_SURE

SCHEMA = 1
DECIMALS = 9  # of a number in a table: beyond what a float32 holds
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what a spreadsheet would run


def record(model: OpenedModel, answers: Answers, *, runtime: str | None) -> dict[str, Any]:
    """The JSON object; nothing in it depends on how many threads there were."""
    return {
        "schema": SCHEMA,
        "model": {
            "file": model.path.name,
            "sha256": model.sha256,
            "name": model.name or None,
            "version": model.version or None,
            "runtime": runtime,
            "labels": list(model.labels),
            "calibrated": model.temperature is not None,
            "abstain_below": model.abstain_below,
        },
        "pictures": [_outcome(of, answers) for of in answers.outcomes],
    }


def table_bytes(model: OpenedModel, answers: Answers) -> bytes:
    """One row a picture, in UTF-8: what it is called, the answer, labels by rank, thresholds, the error."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(map(cell, _header(model, answers)))
    for of in answers.outcomes:
        writer.writerow(_failed(of, model, answers.top) if isinstance(of, Failure) else _row(of))
    return buffer.getvalue().encode("utf-8", "backslashreplace")  # a name may be no text


def cell(content: str) -> str:
    """Text that a spreadsheet takes for text: "=1+1.jpg" → "'=1+1.jpg"."""
    return f"'{content}" if content.startswith(FORMULA) else content


def _outcome(of: Answer | Failure, answers: Answers) -> dict[str, Any]:
    if isinstance(of, Failure):
        reason = of.error.reason if isinstance(of.error, PictureError) else None
        error = {"code": of.error.code, "reason": reason, "what": of.error.what, "hint": of.error.hint}
        return {"picture": of.picture, "error": error}
    name = answers.kind.value
    return {
        "picture": of.picture,
        "label": of.label,
        "sure": of.is_sure,
        "top": [{"label": guess.label, name: guess.value} for guess in of.guesses],
        "operating_points": [_flag(flag) for flag in of.flags],
    }


def _flag(flag: Flag) -> dict[str, Any]:
    return {
        "label": flag.point.label,
        "wanted_sensitivity": flag.point.wanted_sensitivity,
        "threshold": flag.point.threshold,
        "probability": flag.probability,
        "reached": flag.is_reached,
    }


def _header(model: OpenedModel, answers: Answers) -> Iterator[str]:
    yield from ("picture", "answer")
    for at in range(1, answers.top + 1):
        yield from (f"label_{at}", f"{answers.kind.value}_{at}")
    yield from (f"{of.label} at sensitivity {of.wanted_sensitivity:g}" for of in model.points)
    yield "error"


def _row(of: Answer) -> Iterator[str]:
    yield from (cell(of.picture), cell(of.label or NOT_SURE))
    for guess in of.guesses:
        yield from (cell(guess.label), f"{guess.value:.{DECIMALS}g}")
    yield from ("yes" if flag.is_reached else "no" for flag in of.flags)
    yield ""


def _failed(of: Failure, model: OpenedModel, top: int) -> list[str]:
    empty = [""] * (1 + 2 * top + len(model.points))
    return [cell(of.picture), *empty, cell(of.error.what)]
