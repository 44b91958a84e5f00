"""Plots of a study: accuracy against costs, and the history of each recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dermpack.reporting.plots import PALETTE, SOFT, Axes, figure_png, line_plot, place_legend, plot, shorten
from trainer.experiments.study_record import COMPARED, Study, TrainedRecipe, tested_figure

MEGA = 1_000_000
ERROR_BAR: Mapping[str, float] = {"markersize": 5, "elinewidth": 1.0, "capsize": 2}
MARKERS = {"accuracy": "o", "balanced_accuracy": "s"}
LOG_SCALE_FROM = 20.0  # ratio of the largest to the smallest cost
MARKER_GAP_INCHES = 0.08
POINTS_PER_INCH, NAME_POINTS = 72, 10
AXES_SHARE = 0.8  # of the height of the figure, roughly
NAME_WIDTH = 0.25  # as a share of the width of the plot
NAME_LEFT_FROM = 0.6  # share of the width from which a name is written to the left of its point
MAX_CURVES = 28  # combinations of colours and dashes
HEIGHT_INCHES = 4.2
Cost = Callable[[TrainedRecipe], float]
COSTS: Mapping[str, tuple[str, Cost]] = {
    "parameters": ("parameters, millions", lambda trained: trained.parameters / MEGA),
    "size": ("size of the weights, MB", lambda trained: trained.size_bytes / MEGA),
    "time": ("time of training, minutes", lambda trained: trained.training_seconds / 60),
}
ALT = {
    "accuracy-parameters.png": "Accuracy and balanced accuracy with intervals against parameters",
    "accuracy-size.png": "The same against the size of the weights",
    "accuracy-time.png": "The same against the time of training",
    "history-validation.png": "The validation figure of each epoch for all recipes; dots: starts of phases",
    "history-loss.png": "The training loss of each epoch for all recipes",
}


def study_plots(study: Study) -> dict[str, bytes]:
    """Return the plots by file name; none if no recipe was trained."""
    found = {row.name: trained for row, trained in study.finished}
    if not found:
        return {}
    plots = {f"accuracy-{name}.png": cost_plot(found, *cost) for name, cost in COSTS.items()}
    curves = dict(list(found.items())[:MAX_CURVES])
    if any(trained.history.loss for trained in curves.values()):
        plots["history-validation.png"] = history_plot(curves, study.metric)
        plots["history-loss.png"] = history_plot(curves, "loss")
    return {name: figure_png(draw, height_inches=HEIGHT_INCHES) for name, draw in plots.items()}


@plot
def cost_plot(axes: Axes, found: Mapping[str, TrainedRecipe], across: str, cost: Cost) -> None:
    """Draw one point and interval for each recipe and figure, named at the upper point."""
    costs = {name: cost(trained) for name, trained in found.items()}
    if min(costs.values()) > 0 and max(costs.values()) / min(costs.values()) > LOG_SCALE_FROM:
        axes.set_xscale("log")
    for index, name in enumerate(MARKERS):
        _draw_points(axes, found, costs, name, index=index)
    axes.margins(x=0.2, y=0.12)
    axes.autoscale_view()
    tops = (max(tested_figure(trained, key).value or 0.0 for key in MARKERS) for trained in found.values())
    _draw_names(axes, {name: (costs[name], top) for name, top in zip(found, tops, strict=True)})
    axes.set(xlabel=across, ylabel="test split")
    axes.grid()
    place_legend(axes, columns=2)


@plot
def history_plot(axes: Axes, found: Mapping[str, TrainedRecipe], name: str) -> None:
    """Draw one curve for each recipe over all its phases; a dot marks the start of a phase."""
    series = {
        recipe: trained.history.loss if name == "loss" else trained.history.validation.get(name, ())
        for recipe, trained in found.items()
    }
    curves = {recipe: (range(1, len(values) + 1), values) for recipe, values in series.items()}
    up = "training loss" if name == "loss" else f"{COMPARED[name]}, validation split"
    line_plot(curves, across="epoch", up=up)(axes)
    for line, trained in zip(axes.lines, found.values(), strict=False):
        ends = len(line.get_ydata())
        starts = [start.after_epoch for start in trained.history.starts if start.after_epoch < ends]
        line.set(marker="o", markersize=3.5, markevery=starts)
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    if len(found) == 1:
        axes.set_title(shorten(next(iter(found))), color=SOFT, loc="left")


def _draw_points(
    axes: Axes, found: Mapping[str, TrainedRecipe], costs: Mapping[str, float], figure: str, *, index: int
) -> None:
    """Draw one figure of all recipes; recipes with the same cost are shifted so that none is hidden."""
    from matplotlib.transforms import ScaledTranslation

    for number, (name, trained) in enumerate(found.items()):
        # The number of recipes before this one with the same cost.
        slot = list(costs.values())[:number].count(costs[name])
        tested = tested_figure(trained, figure)
        if tested.value is None:
            continue
        low, high = tested.ci95 or (tested.value, tested.value)
        # The shift is in inches, which the automatic limits of the axes ignore.
        axes.update_datalim([(costs[name], low), (costs[name], high)])
        inches = (slot * len(MARKERS) + index - 0.5) * MARKER_GAP_INCHES
        aside = ScaledTranslation(inches, 0, axes.figure.dpi_scale_trans)
        spread = [[max(tested.value - low, 0.0)], [max(high - tested.value, 0.0)]]
        label = "" if number else COMPARED[figure]
        style = {"fmt": MARKERS[figure], "color": PALETTE[index], "transform": axes.transData + aside}
        axes.errorbar([costs[name]], [tested.value], spread, label=label, **style, **ERROR_BAR)


def _draw_names(axes: Axes, places: Mapping[str, tuple[float, float]]) -> None:
    """Draw the names next to their points, from bottom to top; a name that would cover another moves up."""
    height = HEIGHT_INCHES * POINTS_PER_INCH * AXES_SHARE
    placed: list[tuple[float, float]] = []
    for name, (x, y) in sorted(places.items(), key=lambda item: item[1][1]):
        across, up = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
        # Only names that are close horizontally can cover each other; the lowest free height is above them.
        near = [end + NAME_POINTS for other, end in placed if abs(other - across) < NAME_WIDTH]
        free = max([up * height, *near])
        placed.append((across, free))
        # All points of recipes with this cost are drawn side by side, and the name follows the last one.
        wide = (
            sum(cost == x for cost, _ in places.values()) * len(MARKERS) * MARKER_GAP_INCHES * POINTS_PER_INCH
        )
        is_right = across > NAME_LEFT_FROM
        offset = (-8 if is_right else wide, free - up * height)
        style = {"ha": "right" if is_right else "left", "va": "center", "fontsize": 7.5}
        axes.annotate(shorten(name), (x, y), offset, textcoords="offset points", **style)
