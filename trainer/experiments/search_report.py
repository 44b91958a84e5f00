"""Render a search: an HTML page with the best recipe, the trials and plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dermpack.reporting.page import (
    Block,
    Callout,
    Facts,
    Image,
    Level,
    Section,
    Table,
    Text,
    option_text,
    render_page,
)
from dermpack.reporting.plots import INK, PALETTE, SOFT, Axes, Draw, bar_plot, figure_png, plot_height
from trainer.experiments.search_record import Search, State, TrialRow
from trainer.experiments.study_report import duration_text

NAMES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "latency_ms": "int8, ms"}
OPTIMISTIC = (
    "All figures are from the validation split, which selected the epochs and the recipe. The figure of "
    "the best trial is therefore optimistic, more so with more trials: train it and evaluate it on the test "
    "split."
)
SEVERAL = (
    "No trial is better than these in both objectives. Other programs may have run while the latency was "
    "measured: benchmark the candidates again."
)


def search_page(search: Search, plots: Mapping[str, bytes]) -> str:
    """Return the HTML page: the best recipe, the plots, all trials and the search space."""
    counts = {state: len(search.of(state)) for state in State}
    counted = ", ".join(f"{count} {state.value}" for state, count in counts.items() if count)
    # Pruned, failed and running trials have no figures to rank; they follow in the order of their numbers.
    ranked = search.ranked
    rows = [
        _row(search, trial) for trial in (*ranked, *(trial for trial in search.trials if trial not in ranked))
    ]
    trials = Table(caption="Trials, best first", header=_header(search), rows=rows)
    sections = [
        Section(title="Best", blocks=list(_best(search))),
        *_images("History", "history.png", plots),
        *_images("What matters", "importance.png", plots),
        *_images("Accuracy and latency", "pareto.png", plots),
        Section(title="Trials", blocks=[trials]),
        Section(title="Searched", blocks=list(_space(search))),
    ]
    return render_page(f"Search {search.name}", subtitle=f"{search.source}: {counted}", sections=sections)


def value_texts(search: Search, trial: TrialRow) -> tuple[str, ...]:
    """Return a cell for each objective; dashes for a trial without values."""
    if not trial.values:
        return ("–",) * len(search.objectives)
    forms = ("{:.3g}" if name == "latency_ms" else "{:.3f}" for name in search.objectives)
    return tuple(form.format(value) for form, value in zip(forms, trial.values, strict=True))


def sampled_text(drawn: Mapping[str, Any]) -> str:
    """Return the sampled options of a trial: "dense none, rate 0.00012"."""
    return ", ".join(f"{name.replace('_', '-')} {_text(value)}" for name, value in sorted(drawn.items()))


def _best(search: Search) -> Iterator[Block]:
    """Yield the best trial with its sampled options, or the Pareto front of two objectives."""
    if not search.best:
        yield Callout(level=Level.WARNING, text="No trial is complete yet.")
        return
    first = search.trial(search.best[0])
    figures = zip((NAMES[name] for name in search.objectives), value_texts(search, first), strict=True)
    yield Facts(facts=[("trial", f"{first.number}"), *figures])
    if len(search.objectives) > 1:
        rows = [_row(search, search.trial(number)) for number in search.best]
        yield Table(caption="Pareto front", header=_header(search), rows=rows)
        yield Text(text=SEVERAL)
    else:
        rows = [(name.replace("_", "-"), _text(value)) for name, value in sorted(first.drawn.items())]
        yield Table(caption="Sampled options", header=("option", "value"), rows=rows)
    yield Text(text=OPTIMISTIC)


def _space(search: Search) -> Iterator[Block]:
    """Yield the values of each searched option, and the options that all trials have in common."""
    rows = []
    for name, value in sorted(search.space.items()):
        if isinstance(value, list):
            text = " · ".join(map(_text, value))
        else:
            steps = f", step {value['step']:g}" if value["step"] else ", logarithmic" if value["log"] else ""
            text = f"{value['low']:g} to {value['high']:g}{steps}"
        rows.append((name.replace("_", "-"), text))
    yield Table(caption="Search space", header=("option", "values"), rows=rows)
    if search.left_out:
        left_out = ", ".join(search.left_out).replace("_", "-")
        yield Text(text=f"Not searched, because the base recipe does not use it or fixes it: {left_out}.")
    # With the fixed options too, the page shows everything that is needed to repeat a trial.
    fixed = {name: value for name, value in sorted(search.base.items()) if name not in search.space}
    fixed_texts = (f"{name.replace('_', '-')} {option_text(name, value)}" for name, value in fixed.items())
    yield Text(text=f"Equal in all trials: {', '.join(fixed_texts)}.")


def _header(search: Search) -> tuple[str, ...]:
    return ("trial", *(NAMES[name] for name in search.objectives), "time", "sampled options", "")


def _row(search: Search, trial: TrialRow) -> tuple[str, ...]:
    seconds = "–" if trial.seconds is None else duration_text(trial.seconds)
    note = trial.reason or (f"same as trial {trial.same_as}" if trial.same_as is not None else "")
    state = note or ("" if trial.state is State.COMPLETE else trial.state.value)
    return f"{trial.number}", *value_texts(search, trial), seconds, sampled_text(trial.drawn), state


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value) or "none"


def _images(title: str, name: str, plots: Mapping[str, bytes]) -> list[Section]:
    if name not in plots:
        return []
    return [
        Section(title=title, blocks=[Image(data=plots[name], alt=SEARCH_ALT[name], caption=SEARCH_ALT[name])])
    ]


SEARCH_WIDTH_INCHES, SEARCH_HEIGHT_INCHES = 6.4, 3.8
OBJECTIVE_LABELS = {
    "balanced_accuracy": "balanced accuracy, validation split",
    "auroc": "AUROC, validation split",
    "latency_ms": "milliseconds of the int8 export",
}
SEARCH_ALT = {
    "history.png": "The figure of each trial, and the best one so far",
    "importance.png": "How much each option influences the figure",
    "pareto.png": "The figure of each trial against its latency; the line is the Pareto front",
}
MAX_NAMES = 12  # on the front, because more would cover each other


def search_plots(search: Search) -> dict[str, bytes]:
    """Return the plots by file name, without those that have nothing to show."""
    plots = {}
    if search.of(State.COMPLETE):
        plots["history.png"] = _figure(trial_history_plot(search))
    if search.importance:
        # The most important option is drawn first.
        names = sorted(search.importance, key=lambda name: -search.importance[name])
        drawn = bar_plot(
            [name.replace("_", "-") for name in names],
            [search.importance[name] for name in names],
            unit="share of the influence of all options",
            form="{:.2f}",
        )
        plots["importance.png"] = figure_png(drawn, height_inches=plot_height(len(names)))
    if len(search.objectives) > 1 and search.best:
        plots["pareto.png"] = _figure(pareto_plot(search))
    return plots


def trial_history_plot(search: Search) -> Draw:
    """Return a plot with a dot for each trial, a cross for each pruned one, and the best so far."""
    complete = search.of(State.COMPLETE)
    numbers = [trial.number for trial in complete]
    values = [trial.values[0] for trial in complete]
    so_far = [max(values[: index + 1]) for index in range(len(values))]
    pruned = [trial for trial in search.of(State.PRUNED) if trial.curve]

    def draw(axes: Axes) -> None:
        axes.scatter(numbers, values, s=18, color=PALETTE[0], label="trial")
        axes.step(numbers, so_far, where="post", color=PALETTE[1], linewidth=1.4, label="best so far")
        if pruned:
            # A pruned trial has no final value: its cross shows the best value of its last epoch.
            ends = [max(trial.curve.items())[1] for trial in pruned]
            pruned_numbers = [trial.number for trial in pruned]
            axes.scatter(pruned_numbers, ends, s=18, marker="x", color=SOFT, linewidths=1.0, label="pruned")
        axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
        axes.set_xlabel("trial")
        axes.set_ylabel(OBJECTIVE_LABELS[search.objectives[0]])
        axes.grid()
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, fontsize=8)

    return draw


def pareto_plot(search: Search) -> Draw:
    """Return a plot with every trial, and the Pareto front as a line."""
    # Sorted by latency, the front can be drawn as one line of steps.
    front = sorted((search.trial(number) for number in search.best), key=_latency)
    others = [trial for trial in search.of(State.COMPLETE) if trial.number not in search.best]

    def draw(axes: Axes) -> None:
        axes.scatter(
            list(map(_latency, others)), [trial.values[0] for trial in others], s=16, color=PALETTE[-1]
        )
        axes.step(
            *(list(map(_latency, front)), [trial.values[0] for trial in front]),
            **{"where": "post", "color": PALETTE[0], "marker": "o", "markersize": 5},
        )
        for trial in front[:MAX_NAMES]:
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
        axes.set_xlabel(OBJECTIVE_LABELS[search.objectives[1]])
        axes.set_ylabel(OBJECTIVE_LABELS[search.objectives[0]])
        axes.grid()

    return draw


def _latency(trial: TrialRow) -> float:
    return trial.values[1]


def _figure(draw: Draw) -> bytes:
    return figure_png(draw, width_inches=SEARCH_WIDTH_INCHES, height_inches=SEARCH_HEIGHT_INCHES)
