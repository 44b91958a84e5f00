"""Plots of an evaluation: confusion, labels, ROC, precision-recall, reliability and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from dermpack.contract import CoveragePoint
from dermpack.metrics.calibration import Bin, reliability_bins
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.ranking import Ranking, rank_label
from dermpack.metrics.summary import LabelScores, Scores
from dermpack.metrics.thresholds import coverage_curve
from dermpack.reporting.plots import (
    HEAT,
    INK,
    LIGHT_TEXT_ABOVE,
    PALETTE,
    SOFT,
    Axes,
    Draw,
    figure_png,
    line_plot,
    place_legend,
    shorten,
)

MOST_CURVES = 7  # one per colour; the labels with most pictures
SIDE_INCHES = 4.8  # of a square plot
BARS = {"recall": "recall", "precision": "precision", "auroc": "AUROC"}
BAR_INCHES = 0.2
PALE = "#c3d3e5"
FEW_IN_BIN = 10  # pictures; a paler bar shows that its height may be chance
DEEPEST = 0.15  # height of the bars below the reliability plot, which count pictures
COUNTS_UP_TO = 14  # classes; with more, the cells are too small for numbers


def evaluation_plots(predictions: Predictions, scores: Scores) -> dict[str, bytes]:
    """Return file name → PNG; plots without content are left out."""
    known = [
        index for index, label in enumerate(scores.per_class) if label.figures["auroc"].value is not None
    ]
    # The labels with most pictures, but drawn in the order of the classes.
    largest = sorted(known, key=lambda index: -scores.per_class[index].n)[:MOST_CURVES]
    rankings = {predictions.classes[index]: rank_label(predictions, index) for index in sorted(largest)}
    size = 1.6 + 0.5 * min(len(scores.classes), 24)
    height = 1.0 + BAR_INCHES * len(BARS) * max(len(scores.per_class), 2)
    plots = {
        "confusion.png": figure_png(
            confusion_plot(scores), width_inches=max(size, 3.6), height_inches=max(size * 0.86, 3.2)
        ),
        "labels.png": figure_png(label_plot(scores.per_class), height_inches=height),
        "reliability.png": _square_png(reliability_plot(reliability_bins(predictions))),
    }
    # With equal confidences there is one point: nothing could be abstained from.
    curve = coverage_curve(predictions)
    if len(curve) > 1:
        plots["coverage.png"] = _square_png(coverage_plot(curve))
    if rankings:
        plots["roc.png"] = _square_png(roc_plot(rankings))
        plots["precision-recall.png"] = _square_png(precision_recall_plot(rankings))
    return plots


def confusion_plot(scores: Scores) -> Draw:
    """Draw the confusion matrix: counts in the cells, dark for a large share of the row's label."""

    def draw(axes: Axes) -> None:
        counts = np.array(scores.confusion)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap=HEAT, vmin=0.0, vmax=1.0, aspect="equal")
        if len(counts) <= COUNTS_UP_TO:
            centred = {"ha": "center", "va": "center", "fontsize": 8}
            for row, column in np.ndindex(counts.shape):
                colour = "#ffffff" if shares[row, column] > LIGHT_TEXT_ABOVE else INK
                alpha = 0.35 if counts[row, column] == 0 else 1.0
                axes.text(column, row, f"{counts[row, column]}", color=colour, alpha=alpha, **centred)
        names = [shorten(name) for name in scores.classes]
        is_vertical = max(map(len, names)) * len(names) > 40
        axes.set_xticks(range(len(names)), names, rotation=90.0 if is_vertical else 0.0)
        axes.set_yticks(range(len(names)), names)
        axes.set_xlabel("predicted")
        axes.set_ylabel("truth")
        axes.spines[:].set_visible(False)

    return draw


