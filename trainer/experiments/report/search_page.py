"""The page of a search: the best recipe first, then how it was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dermpack.reporting.option_text import option_text
from dermpack.reporting.page import Block, Callout, Facts, Image, Level, Section, Table, Text, render_page
from trainer.experiments.report.search_plots import ALT
from trainer.experiments.report.search_record import Search, State, TrialRow
from trainer.experiments.report.study_text import duration

NAMES = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "latency_ms": "int8, ms"}
FLATTERS = (
    "All figures are of the validation split, which chose the epochs and, over all trials, the recipe: they "
    "flatter the best one, the more so the more trials there are. Train it, and score it on the test split."
)
SEVERAL = (
    "No trial is better than these in both objectives. Latency was measured beside whatever else the machine "
    "did: benchmark those that you mean to use."
)


def tune_page(search: Search, plots: Mapping[str, bytes]) -> str:
    """One HTML page with everything."""
    counts = {state: len(search.of(state)) for state in State}
    counted = ", ".join(f"{count} {state.value}" for state, count in counts.items() if count)
    sections = [
        Section(title="Best", blocks=list(_best(search))),
        *_images("History", "history.png", plots),
        *_images("What matters", "importance.png", plots),
        *_images("Accuracy and latency", "pareto.png", plots),
        Section(title="Trials", blocks=list(_trials(search))),
        Section(title="Searched", blocks=list(_space(search))),
    ]
    return render_page(f"Search {search.name}", subtitle=f"{search.source}: {counted}", sections=sections)


def value_texts(search: Search, trial: TrialRow) -> tuple[str, ...]:
    """A cell an objective; dashes for a trial without values."""
    if not trial.values:
        return ("–",) * len(search.objectives)
    forms = ("{:.3g}" if name == "latency_ms" else "{:.3f}" for name in search.objectives)
    return tuple(form.format(value) for form, value in zip(forms, trial.values, strict=True))


def drawn_text(drawn: Mapping[str, Any]) -> str:
    """rate 0.00012, dense none."""
    return ", ".join(f"{name.replace('_', '-')} {_text(value)}" for name, value in sorted(drawn.items()))


def _best(search: Search) -> Iterator[Block]:
    if not search.best:
        yield Callout(level=Level.WARNING, text="No trial is complete yet.")
        return
    first = search.trial(search.best[0])
    figures = zip((NAMES[name] for name in search.objectives), value_texts(search, first), strict=True)
    yield Facts(facts=[("trial", f"{first.number}"), *figures])
    if len(search.objectives) > 1:
        rows = [_row(search, search.trial(number)) for number in search.best]
        yield Table(caption="None is better in both", header=_header(search), rows=rows)
        yield Text(text=SEVERAL)
    else:
        rows = [(name.replace("_", "-"), _text(value)) for name, value in sorted(first.drawn.items())]
        yield Table(caption="What was drawn", header=("option", "value"), rows=rows)
    yield Text(text=FLATTERS)


def _trials(search: Search) -> Iterator[Block]:
    ranked = search.ranked
    rest = [trial for trial in search.trials if trial not in ranked]
    yield Table(
        caption="The best first",
        header=_header(search),
        rows=[_row(search, trial) for trial in (*ranked, *rest)],
    )


def _space(search: Search) -> Iterator[Block]:
    rows = [(name.replace("_", "-"), _range_text(value)) for name, value in sorted(search.space.items())]
    yield Table(caption="Where it looked", header=("option", "values"), rows=rows)
    if search.left_out:
        left_out = ", ".join(search.left_out).replace("_", "-")
        yield Text(text=f"Left out, since it means nothing to the recipe or is fixed by it: {left_out}.")
    fixed = {name: value for name, value in sorted(search.base.items()) if name not in search.space}
    told = (f"{name.replace('_', '-')} {option_text(name, value)}" for name, value in fixed.items())
    yield Text(text=f"The same in all trials: {', '.join(told)}.")


def _header(search: Search) -> tuple[str, ...]:
    return ("trial", *(NAMES[name] for name in search.objectives), "time", "drawn", "")


def _row(search: Search, trial: TrialRow) -> tuple[str, ...]:
    seconds = "–" if trial.seconds is None else duration(trial.seconds)
    note = trial.reason or (f"as trial {trial.same_as}" if trial.same_as is not None else "")
    said = note or ("" if trial.state is State.COMPLETE else trial.state.value)
    return f"{trial.number}", *value_texts(search, trial), seconds, drawn_text(trial.drawn), said


def _range_text(value: Any) -> str:
    if isinstance(value, list):
        return " · ".join(map(_text, value))
    steps = f", by {value['step']:g}" if value["step"] else ", by logarithm" if value["log"] else ""
    return f"{value['low']:g} to {value['high']:g}{steps}"


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value) or "none"


def _images(title: str, name: str, plots: Mapping[str, bytes]) -> list[Section]:
    if name not in plots:
        return []
    return [Section(title=title, blocks=[Image(data=plots[name], alt=ALT[name], caption=ALT[name])])]
