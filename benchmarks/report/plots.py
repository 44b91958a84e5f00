"""The plots of a benchmark: spread of rounds, accuracy against cost, file sizes, operators and steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.report.schema import Record, Result, TargetFacts
from benchmarks.report.text import MEGABYTE, MILLION, kernels_text, kind_text
from dermpack.errors import count_noun
from dermpack.reporting.page import Image
from dermpack.reporting.plots import (
    INK,
    PALETTE,
    SOFT,
    Axes,
    bar_plot,
    place_legend,
    plot,
    plot_height,
    plot_image,
    shorten,
    stacked_bar_plot,
)

MOST_OPERATORS = 5  # the others are one part
REST = "all others"
LEAST_PERCENT = 1e-6  # of a part that is drawn; less is rounding
MOST_DOTS = 200  # per row; more would hide each other
MOST_LETTERS = 44  # of a row's name: a model, its runtime and its kernels
ROW_HEIGHT = 0.6  # of the distance between two rows
GOLDEN = 0.6180339887498949  # its multiples spread dots evenly, and the same way every time
SLOWEST_PERCENT = 99  # slower rounds are not drawn
MARGIN = 1.04
FRONT: Mapping[str, Any] = {
    **{"color": SOFT, "linestyle": "--", "linewidth": 1.0, "marker": "o", "markersize": 9},
    **{"markerfacecolor": "none", "markeredgecolor": SOFT},
}
DODGE, POINTS_PER_INCH = 3.5, 72  # points between models of equal cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The cost of one model in one setting, and its score with its interval."""

    name: str
    model: str
    cost: float
    score: float
    ci95: tuple[float, float] | None


def spread_images(record: Record, target: str) -> list[Image]:
    """Plot every round, one image per number of threads."""
    timed = [result for result in record.results_on(target) if result.times and result.times.rounds_ms]
    images = []
    for threads in sorted({result.where.threads for result in timed}):
        results = [result for result in timed if result.where.threads == threads]
        caption = (
            f"{target}, {count_noun(threads, 'thread')}: dots are rounds (at most {MOST_DOTS} per row), the "
            "box is the middle half, the line the middle nine tenths, the stroke the median; the slowest "
            "1 % may be outside."
        )
        draw, height = _spread_plot(record, results), plot_height(len(results)) + 0.2
        images.append(plot_image(draw, caption=caption, alt="Spread of the rounds", height_inches=height))
    return images


def tradeoff_image(record: Record, place: TargetFacts) -> Image | None:
    """Plot accuracy against cost, if both are known for at least two points."""
    points = []
    for result in record.results_on(place.target):
        answer = record.find_answer(result.model, result.where)
        figure = answer.balanced_accuracy if answer else None
        if result.cost is not None and figure is not None and figure.value is not None:
            point = Point(
                name=f"{kernels_text(result.where.setting)}, {result.where.threads} thr.",
                model=result.model,
                cost=result.cost / (MILLION if place.is_emulated else 1),
                score=100 * figure.value,
                ci95=figure.ci95 and (100 * figure.ci95[0], 100 * figure.ci95[1]),
            )
            points.append(point)
    if len(points) < 2:
        return None
    unit = "million instructions per inference (not a latency)" if place.is_emulated else "median, ms"
    caption = (
        f"{place.target}: one dot per setting, with the 95 % interval over groups at the cheapest dot of "
        "each answer; rings mark the settings that no other setting beats in both."
    )
    draw = _tradeoff_plot(record, points, unit)
    return plot_image(draw, caption=caption, alt="Accuracy against cost", height_inches=4.2)


def size_image(record: Record) -> Image:
    """Plot the size of each file."""
    names = [model.name for model in record.models]
    sizes = [model.size_bytes / MEGABYTE for model in record.models]
    draw, height = bar_plot(names, sizes, unit="MB", form="{:,.2f}"), plot_height(len(names))
    return plot_image(draw, caption="Size of each file.", alt="Size of each file", height_inches=height)


def instructions_image(results: Sequence[Result]) -> Image:
    """Plot the instructions of one inference on an emulated processor."""
    counts = [(result.instructions_per_inference or 0) / MILLION for result in results]
    names = [_row_name(result) for result in results]
    draw = bar_plot(names, counts, unit="million instructions per inference", form="{:,.1f}")
    caption = f"{results[0].where.target}, emulated: instructions per inference. A count, not a latency."
    return plot_image(draw, caption=caption, height_inches=plot_height(len(names)))


def operators_image(record: Record, target: str) -> Image | None:
    """Plot the share of each kind of operator, or under emulation of instruction, if it is known."""
    profiled: list[Result] = []
    shares: list[defaultdict[str, float]] = []
    for result in record.results_on(target):
        by_kind: defaultdict[str, float] = defaultdict(float)
        for operator in result.operators or ():
            by_kind[kind_text(operator)] += operator.share
        if sum(by_kind.values()) > 0:
            profiled.append(result)
            shares.append(by_kind)
    if not profiled:
        return None
    sums = {kind: sum(by_kind[kind] for by_kind in shares) for by_kind in shares for kind in by_kind}
    kinds = sorted(sums, key=lambda kind: (-sums[kind], kind))[:MOST_OPERATORS]
    parts = {kind: [100 * by_kind[kind] for by_kind in shares] for kind in kinds}
    # The remaining kinds are summed, so that each bar is a whole inference.
    parts[REST] = [
        100 * sum(share for kind, share in by_kind.items() if kind not in kinds) for by_kind in shares
    ]
    drawn = {kind: percents for kind, percents in parts.items() if max(percents) >= LEAST_PERCENT}
    caption = f"{target}: share of one inference by kind."
    return _parts_image(profiled, drawn, unit="% of one inference", form="{:.0f}", caption=caption)


