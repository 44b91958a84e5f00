"""Format answers: text for a terminal, a JSON record, and CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unicodedata import combining, east_asian_width

from dermpack.errors import PictureError, escape_unprintable
from dermpack.inference.model_files import OpenedModel
from dermpack.inference.predict.answers import (
    NOT_SURE,
    UNLIKE,
    Answer,
    Answers,
    Failure,
    OutputKind,
    ScoredLabel,
)
from dermpack.storage.files import format_csv

UNLIKE_BRIEFLY = "unlike training pictures"  # in a column
BAR_CELLS, EIGHTHS = 24, " ▏▎▍▌▋▊▉█"
MAX_PADDED_CELLS = 60  # a longer name sticks out alone instead of widening the column for all others
GAP = "  "
SCHEMA = 1
DECIMALS = 9  # of a number in CSV: more than a float32 has


def format_answers(model: OpenedModel, answers: Answers) -> str:
    """Return the text for a terminal: one picture with bars, or a table with one line per picture."""
    answered = answers.answered
    if len(answers.outcomes) == 1:
        return "\n".join(_format_single(model, answer, answers.kind) for answer in answered)
    return _format_table(answered, answers.kind)


def format_value(value: float, kind: OutputKind) -> str:
    """Return "71.2 %" for 0.71234; a probability that is not certain is never shown as 100 % or 0 %."""
    if kind is OutputKind.OUTPUT:
        return f"{value:.4g}"
    if value < 1 and f"{value:.1%}" == "100.0%":
        return ">99.9 %"
    if value > 0 and f"{value:.1%}" == "0.0%":
        return "<0.1 %"
    return f"{100 * value:.1f} %"


def answers_record(model: OpenedModel, answers: Answers, *, runtime: str | None) -> dict[str, Any]:
    """Return the JSON object of all answers; it does not depend on the number of threads."""
    familiarity = model.interface.familiarity if model.interface else None
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
            "unlike_above": familiarity.threshold if familiarity else None,
        },
        "pictures": [_outcome_record(outcome, answers.kind) for outcome in answers.outcomes],
    }


def answers_csv(model: OpenedModel, answers: Answers) -> bytes:
    """Return a table in UTF-8, one row per picture: name, answer, ranked labels, thresholds, error.

    The thresholds of a refused picture are empty, because its numbers are not valid.
    """
    header = ["picture", "answer"]
    for rank in range(1, answers.top + 1):
        header += [f"label_{rank}", f"{answers.kind.value}_{rank}"]
    header += [f"{point.label} at sensitivity {point.wanted_sensitivity:g}" for point in model.points]
    has_distance = model.interface is not None and model.interface.familiarity is not None
    header += ["distance to training pictures"] if has_distance else []
    rows = [[*header, "error"]]
    for outcome in answers.outcomes:
        row = [outcome.picture]
        if isinstance(outcome, Failure):
            row += [""] * (len(header) - 1)
            rows.append([*row, outcome.error.what])
            continue
        row.append(outcome.refusal or outcome.first.label)
        for guess in outcome.guesses:
            row += [guess.label, f"{guess.value:.{DECIMALS}g}"]
        if outcome.is_refused:
            row += [""] * len(outcome.flags)
        else:
            row += ["yes" if flag.is_reached else "no" for flag in outcome.flags]
        if outcome.familiarity is not None:
            row.append(f"{outcome.familiarity.distance:.{DECIMALS}g}")
        rows.append([*row, ""])
    return format_csv(rows).encode("utf-8", "backslashreplace")  # a file name can be invalid UTF-8


def _outcome_record(outcome: Answer | Failure, kind: OutputKind) -> dict[str, Any]:
    if isinstance(outcome, Failure):
        error = outcome.error
        reason = error.reason if isinstance(error, PictureError) else None
        described = {"code": error.code, "reason": reason, "what": error.what, "hint": error.hint}
        return {"picture": outcome.picture, "error": described}
    familiarity = outcome.familiarity
    points = [
        {
            "label": flag.point.label,
            "wanted_sensitivity": flag.point.wanted_sensitivity,
            "threshold": flag.point.threshold,
            "probability": flag.probability,
            "reached": flag.is_reached,
        }
        for flag in outcome.flags
    ]
    return {
        "picture": outcome.picture,
        "label": outcome.label,
        "sure": outcome.is_sure,
        "familiar": familiarity and familiarity.is_familiar,
        "distance": familiarity and familiarity.distance,
        "fault": outcome.fault and outcome.fault.value,
        "top": [{"label": guess.label, kind.value: guess.value} for guess in outcome.guesses],
        "operating_points": points,
    }


def _format_single(model: OpenedModel, answer: Answer, kind: OutputKind) -> str:
    """Return a line with the answer, a line with a bar per label, and a line per reached threshold."""
    first = escape_unprintable(answer.first.label)
    if answer.refusal is None:
        verdict = first
    elif answer.refusal != NOT_SURE or model.abstain_below is None:
        verdict = f"{answer.refusal} ({first} would come first)"
    else:
        value, least = format_value(answer.first.value, kind), format_value(model.abstain_below, kind)
        verdict = f"{NOT_SURE} ({first} would come first, but {value} is less than {least})"
    lines = [f"{escape_unprintable(answer.picture)}: {verdict}"]
    for cell, guess in zip(_pad_guesses(answer.guesses, kind, gap=GAP), answer.guesses, strict=True):
        # A cell of the terminal is divided into eighths, so that a bar shows half a percent.
        eighths = round(min(1.0, max(0.0, guess.value)) * BAR_CELLS * 8)
        bar = "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()
        bar = bar if kind is OutputKind.PROBABILITY else ""
        lines.append(f"{GAP}{cell}{GAP}{bar}")
    for flag in answer.flags:
        if flag.point in answer.reached_points:
            value = format_value(flag.probability, OutputKind.PROBABILITY)
            threshold = format_value(flag.point.threshold, OutputKind.PROBABILITY)
            reached = f"reaches {threshold}, the threshold for sensitivity {flag.point.wanted_sensitivity:g}"
            lines.append(f"{GAP}{escape_unprintable(flag.point.label)}: its probability, {value}, {reached}")
    return "\n".join(line.rstrip() for line in lines)


def _format_table(answered: Sequence[Answer], kind: OutputKind) -> str:
    """Return a header, then a line per picture: its name, its ranked labels, the thresholds it reaches."""
    if not answered:
        return ""
    columns = [_pad(["picture", *(answer.picture for answer in answered)])]
    if any(answer.is_sure is not None or answer.refusal for answer in answered):
        refusals = [UNLIKE_BRIEFLY if answer.refusal == UNLIKE else answer.refusal for answer in answered]
        columns.append(_pad(["answered", *(refusal or "yes" for refusal in refusals)]))
    for index in range(len(answered[0].guesses)):
        cells = _pad_guesses([answer.guesses[index] for answer in answered], kind, gap=" ")
        # 1 → 1st, 22 → 22nd, but 13 → 13th.
        rank = index + 1
        ending = "th" if rank // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
        columns.append(_pad([f"{rank}{ending}", *cells]))
    if any(answer.flags for answer in answered):
        reached = []
        for answer in answered:
            points = answer.reached_points
            names = [f"{point.label} at sensitivity {point.wanted_sensitivity:g}" for point in points]
            reached.append(escape_unprintable(", ".join(names)))
        columns.append(["thresholds reached", *reached])
    return "\n".join(GAP.join(cells).rstrip() for cells in zip(*columns, strict=True))


def _pad_guesses(guesses: Sequence[ScoredLabel], kind: OutputKind, *, gap: str) -> list[str]:
    labels = _pad([guess.label for guess in guesses])
    values = [format_value(guess.value, kind) for guess in guesses]
    width = max(map(len, values))
    return [f"{label}{gap}{value:>{width}}" for label, value in zip(labels, values, strict=True)]


def _pad(texts: Sequence[str]) -> list[str]:
    lines = [escape_unprintable(text) for text in texts]
    # str.ljust counts characters, but a terminal shows some of them in two cells and others in none.
    width = max((cells for cells in map(_count_cells, lines) if cells <= MAX_PADDED_CELLS), default=0)
    return [line + " " * (width - _count_cells(line)) for line in lines]


def _count_cells(text: str) -> int:
    """Return the width of the text in a terminal: "mel" → 3, "皮膚" → 4."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
