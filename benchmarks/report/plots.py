"""Plot what models cost: how their rounds spread, and what accuracy a millisecond buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dermpack.metrics.predictions import Floats
from dermpack.reporting.plots import INK, LINE, PALETTE, SOFT, Axes, Draw, short, stacked_bars

MOST_DOTS = 200  # a row: more hide each other
MOST_LETTERS = 44  # of a row: a model, its runtime and its kernels
ROW_HEIGHT = 0.6  # of the distance between two rows
GOLDEN = 0.6180339887498949  # its multiples spread dots evenly, the same ones each time
SLOWEST_PERCENT = 99  # what lies beyond is not drawn
ROOM = 1.04
FRONT: Mapping[str, Any] = {
    **{"color": SOFT, "linestyle": "--", "linewidth": 1.0, "marker": "o", "markersize": 9},
    **{"markerfacecolor": "none", "markeredgecolor": SOFT},
}
DODGE, POINTS_PER_INCH = 3.5, 72  # points between models of equal cost


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundSpread:
    """The rounds of one row; rows of one model have one colour."""

    name: str
    model: str
    rounds: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one model costs in one setting, and how right it is, with its interval."""

    name: str
    model: str
    cost: float
    score: float
    ci95: tuple[float, float] | None


def spread_plot(rows: Sequence[RoundSpread], *, models: Sequence[str], unit: str) -> Draw:
    """Each round a dot; the middle half a box, the middle nine tenths a line, the median a stroke."""

    def draw(axes: Axes) -> None:
        for at, row in enumerate(rows):
            _spread(axes, at, np.asarray(row.rounds), colour=_colour(row.model, models))
        axes.set_yticks(range(len(rows)), [short(row.name, most=MOST_LETTERS) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        reach = max((float(np.percentile(row.rounds, SLOWEST_PERCENT)) for row in rows), default=1.0)
        axes.set_xlim(0, reach * ROOM or 1.0)
        axes.set_xlabel(unit)
        axes.grid(axis="x")
        axes.spines[["left", "bottom"]].set_visible(False)

    return draw


def parts_plot(names: Sequence[str], parts: Mapping[str, Sequence[float]], *, unit: str, form: str) -> Draw:
    """Bars in parts whose names are long: they stand above, two in a row."""

    def draw(axes: Axes) -> None:
        stacked_bars(names, parts, unit=unit, form=form, most=MOST_LETTERS)(axes)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, fontsize=8)

    return draw


def tradeoff_plot(points: Sequence[Point], *, models: Sequence[str], cost: str, score: str) -> Draw:
    """A dot a setting; rings, joined by a line, are round those that no other one beats in both."""

    def draw(axes: Axes) -> None:
        best = pareto(points)
        axes.plot([of.cost for of in best], [of.score for of in best], **FRONT)
        for at, model in enumerate(models):
            mine = [of for of in points if of.model == model]
            beside = DODGE * (at - (len(models) - 1) / 2)
            if mine:
                _dots(axes, mine, name=short(model), colour=_colour(model, models), beside=beside)
        for of in best:
            _name(axes, of)
        axes.set_xlim(0, max(of.cost for of in points) * 1.12)
        axes.set_ylim(*_reach([end for of in points for end in (of.ci95 or (of.score, of.score))]))
        axes.set_xlabel(cost)
        axes.set_ylabel(score)
        axes.grid()
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, fontsize=8)

    return draw


def pareto(points: Sequence[Point]) -> list[Point]:
    """Those that none beats in both cost and score, the cheapest first; of equals the first."""
    best: list[Point] = []
    for of in sorted(points, key=lambda of: (of.cost, -of.score)):
        if not best or of.score > best[-1].score:
            best.append(of)
    return best


def _name(axes: Axes, point: Point) -> None:
    place = (point.cost, point.score)
    axes.annotate(
        short(point.name, most=40), place, xytext=(7, 6), textcoords="offset points", fontsize=7.5, color=SOFT
    )


def _reach(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the most with some air."""
    low, high = min(values), max(values)
    air = 0.06 * (high - low) or 1.0
    return low - air, high + air


def _spread(axes: Axes, at: int, rounds: Floats, *, colour: str) -> None:
    shown = rounds[:: max(1, -(-len(rounds) // MOST_DOTS))]
    jitter = (np.arange(1, len(shown) + 1) * GOLDEN % 1 - 0.5) * ROW_HEIGHT
    axes.plot(shown, at + jitter, "o", color=colour, markersize=2, alpha=0.35, markeredgewidth=0)
    p5, p25, median, p75, p95 = np.percentile(rounds, (5, 25, 50, 75, 95))
    axes.plot([p5, p95], [at, at], color=INK, linewidth=1.0)
    axes.barh(
        at, p75 - p25, left=p25, height=ROW_HEIGHT * 0.6, facecolor="#ffffff", edgecolor=INK, linewidth=0.8
    )
    half = ROW_HEIGHT / 2
    axes.plot([median, median], [at - half, at + half], color=colour, linewidth=2.0)


def _dots(axes: Axes, points: Sequence[Point], *, name: str, colour: str, beside: float) -> None:
    """Each setting a dot; the interval, the same for all of one answer, at the cheapest."""
    from matplotlib.transforms import ScaledTranslation

    aside = axes.transData + ScaledTranslation(beside / POINTS_PER_INCH, 0, axes.figure.dpi_scale_trans)
    costs, scores = [of.cost for of in points], [of.score for of in points]
    axes.plot(costs, scores, "o", color=colour, label=name, markersize=4.5, transform=aside)
    shown = {of.ci95: of for of in sorted(points, key=lambda of: -of.cost) if of.ci95}
    for ci95, of in shown.items():
        axes.plot([of.cost, of.cost], ci95, color=colour, linewidth=1.4, alpha=0.8, transform=aside)


def _colour(model: str, models: Sequence[str]) -> str:
    return PALETTE[models.index(model) % len(PALETTE)] if model in models else LINE
