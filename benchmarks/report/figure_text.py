"""Figures as a person reads them: milliseconds, millions of instructions, points, steps."""

from __future__ import annotations

import re
from collections.abc import Iterable

from benchmarks.protocol.results import OperatorTime
from benchmarks.report.record_lookup import median_ms
from benchmarks.report.schema import FigurePair, OutputAgreement, Result, Times
from dermpack.metrics.intervals import Interval
from dermpack.metrics.summary import Figure

NOTHING = "–"
DETAILS = re.compile(r"\([^()]*\)")
MILLION = MEGABYTE = 1_000_000


def ms(value: float | None) -> str:
    """Digits that count: 0.1234 → "0.123", 12.345 → "12.35", 1234.5 → "1,234"."""
    if value is None:
        return NOTHING
    return f"{value:,.{3 if value < 1 else 2 if value < 100 else 1 if value < 1000 else 0}f}"


def median_text(times: Times | None) -> str:
    """The median with its interval: "10.4 (10.2–10.6)"; of a tool that tells none, "~10.4" for the mean."""
    if times is None:
        return NOTHING
    if times.median_ms is None:
        return f"~{ms(times.mean_ms)}"
    ci95 = times.median_ci95_ms
    return ms(times.median_ms) + (f" ({ms(ci95[0])}–{ms(ci95[1])})" if ci95 else "")


def millions(instructions: int | None) -> str:
    return NOTHING if instructions is None else f"{instructions / MILLION:,.1f}"


def cost_text(result: Result | None) -> str:
    """ "10.4 ms", or "113.7 million instructions" of an emulated processor."""
    if result is None:
        return NOTHING
    if result.instructions_per_inference is not None:
        return f"{millions(result.instructions_per_inference)} million instructions"
    return f"{ms(median_ms(result))} ms"


def size_text(size_bytes: int) -> str:
    """size_text(627_310) → "0.63 MB"."""
    return f"{size_bytes / MEGABYTE:.2f} MB"


def percent(figure: Figure | None) -> str:
    """A share with its interval: "74.2 % (70.1–78.0)"."""
    if figure is None or figure.value is None:
        return NOTHING
    interval = f" ({100 * figure.ci95[0]:.1f}–{100 * figure.ci95[1]:.1f})" if figure.ci95 else ""
    return f"{100 * figure.value:.1f} %{interval}"


def points(difference: float) -> str:
    """Percentage points with their sign: -0.0071 → "−0.7", 0.0 → "0.0"."""
    rounded = round(100 * difference, 1)
    return "0.0" if rounded == 0 else f"{'+' if rounded > 0 else '−'}{abs(rounded):.1f}"


def change_text(change: FigurePair) -> str:
    """For a cell: "−0.7 (−1.9…+0.4)"."""
    low, high = change.ci95 or (0.0, 0.0)
    return points(change.difference) + (f" ({points(low)}…{points(high)})" if change.ci95 else "")


def range_text(ci95: Interval) -> str:
    return f"{points(ci95[0])} to {points(ci95[1])}"


def factor(ratio: float) -> str:
    """How many times: 0.0134 → "0.013", 2.134 → "2.13", 21.34 → "21.3"."""
    return f"{ratio:.{3 if ratio < 0.1 else 2 if ratio < 10 else 1}f}"


def kind_text(operator: OperatorTime) -> str:
    """The kind without its layouts and types: "Convolution (NHWC, QC8) DWConv" → "Convolution DWConv"."""
    return " ".join(DETAILS.sub(" ", operator.name).split()) or operator.name


def apart_text(agreement: OutputAgreement) -> str:
    """How far outputs are from each other: "the same bytes", "at most 2 steps", "at most 3e-06"."""
    if agreement.differing == 0:
        return "the same"
    if agreement.steps:
        most = max(map(int, agreement.steps))
        return f"at most {most} {'step' if most == 1 else 'steps'}"
    return "no numbers" if agreement.most is None else f"at most {agreement.most:.1g}"


def share(part: int, whole: int, what: str = "") -> str:
    """ "82 of 2,100 outputs (3.9 %)"; nothing of it needs no share."""
    return f"{part:,} of {whole:,} {what}".rstrip() + (f" ({100 * part / whole:.1f} %)" if part else "")


def listing(names: Iterable[str]) -> str:
    """ "int8", "int8 and trained", "a, b and c"."""
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def threads_text(threads: int) -> str:
    return "1 thread" if threads == 1 else f"{threads} threads"
