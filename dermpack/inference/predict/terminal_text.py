"""Answers for a person: a picture with bars, or many pictures with a line each."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import combining, east_asian_width

from dermpack.errors import printable
from dermpack.inference.predict.answers import Answer, Answers, Flag, OutputKind, ScoredLabel
from dermpack.inference.predict.opened_model import OpenedModel

NOT_SURE = "not sure"
BAR_CELLS, EIGHTHS = 24, " ▏▎▍▌▋▊▉█"
MOST_PADDED_CELLS = 60  # a longer name stands out alone, instead of pushing all others away
GAP = "  "


def text(model: OpenedModel, answers: Answers) -> str:
    """What goes to stdout."""
    answered = answers.answered
    if len(answers.outcomes) == 1:
        return "\n".join(_block(model, of, answers.kind) for of in answered)
    return _lines(answered, answers.kind)


def shown(value: float, kind: OutputKind) -> str:
    """A probability that is not certain is never shown as 100 % or 0 %: 0.71234 → "71.2 %"."""
    if kind is OutputKind.OUTPUT:
        return f"{value:.4g}"
    if value < 1 and f"{value:.1%}" == "100.0%":
        return ">99.9 %"
    if value > 0 and f"{value:.1%}" == "0.0%":
        return "<0.1 %"
    return f"{100 * value:.1f} %"


def _block(model: OpenedModel, answer: Answer, kind: OutputKind) -> str:
    labels = _padded([of.label for of in answer.guesses])
    values = [shown(of.value, kind) for of in answer.guesses]
    width = max(map(len, values))
    bars = [_bar(of, kind) for of in answer.guesses]
    rows = [
        f"{GAP}{label}{GAP}{value:>{width}}{GAP}{bar}"
        for label, value, bar in zip(labels, values, bars, strict=True)
    ]
    flags = [f"{GAP}{_sentence(of)}" for of in answer.flags if of.is_reached]
    head = f"{printable(answer.picture)}: {_verdict(model, answer, kind)}"
    return "\n".join(line.rstrip() for line in (head, *rows, *flags))


def _verdict(model: OpenedModel, answer: Answer, kind: OutputKind) -> str:
    if answer.label is not None or model.abstain_below is None:
        return printable(answer.first.label)
    value, least = (shown(of, kind) for of in (answer.first.value, model.abstain_below))
    return f"{NOT_SURE} ({printable(answer.first.label)} would come first, but {value} is less than {least})"


def _sentence(flag: Flag) -> str:
    """mel: its probability, 71.2 %, reaches 30.0 %, the threshold for sensitivity 0.95."""
    value, threshold = (shown(of, OutputKind.PROBABILITY) for of in (flag.probability, flag.point.threshold))
    wanted = f"the threshold for sensitivity {flag.point.wanted_sensitivity:g}"
    return f"{printable(flag.point.label)}: its probability, {value}, reaches {threshold}, {wanted}"


def _bar(guess: ScoredLabel, kind: OutputKind) -> str:
    if kind is OutputKind.OUTPUT:
        return ""
    eighths = round(min(1.0, max(0.0, guess.value)) * BAR_CELLS * 8)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _lines(answered: Sequence[Answer], kind: OutputKind) -> str:
    """A header, then a line a picture: what is said of it, its labels by rank, the thresholds it reaches."""
    if not answered:
        return ""
    columns = [_padded(["picture", *(of.picture for of in answered)])]
    if any(of.is_sure is not None for of in answered):
        columns.append(_padded(["sure", *("yes" if of.is_sure else NOT_SURE for of in answered)]))
    for at in range(len(answered[0].guesses)):
        columns.append(_padded([_rank(at + 1), *_guesses([of.guesses[at] for of in answered], kind)]))
    if any(of.flags for of in answered):
        reached = (", ".join(map(_short, filter(_is_reached, of.flags))) for of in answered)
        columns.append(["thresholds reached", *reached])
    return "\n".join(GAP.join(cells).rstrip() for cells in zip(*columns, strict=True))


def _rank(place: int) -> str:
    """1 → 1st; 22 → 22nd; 13 → 13th."""
    ending = "th" if place // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending}"


def _guesses(guesses: Sequence[ScoredLabel], kind: OutputKind) -> list[str]:
    labels, values = _padded([of.label for of in guesses]), [shown(of.value, kind) for of in guesses]
    width = max(map(len, values))
    return [f"{label} {value:>{width}}" for label, value in zip(labels, values, strict=True)]


def _is_reached(flag: Flag) -> bool:
    return flag.is_reached


def _short(flag: Flag) -> str:
    return f"{printable(flag.point.label)} at sensitivity {flag.point.wanted_sensitivity:g}"


def _padded(texts: Sequence[str]) -> list[str]:
    lines = [printable(of) for of in texts]
    width = max((cells for cells in map(_cells, lines) if cells <= MOST_PADDED_CELLS), default=0)
    return [of + " " * (width - _cells(of)) for of in lines]


def _cells(of: str) -> int:
    """How wide a terminal shows the text: "mel" → 3, "皮膚" → 4."""
    if of.isascii():
        return len(of)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in of)
