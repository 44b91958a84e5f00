"""The results of a search, and the HTML page and the plots rendered from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import Any

from dermpack.reporting.page import Block, Facts, Image, Section, Table, callouts, option_text, render_page
from dermpack.reporting.plots import (
    PALETTE,
    SOFT,
    Axes,
    bar_plot,
    figure_png,
    place_legend,
    plot,
    plot_height,
)
from dermpack.storage.codec import encode
from trainer.experiments.study_report import duration_text

SCHEMA = 1
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
SEARCH_SIZE = {"width_inches": 6.4, "height_inches": 3.8}
OBJECTIVE_LABELS = {
    "balanced_accuracy": "balanced accuracy, validation split",
    "auroc": "AUROC, validation split",
    "latency_ms": "milliseconds of the int8 export",
}
SEARCH_PLOTS = {  # title and description
    "history.png": ("History", "The figure of each trial, and the best one so far"),
    "importance.png": ("What matters", "How much each option influences the figure"),
    "pareto.png": (
        "Accuracy and latency",
        "The figure of each trial against its latency; the line is the Pareto front",
    ),
}
MAX_NAMES = 12  # on the front, because more would cover each other


class State(Enum):
    """The state of a trial."""

    COMPLETE = "complete"
    PRUNED = "pruned"  # others were better at the same epoch
    FAILED = "failed"
    RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial; a pruned or failed one has no values."""

    number: int
    state: State
    drawn: Mapping[str, Any]
    values: tuple[float, ...]
    curve: Mapping[str, float]  # epoch → best validation figure so far, in the order of the epochs
    seconds: float | None  # of training, measured
    same_as: int | None = None  # an earlier trial with the same recipe, whose result was reused
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The trials of a search, sorted by number; its record is tune.json."""

    name: str
    dataset: Mapping[str, str]  # sha256 and source
    objectives: tuple[str, ...]  # the first is maximized, the second minimized
    space: Mapping[str, Any]
    left_out: tuple[str, ...]
    base: Mapping[str, Any]  # the recipe that all trials start from
    best: tuple[int, ...]  # the Pareto front; the best of the first objective comes first
    importance: Mapping[str, float]  # of each option for the first objective; the sum is 1
    trials: tuple[TrialRow, ...]

    def of(self, state: State) -> tuple[TrialRow, ...]:
        return tuple(trial for trial in self.trials if trial.state is state)

    def trial(self, number: int) -> TrialRow:
        return next(trial for trial in self.trials if trial.number == number)

    @property
    def ranked(self) -> tuple[TrialRow, ...]:
        """Return the complete trials, the best one of the first objective first."""
        return tuple(sorted(self.of(State.COMPLETE), key=lambda trial: (-trial.values[0], trial.number)))

    def record(self) -> dict[str, Any]:
        return {"schema": SCHEMA, "split": "validation", **encode(self)}


def search_page(search: Search, plots: Mapping[str, bytes]) -> str:
    """Return the HTML page: the best recipe, the plots, all trials and the search space."""
    counts = {state: len(search.of(state)) for state in State}
    counted = ", ".join(f"{count} {state.value}" for state, count in counts.items() if count)
    # Pruned, failed and running trials have no figures to rank; they follow in the order of their numbers.
    ranked = search.ranked
    rows = [
        _row(search, trial) for trial in (*ranked, *(trial for trial in search.trials if trial not in ranked))
    ]
    trials = Table("Trials, best first", _header(search), rows)
    drawn = [
        Section(title, [Image(data=plots[name], alt=text, caption=text)])
        for name, (title, text) in SEARCH_PLOTS.items()
        if name in plots
    ]
    sections = [
        Section("Best", list(_best(search))),
        *drawn,
        Section("Trials", [trials]),
        Section("Searched", list(_space(search))),
    ]
    subtitle = f"{search.dataset['source']}: {counted}"
    return render_page(f"Search {search.name}", subtitle=subtitle, sections=sections)


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
        yield from callouts(["No trial is complete yet."])
        return
    first = search.trial(search.best[0])
    figures = zip((NAMES[name] for name in search.objectives), value_texts(search, first), strict=True)
    yield Facts([("trial", f"{first.number}"), *figures])
    if len(search.objectives) > 1:
        rows = [_row(search, search.trial(number)) for number in search.best]
        yield Table("Pareto front", _header(search), rows)
        yield SEVERAL
    else:
        rows = [(name.replace("_", "-"), _text(value)) for name, value in sorted(first.drawn.items())]
        yield Table("Sampled options", ("option", "value"), rows)
    yield OPTIMISTIC


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
    yield Table("Search space", ("option", "values"), rows)
    if search.left_out:
        left_out = ", ".join(search.left_out).replace("_", "-")
        yield f"Not searched, because the base recipe does not use it or fixes it: {left_out}."
    # With the fixed options too, the page shows everything that is needed to repeat a trial.
    fixed = (
        f"{name.replace('_', '-')} {option_text(name, value)}"
        for name, value in sorted(search.base.items())
        if name not in search.space
    )
    yield f"Equal in all trials: {', '.join(fixed)}."


def _header(search: Search) -> tuple[str, ...]:
    return ("trial", *(NAMES[name] for name in search.objectives), "time", "sampled options", "")


def _row(search: Search, trial: TrialRow) -> tuple[str, ...]:
    seconds = "–" if trial.seconds is None else duration_text(trial.seconds)
    note = trial.reason or (f"same as trial {trial.same_as}" if trial.same_as is not None else "")
    state = note or ("" if trial.state is State.COMPLETE else trial.state.value)
    return f"{trial.number}", *value_texts(search, trial), seconds, sampled_text(trial.drawn), state


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value) or "none"


def search_plots(search: Search) -> dict[str, bytes]:
    """Return the plots by file name, without those that have nothing to show."""
    plots = {}
    if search.of(State.COMPLETE):
        plots["history.png"] = figure_png(trial_history_plot(search), **SEARCH_SIZE)
    if search.importance:
        # The most important option is drawn first.
        names = sorted(search.importance, key=lambda name: -search.importance[name])
        options, shares = (
            [name.replace("_", "-") for name in names],
            [search.importance[name] for name in names],
        )
        drawn = bar_plot(options, shares, unit="share of the influence of all options", form="{:.2f}")
        plots["importance.png"] = figure_png(drawn, height_inches=plot_height(len(names)))
    if len(search.objectives) > 1 and search.best:
        plots["pareto.png"] = figure_png(pareto_plot(search), **SEARCH_SIZE)
    return plots


@plot
def trial_history_plot(axes: Axes, search: Search) -> None:
    """Draw a dot for each trial, a cross for each pruned one, and the best so far."""
    complete = search.of(State.COMPLETE)
    numbers = [trial.number for trial in complete]
    values = [trial.values[0] for trial in complete]
    so_far = list(accumulate(values, max))
    axes.scatter(numbers, values, s=18, color=PALETTE[0], label="trial")
    axes.step(numbers, so_far, where="post", color=PALETTE[1], linewidth=1.4, label="best so far")
    if pruned := {trial.number: trial.curve for trial in search.of(State.PRUNED) if trial.curve}:
        # A pruned trial has no final value: its cross shows the best value of its last epoch.
        ends = [list(curve.values())[-1] for curve in pruned.values()]
        axes.scatter(list(pruned), ends, s=18, marker="x", color=SOFT, linewidths=1.0, label="pruned")
    axes.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)
    axes.set(xlabel="trial", ylabel=OBJECTIVE_LABELS[search.objectives[0]])
    axes.grid()
    place_legend(axes, columns=3)


@plot
def pareto_plot(axes: Axes, search: Search) -> None:
    """Draw every trial, and the Pareto front as a line."""
    # Sorted by latency, the front can be drawn as one line of steps.
    front = sorted((search.trial(number) for number in search.best), key=lambda trial: trial.values[1])
    others = [trial.values for trial in search.of(State.COMPLETE) if trial.number not in search.best]
    accuracies, latencies = zip(*(trial.values for trial in front), strict=True)
    axes.scatter([ms for _, ms in others], [figure for figure, _ in others], s=16, color=PALETTE[-1])
    axes.step(latencies, accuracies, where="post", color=PALETTE[0], marker="o", markersize=5)
    for trial in front[:MAX_NAMES]:
        place = (trial.values[1], trial.values[0])
        style = {"fontsize": 8, "ha": "right"}
        axes.annotate(f"{trial.number}", place, (-4, 5), textcoords="offset points", **style)
    axes.margins(0.1)
    up, across = (OBJECTIVE_LABELS[name] for name in search.objectives)
    axes.set(xlabel=across, ylabel=up)
    axes.grid()
