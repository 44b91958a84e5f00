"""What became of one figure between two reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.compare.noise import accuracy_change, ratio_of_medians
from benchmarks.report.figure_text import millions, ms, points, range_text
from benchmarks.report.record_lookup import is_measured, median_ms
from benchmarks.report.schema import FigurePair, Result, ScoredAnswer, ScoredData, SettingOnTarget
from dermpack.metrics.intervals import Interval

ROUNDING = 1e-9  # half a point lost of half a point allowed is no regression


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionLimits:
    """What is still no regression."""

    max_slowdown: float = 0.05  # of a median, where it can be told from noise
    max_drop: float = 0.5  # points of balanced accuracy on the same pictures, sure or not: these were lost
    max_more_instructions: float = 0.001  # counts repeat exactly, and within 0.0002 after a rebuild


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """One figure, before and now; `change` is a share, or points of accuracy."""

    model: str
    where: str
    figure: str  # median_ms, instructions_per_inference, balanced_accuracy, runs
    old: float
    new: float | None
    change: float | None
    ci95: Interval | None
    is_told: bool  # from noise, or from the chance of which pictures there are
    is_regression: bool
    said: str

    @property
    def sentence(self) -> str:
        return f"{'regression: ' if self.is_regression else ''}{self.model} on {self.where} {self.said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAnswer:
    """An answer of one report, in a place."""

    answer: ScoredAnswer
    where: SettingOnTarget
    data: ScoredData
    seed: int


def found_of_results(old: Result, new: Result, limits: RegressionLimits) -> Iterator[FigureChange]:
    if is_measured(old) and new.refused is not None:
        said = f"ran and does not any more: {new.refused}"
        yield _gone(new.model, new.where, figure="runs", old=1.0, said=said)
    elif old.instructions_per_inference and new.instructions_per_inference:
        yield _instructions(new, old.instructions_per_inference, new.instructions_per_inference, limits)
    elif median_ms(old) and median_ms(new):
        yield _times(old, new, limits)


def found_of_labels(old: LabelledAnswer, new: LabelledAnswer, limits: RegressionLimits) -> FigureChange:
    """Of pictures that are the same in both; an answer that cannot be scored any more is a regression."""
    model, before, now = new.answer.model, old.answer.predicted or (), new.answer.predicted
    if now is None:
        said = f"gave labels and does not any more: {new.answer.unscored}"
        return _gone(model, new.where, figure="balanced_accuracy", old=_score(old.answer), said=said)
    first, here = [old.data.labels[at] for at in before], [new.data.labels[at] for at in now]
    change = accuracy_change(first, here, new.data, seed=new.seed)
    flips = sum(one != other for one, other in zip(first, here, strict=True))
    return FigureChange(
        model=model,
        where=str(new.where),
        figure="balanced_accuracy",
        old=change.first,
        new=change.here,
        change=100 * change.difference,
        ci95=change.ci95 and (100 * change.ci95[0], 100 * change.ci95[1]),
        is_told=change.ci95 is not None and not change.ci95[0] <= 0 <= change.ci95[1],
        is_regression=-100 * change.difference > limits.max_drop + ROUNDING,
        said=_accuracy_said(change, flips, new.data.n),
    )


def _score(answer: ScoredAnswer) -> float:
    return (answer.balanced_accuracy.value if answer.balanced_accuracy else None) or 0.0


def _gone(model: str, where: SettingOnTarget, *, figure: str, old: float, said: str) -> FigureChange:
    return FigureChange(
        model=model,
        where=str(where),
        figure=figure,
        old=old,
        new=None,
        change=None,
        ci95=None,
        is_told=True,
        is_regression=True,
        said=said,
    )


def _instructions(new: Result, before: int, now: int, limits: RegressionLimits) -> FigureChange:
    change = now / before - 1
    is_told = abs(change) > limits.max_more_instructions
    return FigureChange(
        model=new.model,
        where=str(new.where),
        figure="instructions_per_inference",
        old=float(before),
        new=float(now),
        change=change,
        ci95=None,
        is_told=is_told,
        is_regression=is_told and change > 0,
        said=_instructions_said(before, now, is_told=is_told),
    )


def _instructions_said(before: int, now: int, *, is_told: bool) -> str:
    if now == before:
        return f"takes the same {millions(now)} million instructions"
    percent = f"{100 * abs(now / before - 1):.2g} % {'more' if now > before else 'fewer'}"
    why = "" if is_told else ", as after a rebuild of the sysroot"
    return f"takes {percent} instructions ({millions(before)} to {millions(now)} million{why})"


def _times(old: Result, new: Result, limits: RegressionLimits) -> FigureChange:
    found = ratio_of_medians(old, new)
    ci95 = found.ci95 and (found.ci95[0] - 1, found.ci95[1] - 1)
    is_told, change = ci95 is not None and not ci95[0] <= 0 <= ci95[1], found.ratio - 1
    before, now = median_ms(old) or 0.0, median_ms(new) or 0.0
    return FigureChange(
        model=new.model,
        where=str(new.where),
        figure="median_ms",
        old=before,
        new=now,
        change=change,
        ci95=ci95,
        is_told=is_told,
        is_regression=is_told and change > limits.max_slowdown,
        said=_times_said(change, ci95, f"{ms(before)} to {ms(now)} ms"),
    )


def _times_said(change: float, ci95: Interval | None, both: str) -> str:
    """ "is 7.0 % slower (5.10 to 5.46 ms, +5.1 to +9.0 %)"."""
    percent = f"{100 * abs(change):.1f} % {'slower' if change > 0 else 'faster'}"
    if ci95 is None:
        return f"is {percent} ({both}), but without raw rounds nobody can tell that from noise"
    interval = f"{points(ci95[0])} to {points(ci95[1])} %"
    if ci95[0] <= 0 <= ci95[1]:
        return f"shows no difference that could be told from noise ({both}, {interval})"
    return f"is {percent} ({both}, {interval})"


def _accuracy_said(change: FigurePair, flips: int, n: int) -> str:
    if flips == 0:
        return f"gives all {n:,} pictures the same labels"
    verb = "loses" if change.difference < 0 else "gains"
    size = points(abs(change.difference)).lstrip("+")
    unsure = change.ci95 is not None and change.ci95[0] <= 0 <= change.ci95[1]
    chance = "; for other pictures no difference could be shown" if unsure else ""
    interval = f" ({range_text(change.ci95)}{chance})" if change.ci95 else ""
    moved = f"{flips:,} of {n:,} pictures get another label"
    return f"{verb} {size} points of balanced accuracy{interval}: {moved}"
