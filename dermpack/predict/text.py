"""Answers for a person: a picture with bars, or many pictures with a line each."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import combining, east_asian_width

from dermpack.errors import printable
from dermpack.predict.answer import Answer, Answers, Flag, Guess, Kind
from dermpack.predict.model import Model

NOT_SURE = "not sure"
BAR_CELLS, EIGHTHS = 24, " ▏▎▍▌▋▊▉█"
MOST_PADDED_CELLS = 60  # a longer name stands out alone, instead of pushing all others away
GAP = "  "


def text(model: Model, answers: Answers) -> str:
    """What goes to stdout."""
    answered = answers.answered
    if len(answers.outcomes) == 1:
        return "\n".join(_block(model, of, answers.kind) for of in answered)
    return _lines(answered, answers.kind)


def shown(value: float, kind: Kind) -> str:
    """A probability that is not certain is never shown as 100 % or 0 %: 0.71234 → "71.2 %"."""
    if kind is Kind.OUTPUT:
        return f"{value:.4g}"
    if value < 1 and f"{value:.1%}" == "100.0%":
        return ">99.9 %"
    if value > 0 and f"{value:.1%}" == "0.0%":
        return "<0.1 %"
    return f"{100 * value:.1f} %"


def _block(model: Model, answer: Answer, kind: Kind) -> str:
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


def _verdict(model: Model, answer: Answer, kind: Kind) -> str:
    if answer.label is not None or model.abstain_below is None:
        return printable(answer.first.label)
    value, least = (shown(of, kind) for of in (answer.first.value, model.abstain_below))
    return f"{NOT_SURE} ({printable(answer.first.label)} would come first, but {value} is less than {least})"


def _sentence(flag: Flag) -> str:
    sensitivity = f"{flag.point.wanted_sensitivity:g}"
    threshold = shown(flag.point.threshold, Kind.PROBABILITY)
    return f"{flag.point.label}: reaches the threshold for sensitivity {sensitivity}, {threshold}"


def _bar(guess: Guess, kind: Kind) -> str:
    if kind is Kind.OUTPUT:
        return ""
    eighths = round(min(1.0, max(0.0, guess.value)) * BAR_CELLS * 8)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _lines(answered: Sequence[Answer], kind: Kind) -> str:
    """Columns: the picture, the answer, its labels by rank, the thresholds that are reached."""
    if not answered:
        return ""
    columns = [_padded([of.picture for of in answered])]
    columns.append(_padded([of.label or NOT_SURE for of in answered]))
    columns += [_guesses([of.guesses[at] for of in answered], kind) for at in range(len(answered[0].guesses))]
    columns.append([", ".join(map(_short, filter(_is_reached, of.flags))) for of in answered])
    return "\n".join(GAP.join(cells).rstrip() for cells in zip(*columns, strict=True))


def _guesses(guesses: Sequence[Guess], kind: Kind) -> list[str]:
    labels, values = _padded([of.label for of in guesses]), [shown(of.value, kind) for of in guesses]
    width = max(map(len, values))
    return [f"{label} {value:>{width}}" for label, value in zip(labels, values, strict=True)]


def _is_reached(flag: Flag) -> bool:
    return flag.is_reached


def _short(flag: Flag) -> str:
    return f"{flag.point.label} at sensitivity {flag.point.wanted_sensitivity:g}"


def _padded(texts: Sequence[str]) -> list[str]:
    lines = [printable(of) for of in texts]
    width = max((cells for cells in map(_cells, lines) if cells <= MOST_PADDED_CELLS), default=0)
    return [of + " " * (width - _cells(of)) for of in lines]


def _cells(of: str) -> int:
    """How wide a terminal shows the text: "mel" → 3, "皮膚" → 4."""
    if of.isascii():
        return len(of)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in of)
