"""The change of one figure between two reports, and whether it exceeds the noise and the limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.report.schema import (
    FigurePair,
    Result,
    ScoredAnswer,
    ScoredData,
    SettingOnTarget,
    is_measured,
    median_ms,
)
from benchmarks.report.text import drop_text, millions_text, ms_text, points_text
from benchmarks.statistics.accuracy_drop import compare_figure
from benchmarks.statistics.latency import (
    LEAST_BLOCKS,
    count_blocks,
    draw_blocks,
    drawn_medians,
    split_blocks,
    widen_interval,
)
from dermpack.metrics.definitions import weighted_balanced_accuracy
from dermpack.metrics.intervals import Interval, percentile_interval
from dermpack.metrics.predictions import Floats, Predictions, as_truth

ROUNDING = 1e-9  # half a point lost with half a point allowed is not a regression
OLD_SEED, NEW_SEED = 0, 1  # two runs have independent noise, so each has its own draws


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionLimits:
    """The largest changes that are not regressions."""

    max_slowdown: float = 0.05  # of a median, if it is significant
    max_drop: float = 0.5  # points of balanced accuracy, significant or not: these pictures were lost
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
    is_told: bool  # larger than the noise, or than the chance of which pictures were chosen
    is_regression: bool
    said: str

    @property
    def sentence(self) -> str:
        return f"{'regression: ' if self.is_regression else ''}{self.model} on {self.where} {self.said}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAnswer:
    """An answer of one report in one place."""

    answer: ScoredAnswer
    where: SettingOnTarget
    data: ScoredData
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MedianRatio:
    """The new median by the old one."""

    ratio: float
    ci95: Interval | None  # None: no raw rounds, or too few


def compare_results(old: Result, new: Result, limits: RegressionLimits) -> Iterator[FigureChange]:
    """Yield the change of the cost of one model under one setting."""
    if is_measured(old) and new.refused is not None:
        said = f"does not run any more: {new.refused}"
        yield _lost(new.model, new.where, figure="runs", old=1.0, said=said)
    elif old.instructions_per_inference and new.instructions_per_inference:
        yield _compare_instructions(
            new, old.instructions_per_inference, new.instructions_per_inference, limits
        )
    elif median_ms(old) and median_ms(new):
        yield _compare_times(old, new, limits)


def compare_labels(old: LabelledAnswer, new: LabelledAnswer, limits: RegressionLimits) -> FigureChange:
    """Return the change of accuracy on the same pictures; if it cannot be scored now, a regression."""
    model, before, now = new.answer.model, old.answer.predicted or (), new.answer.predicted
    if now is None:
        said = f"cannot be scored any more: {new.answer.unscored}"
        figure = old.answer.balanced_accuracy
        score = (figure.value if figure else None) or 0.0
        return _lost(model, new.where, figure="balanced_accuracy", old=score, said=said)
    # By name: the two models may have different labels, in different orders.
    first, here = [old.data.labels[index] for index in before], [new.data.labels[index] for index in now]
    change = _accuracy_change(first, here, new.data, seed=new.seed)
    flips = sum(one != other for one, other in zip(first, here, strict=True))
    is_significant = change.ci95 is not None and not change.ci95[0] <= 0 <= change.ci95[1]
    # The limits apply to these pictures; the interval is about pictures in general.
    if flips:
        doubt = "; for other pictures the difference is not significant"
        said = f"{drop_text(change, doubt=doubt)}: {flips:,} of {new.data.n:,} pictures get another label"
    else:
        said = f"gives all {new.data.n:,} pictures the same labels"
    return FigureChange(
        model=model,
        where=str(new.where),
        figure="balanced_accuracy",
        old=change.first,
        new=change.here,
        change=100 * change.difference,
        ci95=change.ci95 and (100 * change.ci95[0], 100 * change.ci95[1]),
        is_told=is_significant,
        is_regression=-100 * change.difference > limits.max_drop + ROUNDING,
        said=said,
    )


def compare_latency(old: Result, new: Result) -> MedianRatio:
    """Return the ratio of the medians, with the noise within the two runs."""
    before, now = median_ms(old) or 0.0, median_ms(new) or 0.0
    # How busy the device was on another day is not in the rounds of either run.
    drawn = _draw_medians(old, seed=OLD_SEED), _draw_medians(new, seed=NEW_SEED)
    if drawn[0] is None or drawn[1] is None:
        return MedianRatio(ratio=now / before, ci95=None)
    (first, blocks), (second, other_blocks) = drawn[0], drawn[1]
    ci95 = percentile_interval(second / first)
    widened = widen_interval(ci95, now / before, blocks=min(blocks, other_blocks))
    return MedianRatio(ratio=now / before, ci95=widened)


def _lost(model: str, where: SettingOnTarget, *, figure: str, old: float, said: str) -> FigureChange:
    """Return the regression of a figure that does not exist any more."""
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


def _compare_instructions(new: Result, before: int, now: int, limits: RegressionLimits) -> FigureChange:
    change = now / before - 1
    # Counts have no noise: everything above the limit is real.
    is_significant = abs(change) > limits.max_more_instructions
    said = f"takes the same {millions_text(now)} million instructions"
    if now != before:
        percent = f"{100 * abs(change):.2g} % {'more' if now > before else 'fewer'}"
        rebuild = "" if is_significant else "; a rebuild of the sysroot changes as much"
        said = (
            f"takes {percent} instructions ({millions_text(before)} to {millions_text(now)} million{rebuild})"
        )
    return FigureChange(
        model=new.model,
        where=str(new.where),
        figure="instructions_per_inference",
        old=float(before),
        new=float(now),
        change=change,
        ci95=None,
        is_told=is_significant,
        is_regression=is_significant and change > 0,
        said=said,
    )


def _compare_times(old: Result, new: Result, limits: RegressionLimits) -> FigureChange:
    ratio = compare_latency(old, new)
    change = ratio.ratio - 1
    ci95 = ratio.ci95 and (ratio.ci95[0] - 1, ratio.ci95[1] - 1)
    is_significant = ci95 is not None and not ci95[0] <= 0 <= ci95[1]
    before, now = median_ms(old) or 0.0, median_ms(new) or 0.0
    medians = f"{ms_text(before)} to {ms_text(now)} ms"
    percent = f"{100 * abs(change):.1f} % {'slower' if change > 0 else 'faster'}"
    if ci95 is None:
        said = f"is {percent} ({medians}); without raw rounds this cannot be distinguished from noise"
    else:
        interval = f"{points_text(ci95[0])} to {points_text(ci95[1])} %"
        # "is 7.0 % slower (5.10 to 5.46 ms, +5.1 to +9.0 %)"
        verdict = f"is {percent}" if is_significant else "has no significant difference"
        said = f"{verdict} ({medians}, {interval})"
    return FigureChange(
        model=new.model,
        where=str(new.where),
        figure="median_ms",
        old=before,
        new=now,
        change=change,
        ci95=ci95,
        is_told=is_significant,
        is_regression=is_significant and change > limits.max_slowdown,
        said=said,
    )


def _draw_medians(result: Result, *, seed: int) -> tuple[Floats, int] | None:
    """Return the median in every draw of blocks of rounds, and the number of blocks."""
    times = result.times
    if times is None or times.rounds_ms is None:
        return None
    values = np.asarray(times.rounds_ms, dtype=np.float64)
    blocks = count_blocks(times.turns or 1, len(values))
    if blocks < LEAST_BLOCKS:
        return None
    return drawn_medians(split_blocks(values, blocks), draw_blocks(blocks, seed=seed)), blocks


def _accuracy_change(old: Sequence[str], new: Sequence[str], data: ScoredData, *, seed: int) -> FigurePair:
    """Return balanced accuracy now minus before, under the same draws of groups."""
    labels = tuple(dict.fromkeys((*data.labels, *old)))  # the old model may have had other labels

    def predictions(names: Sequence[str]) -> Predictions:
        # A probability of 1 for each label: balanced accuracy depends on the labels only.
        return Predictions(
            classes=labels,
            pictures=data.pictures,
            groups=tuple(f"{group}" for group in data.group),
            truth=as_truth(data.truth),
            probabilities=np.eye(len(labels))[[labels.index(name) for name in names]],
        )

    return compare_figure(predictions(old), predictions(new), weighted_balanced_accuracy, seed=seed)