def steps_image(stepped: Sequence[Result]) -> Image:
    """Plot the steps from decoding to inference."""
    steps = ("decode", "resize", "copy", "invoke")
    parts = {step: [getattr(result.steps, f"{step}_ms") for result in stepped] for step in steps}
    caption = f"{stepped[0].where.target}: the median of each step from a picture file to its label."
    return _parts_image(stepped, parts, unit="ms", form="{:.1f}", caption=caption)


def pareto_front(points: Sequence[Point]) -> list[Point]:
    """Return the points that none beats in both cost and score, the cheapest first."""
    front: list[Point] = []
    # By rising cost, a point is on the front if its score is higher than all before.
    for point in sorted(points, key=lambda point: (point.cost, -point.score)):
        if not front or point.score > front[-1].score:
            front.append(point)
    return front


def _parts_image(
    results: Sequence[Result], parts: Mapping[str, Sequence[float]], *, unit: str, form: str, caption: str
) -> Image:
    names = [_row_name(result) for result in results]
    # The names of parts are long: two in a row of the legend.
    draw = stacked_bar_plot(names, parts, unit=unit, form=form, most=MOST_LETTERS, legend_columns=2)
    return plot_image(draw, caption=caption, height_inches=plot_height(len(names)) + 0.5)


def _row_name(result: Result) -> str:
    """Return "int8 · litert default", and "… ×2" for two threads: bars have little room."""
    threads = f" ×{result.where.threads}" if result.where.threads > 1 else ""
    return f"{result.model} · {kernels_text(result.where.setting)}{threads}"


@plot
def _spread_plot(axes: Axes, record: Record, results: Sequence[Result]) -> None:
    """Draw one row per result: dots are rounds, the box and the lines are percentiles."""
    reach = 0.0
    for row, result in enumerate(results):
        rounds = np.asarray(result.times.rounds_ms if result.times else ())
        colour = _colour(record, result.model)
        shown = rounds[:: max(1, -(-len(rounds) // MOST_DOTS))]
        # Dots are moved up and down so that they do not cover each other.
        jitter = (np.arange(1, len(shown) + 1) * GOLDEN % 1 - 0.5) * ROW_HEIGHT
        axes.plot(shown, row + jitter, "o", color=colour, markersize=2, alpha=0.35, markeredgewidth=0)
        p5, p25, median, p75, p95, slowest = np.percentile(rounds, (5, 25, 50, 75, 95, SLOWEST_PERCENT))
        axes.plot([p5, p95], [row, row], color=INK, linewidth=1.0)
        box = {"facecolor": "#ffffff", "edgecolor": INK, "linewidth": 0.8}
        axes.barh(row, p75 - p25, left=p25, height=ROW_HEIGHT * 0.6, **box)
        half = ROW_HEIGHT / 2
        axes.plot([median, median], [row - half, row + half], color=colour, linewidth=2.0)
        reach = max(reach, float(slowest))
    names = [f"{result.model} · {kernels_text(result.where.setting)}" for result in results]
    axes.set_yticks(range(len(results)), [shorten(name, most=MOST_LETTERS) for name in names])
    axes.set_ylim(len(results) - 0.4, -0.6)
    axes.set(xlim=(0, reach * MARGIN or 1.0), xlabel="ms")
    axes.grid(axis="x")
    axes.spines[["left", "bottom"]].set_visible(False)


@plot
def _tradeoff_plot(axes: Axes, record: Record, points: Sequence[Point], unit: str) -> None:
    """Draw one dot per setting; rings, joined by a line, mark the Pareto front."""
    from matplotlib.transforms import ScaledTranslation

    front = pareto_front(points)
    axes.plot([point.cost for point in front], [point.score for point in front], **FRONT)
    for index, model in enumerate(record.models):
        own = [point for point in points if point.model == model.name]
        if not own:
            continue
        # Models of equal cost are shifted so that their intervals do not cover each other.
        shift = DODGE * (index - (len(record.models) - 1) / 2) / POINTS_PER_INCH
        shifted = axes.transData + ScaledTranslation(shift, 0, axes.figure.dpi_scale_trans)
        costs, scores = [point.cost for point in own], [point.score for point in own]
        style = {"color": _colour(record, model.name), "transform": shifted}
        axes.plot(costs, scores, "o", label=shorten(model.name), markersize=4.5, **style)
        # The interval is the same for all points of one answer: it is drawn at the cheapest.
        cheapest = {point.ci95: point for point in sorted(own, key=lambda point: -point.cost) if point.ci95}
        for ci95, point in cheapest.items():
            axes.plot([point.cost, point.cost], ci95, linewidth=1.4, alpha=0.8, **style)
    for point in front:
        name, place = shorten(point.name, most=40), (point.cost, point.score)
        axes.annotate(name, place, xytext=(7, 6), textcoords="offset points", fontsize=7.5, color=SOFT)
    ends = [end for point in points for end in (point.ci95 or (point.score, point.score))]
    gap = 0.06 * (max(ends) - min(ends)) or 1.0
    axes.set_xlim(0, max(point.cost for point in points) * 1.12)
    axes.set_ylim(min(ends) - gap, max(ends) + gap)
    axes.set(xlabel=unit, ylabel="balanced accuracy, %")
    axes.grid()
    place_legend(axes, columns=3)


def _colour(record: Record, model: str) -> str:
    names = [model.name for model in record.models]
    return PALETTE[names.index(model) % len(PALETTE)]
