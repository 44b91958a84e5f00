"""Plot what a model got right: confusion, ROC, precision-recall, reliability, labels, coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from dermpack.metrics.abstention import CoveragePoint, coverage_curve
from dermpack.metrics.predictions import Floats, Predictions
from dermpack.metrics.ranking import Ranking, rank_label
from dermpack.metrics.reliability import Bin, reliability_bins
from dermpack.metrics.summary import Figure, LabelScores, Scores
from dermpack.reporting.plots import (
    HEAT,
    INK,
    LIGHT_TEXT_ABOVE,
    PALETTE,
    SOFT,
    Axes,
    Draw,
    figure_png,
    lines,
    short,
)

MOST_CURVES = 7  # as many as there are colours; the labels with most pictures
SIDE_INCHES = 4.8  # of a square plot
BARS = {"recall": "recall", "precision": "precision", "auroc": "AUROC"}
BAR_INCHES = 0.2
PALE = "#c3d3e5"
FEW_IN_BIN = 10  # pictures: a paler bar says that it may be chance
DEEPEST = 0.15  # of the bars below the reliability plot that count pictures
COUNTS_UP_TO = 14  # classes: beyond, the cells are too small to be read


def evaluation_plots(predictions: Predictions, scores: Scores) -> dict[str, bytes]:
    """File name → PNG; a plot that has nothing to show is left out."""
    known = [at for at, of in enumerate(scores.per_class) if of.figures["auroc"].value is not None]
    most = sorted(known, key=lambda at: -scores.per_class[at].n)[:MOST_CURVES]
    rankings = {predictions.classes[at]: rank_label(predictions, at) for at in sorted(most)}
    size = 1.6 + 0.5 * min(len(scores.classes), 24)
    plots = {
        "confusion.png": figure_png(
            confusion_plot(scores), width_inches=max(size, 3.6), height_inches=max(size * 0.86, 3.2)
        ),
        "labels.png": figure_png(label_plot(scores.per_class), height_inches=_height(scores.per_class)),
        "reliability.png": _square(reliability_plot(reliability_bins(predictions))),
    }
    curve = coverage_curve(predictions)
    if len(curve) > 1:
        plots["coverage.png"] = _square(_coverage_plot(curve))
    if rankings:
        plots["roc.png"] = _square(roc_plot(rankings))
        plots["precision-recall.png"] = _square(precision_recall_plot(rankings))
    return plots


def confusion_plot(scores: Scores) -> Draw:
    """Counts in the cells, dark for a large share of the row's label."""

    def draw(axes: Axes) -> None:
        counted = np.array(scores.confusion)
        shares = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap=HEAT, vmin=0.0, vmax=1.0, aspect="equal")
        if len(counted) <= COUNTS_UP_TO:
            for row, column in np.argwhere(counted >= 0).tolist():
                colour = "#ffffff" if shares[row, column] > LIGHT_TEXT_ABOVE else INK
                faint = 0.35 if counted[row, column] == 0 else 1.0
                text = f"{counted[row, column]}"
                axes.text(column, row, text, ha="center", va="center", color=colour, alpha=faint, fontsize=8)
        names = [short(name) for name in scores.classes]
        upright = max(map(len, names)) * len(names) > 40
        axes.set_xticks(range(len(names)), names, rotation=90.0 if upright else 0.0)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("truth")
        axes.spines[:].set_visible(False)

    return draw


def label_plot(per_class: Sequence[LabelScores]) -> Draw:
    """A bar a figure and label, with its 95 % interval."""

    def draw(axes: Axes) -> None:
        thickness = 0.8 / len(BARS)
        for beside, (name, shown) in enumerate(BARS.items()):
            at = np.arange(len(per_class)) + (beside - 1) * thickness
            figures = [of.figures[name] for of in per_class]
            values = [figure.value or 0.0 for figure in figures]
            axes.barh(at, values, height=thickness * 0.86, color=PALETTE[beside], label=shown)
            _whiskers(axes, at, figures)
        names = [f"{short(of.label)}  ({of.n})" for of in per_class]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.set_xlim(0, 1)
        axes.set_xlabel("fraction, with 95 % interval; pictures in brackets")
        axes.grid(axis="x")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(BARS), borderaxespad=0.2, fontsize=8)

    return draw


