"""Plot a study: what accuracy costs, and how each recipe came to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dermpack.reporting.plots import INK, PALETTE, SOFT, Axes, Draw, figure_png, lines, short
from trainer.experiments.report.study_record import COMPARED, Study, TrainedRecipe, tested_figure

MEGA = 1_000_000
MARKERS = {"accuracy": "o", "balanced_accuracy": "s"}
WIDE_FROM = 20.0  # times from the least to the largest cost: beyond it, a logarithm shows more
ASIDE_INCHES = 0.08
POINTS_PER_INCH, NAME_POINTS = 72, 10
OF_AXES = 0.8  # of the height, nearly
NAME_WIDTH = 0.25  # of the width of the plot
NAME_LEFT_FROM = 0.6  # of the width: a name beyond it would leave the plot on the right
MOST_CURVES = 28  # colours times dashes
WIDTH_INCHES, HEIGHT_INCHES = 6.4, 4.2
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
    "history-validation.png": "The validation figure of each epoch, all recipes; a dot where a phase begins",
    "history-loss.png": "The training loss of each epoch, all recipes",
}


def study_plots(study: Study) -> dict[str, bytes]:
    """File name → PNG; nothing where nothing was trained."""
    found = {row.name: trained for row, trained in study.finished}
    if not found:
        return {}
    plots = {f"accuracy-{name}.png": _figure(cost_plot(found, *cost)) for name, cost in COSTS.items()}
    curves = dict(list(found.items())[:MOST_CURVES])
    if any(trained.curve.loss for trained in curves.values()):
        plots["history-validation.png"] = _figure(history_plot(curves, study.metric))
        plots["history-loss.png"] = _figure(history_plot(curves, "loss"))
    return plots


def cost_plot(found: Mapping[str, TrainedRecipe], across: str, cost: Cost) -> Draw:
    """A point a recipe and figure, with its interval; the name stands beside the upper one."""

    def draw(axes: Axes) -> None:
        costs = {name: cost(trained) for name, trained in found.items()}
        if min(costs.values()) > 0 and max(costs.values()) / min(costs.values()) > WIDE_FROM:
            axes.set_xscale("log")
        for at, name in enumerate(MARKERS):
            _points(axes, found, costs, name, at=at)
        axes.margins(x=0.2, y=0.12)
        axes.autoscale_view()
        tops = {
            name: max(tested_figure(of, key).value or 0.0 for key in MARKERS) for name, of in found.items()
        }
        _names(axes, {name: (costs[name], top) for name, top in tops.items()})
        axes.set_xlabel(across)
        axes.set_ylabel("test split")
        axes.grid()
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, fontsize=8)

    return draw


def history_plot(found: Mapping[str, TrainedRecipe], name: str) -> Draw:
    """A curve a recipe over the epochs of all its phases; a dot where a phase begins."""
    series = {recipe: _series(trained, name) for recipe, trained in found.items()}
    curves = {recipe: (range(1, len(values) + 1), values) for recipe, values in series.items()}

    def draw(axes: Axes) -> None:
        up = "training loss" if name == "loss" else f"{COMPARED[name]}, validation split"
        lines(curves, across="epoch", up=up)(axes)
        for line, trained in zip(axes.lines, found.values(), strict=False):
            starts = [after for _, after in trained.curve.starts if after < len(line.get_ydata())]
            line.set(marker="o", markersize=3.5, markevery=starts)
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        if len(found) == 1:
            axes.set_title(short(next(iter(found))), color=SOFT, loc="left")

    return draw


def _points(
    axes: Axes, found: Mapping[str, TrainedRecipe], costs: Mapping[str, float], figure: str, *, at: int
) -> None:
    """One figure of all recipes; those of one cost stand side by side, and so do their intervals."""
    from matplotlib.transforms import ScaledTranslation

    slots = _slots(costs)
    for number, (name, trained) in enumerate(found.items()):
        of = tested_figure(trained, figure)
        if of.value is None:
            continue
        low, high = of.ci95 or (of.value, of.value)
        axes.update_datalim([(costs[name], low), (costs[name], high)])
        inches = (slots[name] * len(MARKERS) + at - 0.5) * ASIDE_INCHES
        aside = ScaledTranslation(inches, 0, axes.figure.dpi_scale_trans)
        axes.errorbar(
            *([costs[name]], [of.value], [[max(of.value - low, 0.0)], [max(high - of.value, 0.0)]]),
            **{"fmt": MARKERS[figure], "color": PALETTE[at], "label": "" if number else COMPARED[figure]},
            **{"markersize": 5, "elinewidth": 1.0, "capsize": 2, "transform": axes.transData + aside},
        )


def _slots(costs: Mapping[str, float]) -> dict[str, int]:
    """How many recipes of the same cost come before each."""
    before = list(costs.items())
    return {name: sum(of == cost for _, of in before[:at]) for at, (name, cost) in enumerate(before)}


def _names(axes: Axes, places: Mapping[str, tuple[float, float]]) -> None:
    """The names outside of all points of one cost, pushed up where two would cover each other."""
    height = HEIGHT_INCHES * POINTS_PER_INCH * OF_AXES
    placed: list[tuple[float, float]] = []
    for name, (x, y) in sorted(places.items(), key=lambda item: item[1][1]):
        across, up = axes.transAxes.inverted().transform(axes.transData.transform((x, y)))
        near = [end + NAME_POINTS for beside, end in placed if abs(beside - across) < NAME_WIDTH]
        free = max([up * height, *near])
        placed.append((across, free))
        wide = sum(cost == x for cost, _ in places.values()) * len(MARKERS) * ASIDE_INCHES * POINTS_PER_INCH
        is_right = across > NAME_LEFT_FROM
        axes.annotate(
            *(short(name), (x, y)),
            **{"xytext": (-8 if is_right else wide, free - up * height), "textcoords": "offset points"},
            **{"ha": "right" if is_right else "left", "va": "center", "color": INK, "fontsize": 7.5},
        )


def _series(trained: TrainedRecipe, name: str) -> Sequence[float]:
    return trained.curve.loss if name == "loss" else trained.curve.validation.get(name, ())


def _figure(draw: Draw) -> bytes:
    return figure_png(draw, width_inches=WIDTH_INCHES, height_inches=HEIGHT_INCHES)
