"""Plot a search: how it went, what mattered, and what accuracy costs in milliseconds."""

from __future__ import annotations

from dermpack.reporting.plots import INK, PALETTE, SOFT, Axes, Draw, bars, figure_png, height_for
from trainer.experiments.report.search_record import Search, State, TrialRow

WIDTH_INCHES, HEIGHT_INCHES = 6.4, 3.8
WORDS = {
    "balanced_accuracy": "balanced accuracy, validation split",
    "auroc": "AUROC, validation split",
    "latency_ms": "milliseconds of the int8 export",
}
ALT = {
    "history.png": "The figure of each trial, and the best until then",
    "importance.png": "How much each option decides the figure",
    "pareto.png": "Each trial's figure against its latency; on the line none is better in both",
}
MOST_NAMES = 12  # on the front: more would cover each other


def tune_plots(search: Search) -> dict[str, bytes]:
    """File name → PNG; a plot that has nothing to show is left out."""
    plots = {}
    if search.of(State.COMPLETE):
        plots["history.png"] = _figure(history_plot(search))
    if search.importance:
        names = sorted(search.importance, key=lambda name: -search.importance[name])
        drawn = bars(
            [name.replace("_", "-") for name in names],
            [search.importance[name] for name in names],
            unit="share of what the options together decide",
            form="{:.2f}",
        )
        plots["importance.png"] = figure_png(drawn, height_inches=height_for(len(names)))
    if len(search.objectives) > 1 and search.best:
        plots["pareto.png"] = _figure(pareto_plot(search))
    return plots


def history_plot(search: Search) -> Draw:
    """A dot a trial, a cross where it was given up, a line for the best so far."""
    complete = search.of(State.COMPLETE)
    numbers = [trial.number for trial in complete]
    values = [trial.values[0] for trial in complete]
    so_far = [max(values[: at + 1]) for at in range(len(values))]
    pruned = [trial for trial in search.of(State.PRUNED) if trial.curve]

    def draw(axes: Axes) -> None:
        axes.scatter(numbers, values, s=18, color=PALETTE[0], label="trial")
        axes.step(numbers, so_far, where="post", color=PALETTE[1], linewidth=1.4, label="best so far")
        if pruned:
            ends = [max(trial.curve.items())[1] for trial in pruned]
            given_up = [trial.number for trial in pruned]
            axes.scatter(given_up, ends, s=18, marker="x", color=SOFT, linewidths=1.0, label="given up at")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.set_xlabel("trial")
        axes.set_ylabel(WORDS[search.objectives[0]])
        axes.grid()
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, fontsize=8)

    return draw


def pareto_plot(search: Search) -> Draw:
    """Every trial, and the line of those that none beats in both."""
    front = sorted((search.trial(number) for number in search.best), key=_latency)
    others = [trial for trial in search.of(State.COMPLETE) if trial.number not in search.best]

    def draw(axes: Axes) -> None:
        axes.scatter(list(map(_latency, others)), [of.values[0] for of in others], s=16, color=PALETTE[-1])
        axes.step(
            *(list(map(_latency, front)), [of.values[0] for of in front]),
            **{"where": "post", "color": PALETTE[0], "marker": "o", "markersize": 5},
        )
        for trial in front[:MOST_NAMES]:
            axes.annotate(
                *(f"{trial.number}", (_latency(trial), trial.values[0])),
                **{
                    "xytext": (-4, 5),
                    "textcoords": "offset points",
                    "color": INK,
                    "fontsize": 8,
                    "ha": "right",
                },
            )
        axes.margins(0.1)
        axes.set_xlabel(WORDS[search.objectives[1]])
        axes.set_ylabel(WORDS[search.objectives[0]])
        axes.grid()

    return draw


def _latency(trial: TrialRow) -> float:
    return trial.values[1]


def _figure(draw: Draw) -> bytes:
    return figure_png(draw, width_inches=WIDTH_INCHES, height_inches=HEIGHT_INCHES)