def reliability_plot(bins: Sequence[Bin]) -> Draw:
    """Accuracy in each bin of confidence against the diagonal; the share of pictures below."""

    def draw(axes: Axes) -> None:
        used = [of for of in bins if of.n]
        most = max(of.n for of in used)
        centres = [(of.low + of.high) / 2 for of in used]
        width = 0.92 / len(bins)
        colours = [PALETTE[0] if of.n >= FEW_IN_BIN else PALE for of in used]
        axes.bar(centres, [cast("float", of.accuracy) for of in used], width=width, color=colours)
        axes.bar(
            centres,
            [-DEEPEST * of.n / most for of in used],
            width=width,
            color=PALETTE[6],
            label=f"pictures (most: {most})",
        )
        means = [cast("float", of.confidence) for of in used]
        axes.scatter(means, means, marker="_", s=70, color=PALETTE[1], zorder=3, label="mean confidence")
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--", label="as it should be")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlim(0, 1)
        axes.set_ylim(-DEEPEST * 1.1, 1)
        axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, fontsize=7)

    return draw


def roc_plot(rankings: Mapping[str, Ranking]) -> Draw:
    """One against rest, a curve a label; chance is the dashed diagonal."""
    curves = {
        name: _finite(of.alarms[0] / of.alarms[0, -1], of.hits[0] / of.hits[0, -1])
        for name, of in rankings.items()
    }

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
        lines(curves, across="1 − specificity", up="sensitivity")(axes)
        _unit_square(axes)

    return draw


def precision_recall_plot(rankings: Mapping[str, Ranking]) -> Draw:
    """One against rest, in steps: between two thresholds there is no other."""

    def draw(axes: Axes) -> None:
        curves = {}
        for name, of in rankings.items():
            hits, alarms = of.hits[0, 1:], of.alarms[0, 1:]
            recall, precision = hits / hits[-1], hits / (hits + alarms)
            curves[name] = _finite(np.repeat(np.append(0.0, recall), 2)[1:-1], np.repeat(precision, 2))
        lines(curves, across="recall", up="precision")(axes)
        _unit_square(axes)

    return draw


def _coverage_plot(curve: Sequence[CoveragePoint]) -> Draw:
    """What is gained by leaving the least sure pictures unanswered."""

    def draw(axes: Axes) -> None:
        xs, ys = [point.coverage for point in curve], [point.accuracy for point in curve]
        axes.plot(xs, ys, color=PALETTE[0], marker="o", markersize=3.5, linewidth=1.6)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(min(0.5, min(ys)), 1.01)
        axes.set_xlabel("share of the pictures that is answered, the surest first")
        axes.set_ylabel("accuracy on these")
        axes.grid()

    return draw


def _whiskers(axes: Axes, at: Floats, figures: Sequence[Figure]) -> None:
    for row, figure in zip(at, figures, strict=True):
        if figure.ci95 is not None:
            axes.plot(figure.ci95, (row, row), color=INK, linewidth=1.0, solid_capstyle="butt")


def _height(per_class: Sequence[LabelScores]) -> float:
    return 1.0 + BAR_INCHES * len(BARS) * max(len(per_class), 2)


def _square(draw: Draw) -> bytes:
    return figure_png(draw, width_inches=SIDE_INCHES, height_inches=SIDE_INCHES)


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    axes.set_aspect("equal")


def _finite(xs: Floats, ys: Floats) -> tuple[list[float], list[float]]:
    return xs.tolist(), ys.tolist()