def label_plot(per_class: Sequence[LabelScores]) -> Draw:
    """Draw a bar per label and metric, with its 95 % interval."""

    def draw(axes: Axes) -> None:
        thickness = 0.8 / len(BARS)
        for number, (name, title) in enumerate(BARS.items()):
            rows = np.arange(len(per_class)) + (number - 1) * thickness
            figures = [scores.figures[name] for scores in per_class]
            values = [figure.value or 0.0 for figure in figures]
            axes.barh(rows, values, height=thickness * 0.86, color=PALETTE[number], label=title)
            for row, figure in zip(rows, figures, strict=True):
                if figure.ci95 is not None:
                    axes.plot(figure.ci95, (row, row), color=INK, linewidth=1.0, solid_capstyle="butt")
        names = [f"{shorten(scores.label)}  ({scores.n})" for scores in per_class]
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.45, -0.55)
        axes.set_xlim(0, 1)
        axes.set_xlabel("fraction, with 95 % interval; pictures in brackets")
        axes.grid(axis="x")
        place_legend(axes, columns=len(BARS))

    return draw


def reliability_plot(bins: Sequence[Bin]) -> Draw:
    """Draw the accuracy in each bin of confidence and the diagonal, with the pictures per bin below."""

    def draw(axes: Axes) -> None:
        used = [group for group in bins if group.n]
        most = max(group.n for group in used)
        centres = [(group.low + group.high) / 2 for group in used]
        width = 0.92 / len(bins)
        colours = [PALETTE[0] if group.n >= FEW_IN_BIN else PALE for group in used]
        axes.bar(centres, [cast("float", group.accuracy) for group in used], width=width, color=colours)
        depths = [-DEEPEST * group.n / most for group in used]
        axes.bar(centres, depths, width=width, color=PALETTE[6], label=f"pictures (most: {most})")
        means = [cast("float", group.confidence) for group in used]
        axes.scatter(means, means, marker="_", s=70, color=PALETTE[1], zorder=3, label="mean confidence")
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--", label="perfect calibration")
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_xlim(0, 1)
        axes.set_ylim(-DEEPEST * 1.1, 1)
        axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
        axes.set_xlabel("confidence")
        axes.set_ylabel("accuracy")
        place_legend(axes, columns=3, font_size=7)

    return draw


def roc_plot(rankings: Mapping[str, Ranking]) -> Draw:
    """Draw one ROC curve per label, one against rest; the dashed diagonal is chance."""

    def draw(axes: Axes) -> None:
        curves = {
            name: (
                (ranking.alarms[0] / ranking.alarms[0, -1]).tolist(),
                (ranking.hits[0] / ranking.hits[0, -1]).tolist(),
            )
            for name, ranking in rankings.items()
        }
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
        line_plot(curves, across="1 − specificity", up="sensitivity")(axes)
        _set_unit_square(axes)

    return draw


def precision_recall_plot(rankings: Mapping[str, Ranking]) -> Draw:
    """Draw one curve per label in steps: no threshold lies between two of them."""

    def draw(axes: Axes) -> None:
        curves = {}
        for name, ranking in rankings.items():
            hits, alarms = ranking.hits[0, 1:], ranking.alarms[0, 1:]
            recall, precision = hits / hits[-1], hits / (hits + alarms)
            # Every corner twice: once with the old precision, once with the new one.
            xs, ys = np.repeat(np.append(0.0, recall), 2)[1:-1], np.repeat(precision, 2)
            curves[name] = (xs.tolist(), ys.tolist())
        line_plot(curves, across="recall", up="precision")(axes)
        _set_unit_square(axes)

    return draw


def coverage_plot(curve: Sequence[CoveragePoint]) -> Draw:
    """Draw the accuracy on the most confident pictures."""

    def draw(axes: Axes) -> None:
        xs, ys = [point.coverage for point in curve], [point.accuracy for point in curve]
        axes.plot(xs, ys, color=PALETTE[0], marker="o", markersize=3.5, linewidth=1.6)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(min(0.5, min(ys)), 1.01)
        axes.set_xlabel("share of pictures answered, most confident first")
        axes.set_ylabel("accuracy on these")
        axes.grid()

    return draw


def _square_png(draw: Draw) -> bytes:
    return figure_png(draw, width_inches=SIDE_INCHES, height_inches=SIDE_INCHES)


def _set_unit_square(axes: Axes) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.02)
    axes.set_aspect("equal")
