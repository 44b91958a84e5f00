"""Plots of an evaluation: confusion, labels, ROC, precision-recall, reliability and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from dermpack.contract import CoveragePoint
from dermpack.metrics.calibration import Bin, reliability_bins
from dermpack.metrics.definitions import Ranking, rank_label
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.summary import LabelScores, Scores
from dermpack.metrics.thresholds import coverage_curve
from dermpack.reporting.plots import (
    HEAT,
    INK,
    LIGHT_TEXT_ABOVE,
    PALETTE,
    SOFT,
    Axes,
    figure_png,
    line_plot,
    place_legend,
    plot,
    shorten,
)

if TYPE_CHECKING:
    from dermpack.evaluation.evidence import EvidenceChecks

MOST_CURVES = 7  # one per colour; the labels with most pictures
SIDE = 4.8  # inches, of a square plot
BARS = {"recall": "recall", "precision": "precision", "auroc": "AUROC"}
BAR_INCHES = 0.2
PALE = "#c3d3e5"
FEW_IN_BIN = 10  # pictures; a paler bar shows that its height may be chance
DEEPEST = 0.15  # height of the bars below the reliability plot, which count pictures
UNIT_SQUARE = {"xlim": (-0.01, 1.01), "ylim": (-0.01, 1.02), "aspect": "equal"}
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
    label_height = 1.0 + BAR_INCHES * len(BARS) * max(len(scores.per_class), 2)
    square = {"reliability.png": reliability_plot(reliability_bins(predictions))}
    # With equal confidences there is one point: nothing could be abstained from.
    curve = coverage_curve(predictions)
    if len(curve) > 1:
        square["coverage.png"] = coverage_plot(curve)
    if rankings:
        square["roc.png"] = roc_plot(rankings)
        square["precision-recall.png"] = precision_recall_plot(rankings)
    confusion, width, height = confusion_plot(scores), max(size, 3.6), max(size * 0.86, 3.2)
    return {
        "confusion.png": figure_png(confusion, width_inches=width, height_inches=height),
        "labels.png": figure_png(label_plot(scores.per_class), height_inches=label_height),
        **{name: figure_png(draw, width_inches=SIDE, height_inches=SIDE) for name, draw in square.items()},
    }


@plot
def confusion_plot(axes: Axes, scores: Scores) -> None:
    """Draw the confusion matrix: counts in the cells, dark for a large share of the row's label."""
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
    axes.set(xlabel="predicted", ylabel="truth")
    axes.spines[:].set_visible(False)


@plot
def label_plot(axes: Axes, per_class: Sequence[LabelScores]) -> None:
    """Draw a bar per label and metric, with its 95 % interval."""
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
    axes.set(xlim=(0, 1), ylim=(len(names) - 0.45, -0.55))
    axes.set_xlabel("fraction, with 95 % interval; pictures in brackets")
    axes.grid(axis="x")
    place_legend(axes, columns=len(BARS))


@plot
def reliability_plot(axes: Axes, bins: Sequence[Bin]) -> None:
    """Draw the accuracy in each bin of confidence and the diagonal, with the pictures per bin below."""
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
    axes.set(xlim=(0, 1), ylim=(-DEEPEST * 1.1, 1), xlabel="confidence", ylabel="accuracy")
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    place_legend(axes, columns=3, font_size=7)


@plot
def roc_plot(axes: Axes, rankings: Mapping[str, Ranking]) -> None:
    """Draw one ROC curve per label, one against rest; the dashed diagonal is chance."""
    curves = {}
    for name, ranking in rankings.items():
        alarms, hits = ranking.alarms[0], ranking.hits[0]
        curves[name] = ((alarms / alarms[-1]).tolist(), (hits / hits[-1]).tolist())
    axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle="--")
    line_plot(curves, across="1 − specificity", up="sensitivity")(axes)
    axes.set(**UNIT_SQUARE)


@plot
def precision_recall_plot(axes: Axes, rankings: Mapping[str, Ranking]) -> None:
    """Draw one curve per label in steps: no threshold lies between two of them."""
    curves = {}
    for name, ranking in rankings.items():
        hits, alarms = ranking.hits[0, 1:], ranking.alarms[0, 1:]
        recall, precision = hits / hits[-1], hits / (hits + alarms)
        # Every corner twice: once with the old precision, once with the new one.
        xs, ys = np.repeat(np.append(0.0, recall), 2)[1:-1], np.repeat(precision, 2)
        curves[name] = (xs.tolist(), ys.tolist())
    line_plot(curves, across="recall", up="precision")(axes)
    axes.set(**UNIT_SQUARE)


def evidence_plot(checks: EvidenceChecks) -> bytes:
    """Draw the mean probability of the label while places are covered or shown."""
    curves = {name: (checks.shares, curve) for name, curve in checks.curves.items()}
    labels = {"across": "share of the places covered or shown", "up": "probability of the label"}
    return figure_png(line_plot(curves, **labels), width_inches=SIDE, height_inches=SIDE)


@plot
def coverage_plot(axes: Axes, curve: Sequence[CoveragePoint]) -> None:
    """Draw the accuracy on the most confident pictures."""
    xs, ys = [point.coverage for point in curve], [point.accuracy for point in curve]
    axes.plot(xs, ys, color=PALETTE[0], marker="o", markersize=3.5, linewidth=1.6)
    axes.set(xlim=(0, 1.02), ylim=(min(0.5, min(ys)), 1.01))
    axes.set(xlabel="share of pictures answered, most confident first", ylabel="accuracy on these")
    axes.grid()
