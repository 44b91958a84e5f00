"""The plots of a benchmark: spread of rounds, accuracy against cost, file sizes, operators and steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.protocol.plan import KERNELS_WORDS, Setting
from benchmarks.report.schema import Record, Result, cost, find_answer, is_measured, results_on
from benchmarks.report.text import MEGABYTE, MILLION, count_text, kind_text
from dermpack.metrics.predictions import Floats
from dermpack.reporting.page import Image
from dermpack.reporting.plots import (
    INK,
    LINE,
    PALETTE,
    SOFT,
    Axes,
    Draw,
    bar_plot,
    figure_png,
    place_legend,
    plot_height,
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
    timed = [result for result in results_on(record, target) if result.times and result.times.rounds_ms]
    images = []
    for threads in sorted({result.where.threads for result in timed}):
        results = [result for result in timed if result.where.threads == threads]
        plot = spread_plot(results, models=_model_names(record))
        caption = (
            f"{target}, {count_text(threads, 'thread')}: dots are rounds (at most {MOST_DOTS} per row), the "
            "box is the middle half, the line the middle nine tenths, the stroke the median; the slowest "
            "1 % may be outside."
        )
        height = plot_height(len(results)) + 0.2
        data = figure_png(plot, height_inches=height)
        images.append(Image(data=data, alt="Spread of the rounds", caption=caption))
    return images


def tradeoff_image(record: Record, target: str, *, is_emulated: bool) -> Image | None:
    """Plot accuracy against cost, if both are known for at least two points."""
    points = []
    for result in results_on(record, target):
        answer = find_answer(record, result.model, result.where)
        figure = answer.balanced_accuracy if answer else None
        if is_measured(result) and figure is not None and figure.value is not None:
            point = Point(
                name=f"{kernels_text(result.where.setting)}, {result.where.threads} thr.",
                model=result.model,
                cost=cost(result) / (MILLION if is_emulated else 1),
                score=100 * figure.value,
                ci95=figure.ci95 and (100 * figure.ci95[0], 100 * figure.ci95[1]),
            )
            points.append(point)
    if len(points) < 2:
        return None
    unit = "million instructions per inference (not a latency)" if is_emulated else "median, ms"
    plot = tradeoff_plot(points, models=_model_names(record), cost=unit, score="balanced accuracy, %")
    caption = (
        f"{target}: one dot per setting, with the 95 % interval over groups at the cheapest dot of each "
        "answer; rings mark the settings that no other setting beats in both."
    )
    return Image(data=figure_png(plot, height_inches=4.2), alt="Accuracy against cost", caption=caption)


def size_image(record: Record) -> Image:
    """Plot the size of each file."""
    names = _model_names(record)
    sizes = [model.size_bytes / MEGABYTE for model in record.models]
    plot = bar_plot(names, sizes, unit="MB", form="{:,.2f}")
    data = figure_png(plot, height_inches=plot_height(len(names)))
    return Image(data=data, alt="Size of each file", caption="Size of each file.")


def instructions_image(results: Sequence[Result]) -> Image:
    """Plot the instructions of one inference on an emulated processor."""
    names = [_row_name(result) for result in results]
    counts = [cost(result) / MILLION for result in results]
    plot = bar_plot(names, counts, unit="million instructions per inference", form="{:,.1f}")
    target = results[0].where.target
    caption = f"{target}, emulated: instructions per inference. A count, not a latency."
    data = figure_png(plot, height_inches=plot_height(len(names)))
    return Image(data=data, alt=caption, caption=caption)


def operators_image(record: Record, target: str) -> Image | None:
    """Plot the share of each kind of operator, or under emulation of instruction, if it is known."""
    profiled = [
        result
        for result in results_on(record, target)
        if sum(operator.share for operator in result.operators or ()) > 0
    ]
    if not profiled:
        return None
    sums: dict[str, float] = {}
    for result in profiled:
        for operator in result.operators or ():
            kind = kind_text(operator)
            sums[kind] = sums.get(kind, 0.0) + operator.share
    kinds = sorted(sums, key=lambda kind: (-sums[kind], kind))[:MOST_OPERATORS]
    # The remaining kinds are summed, so that each bar is a whole inference.
    every = {kind: [0.0] * len(profiled) for kind in (*kinds, REST)}
    for index, result in enumerate(profiled):
        for operator in result.operators or ():
            kind = kind_text(operator)
            every[kind if kind in kinds else REST][index] += 100 * operator.share
    parts = {kind: shares for kind, shares in every.items() if max(shares) >= LEAST_PERCENT}
    caption = f"{target}: share of one inference by kind."
    return _parts_image(profiled, parts, unit="% of one inference", form="{:.0f}", caption=caption)


def steps_image(stepped: Sequence[Result]) -> Image:
    """Plot the steps from decoding to inference."""
    steps = ("decode", "resize", "copy", "invoke")
    parts = {step: [getattr(result.steps, f"{step}_ms") for result in stepped] for step in steps}
    caption = f"{stepped[0].where.target}: the median of each step from a picture file to its label."
    return _parts_image(stepped, parts, unit="ms", form="{:.1f}", caption=caption)


def kernels_text(setting: Setting) -> str:
    """Format a setting without its threads: "litert default", "tflite without XNNPACK"."""
    runtime = setting.runtime.replace("ai-edge-litert", "litert").replace("tflite-runtime", "tflite")
    return f"{runtime} {KERNELS_WORDS[setting.kernels].removesuffix(' kernels')}"


def spread_plot(results: Sequence[Result], *, models: Sequence[str]) -> Draw:
    """Draw one row per result: dots are rounds, the box and the lines are percentiles."""
    rows = [np.asarray(result.times.rounds_ms if result.times else ()) for result in results]
    names = [f"{result.model} · {kernels_text(result.where.setting)}" for result in results]

    def draw(axes: Axes) -> None:
        for row, (result, rounds) in enumerate(zip(results, rows, strict=True)):
            _draw_spread(axes, row, rounds, colour=_colour(result.model, models))
        axes.set_yticks(range(len(rows)), [shorten(name, most=MOST_LETTERS) for name in names])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        reach = max((float(np.percentile(rounds, SLOWEST_PERCENT)) for rounds in rows), default=1.0)
        axes.set_xlim(0, reach * MARGIN or 1.0)
        axes.set_xlabel("ms")
        axes.grid(axis="x")
        axes.spines[["left", "bottom"]].set_visible(False)

    return draw


def tradeoff_plot(points: Sequence[Point], *, models: Sequence[str], cost: str, score: str) -> Draw:
    """Draw one dot per setting; rings, joined by a line, mark the Pareto front."""

    def draw(axes: Axes) -> None:
        front = pareto_front(points)
        axes.plot([point.cost for point in front], [point.score for point in front], **FRONT)
        for index, model in enumerate(models):
            own = [point for point in points if point.model == model]
            shift = DODGE * (index - (len(models) - 1) / 2)
            if own:
                _draw_dots(axes, own, name=shorten(model), colour=_colour(model, models), shift=shift)
        small = {"fontsize": 7.5, "color": SOFT}
        for point in front:
            place = (point.cost, point.score)
            name = shorten(point.name, most=40)
            axes.annotate(name, place, xytext=(7, 6), textcoords="offset points", **small)
        ends = [end for point in points for end in (point.ci95 or (point.score, point.score))]
        gap = 0.06 * (max(ends) - min(ends)) or 1.0
        axes.set_xlim(0, max(point.cost for point in points) * 1.12)
        axes.set_ylim(min(ends) - gap, max(ends) + gap)
        axes.set_xlabel(cost)
        axes.set_ylabel(score)
        axes.grid()
        place_legend(axes, columns=3)

    return draw


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
    plot = stacked_bar_plot(names, parts, unit=unit, form=form, most=MOST_LETTERS, legend_columns=2)
    data = figure_png(plot, height_inches=plot_height(len(names)) + 0.5)
    return Image(data=data, alt=caption, caption=caption)


def _row_name(result: Result) -> str:
    """Return "int8 · litert default", and "… ×2" for two threads: bars have little room."""
    threads = f" ×{result.where.threads}" if result.where.threads > 1 else ""
    return f"{result.model} · {kernels_text(result.where.setting)}{threads}"


def _draw_spread(axes: Axes, row: int, rounds: Floats, *, colour: str) -> None:
    shown = rounds[:: max(1, -(-len(rounds) // MOST_DOTS))]
    # Dots are moved up and down so that they do not cover each other.
    jitter = (np.arange(1, len(shown) + 1) * GOLDEN % 1 - 0.5) * ROW_HEIGHT
    axes.plot(shown, row + jitter, "o", color=colour, markersize=2, alpha=0.35, markeredgewidth=0)
    p5, p25, median, p75, p95 = np.percentile(rounds, (5, 25, 50, 75, 95))
    axes.plot([p5, p95], [row, row], color=INK, linewidth=1.0)
    box = {"facecolor": "#ffffff", "edgecolor": INK, "linewidth": 0.8}
    axes.barh(row, p75 - p25, left=p25, height=ROW_HEIGHT * 0.6, **box)
    half = ROW_HEIGHT / 2
    axes.plot([median, median], [row - half, row + half], color=colour, linewidth=2.0)


def _draw_dots(axes: Axes, points: Sequence[Point], *, name: str, colour: str, shift: float) -> None:
    """Draw one dot per setting, and the interval, the same for all of one answer, at the cheapest."""
    from matplotlib.transforms import ScaledTranslation

    # Models of equal cost are shifted so that their intervals do not cover each other.
    shifted = axes.transData + ScaledTranslation(shift / POINTS_PER_INCH, 0, axes.figure.dpi_scale_trans)
    costs, scores = [point.cost for point in points], [point.score for point in points]
    axes.plot(costs, scores, "o", color=colour, label=name, markersize=4.5, transform=shifted)
    cheapest = {point.ci95: point for point in sorted(points, key=lambda point: -point.cost) if point.ci95}
    line = {"color": colour, "linewidth": 1.4, "alpha": 0.8, "transform": shifted}
    for ci95, point in cheapest.items():
        axes.plot([point.cost, point.cost], ci95, **line)


def _colour(model: str, models: Sequence[str]) -> str:
    return PALETTE[models.index(model) % len(PALETTE)] if model in models else LINE


def _model_names(record: Record) -> list[str]:
    return [model.name for model in record.models]
