"""What a report says in plain sentences: what differs from what, by how much, and whether that is sure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.report.figure_text import (
    apart_text,
    cost_text,
    factor,
    listing,
    millions,
    points,
    range_text,
    share,
)
from benchmarks.report.record_lookup import base_of, is_measured, place_of, primary, result_at, results_of
from benchmarks.report.schema import (
    AccuracyDrop,
    FigurePair,
    OutputAgreement,
    Record,
    Result,
    SettingOnTarget,
    SpeedUp,
)
from benchmarks.statistics.drift import Drift

EMULATED = (
    "Emulated processors give correctness and counts of instructions. A count is not a latency: "
    "it says nothing of memory, of clock or of how many instructions run side by side."
)


def summary(record: Record) -> list[str]:
    """The page in a handful of sentences: a target each, then a model each, then a target each again."""
    places = [where for of in record.targets if (where := primary(record, of.target)) is not None]
    return [*(_costs(record, where) for where in places), *_drops(record), *_across(record)]


def notes(record: Record) -> list[str]:
    """What the targets say of themselves, and why a model is slow."""
    told: dict[str, list[str]] = {}
    for place in record.targets:
        for note in place.notes:
            told.setdefault(note, []).append(place.target)
    return [f"{listing(targets)}: {note}" for note, targets in told.items()]


def warnings(record: Record) -> list[str]:
    """What makes figures worth less, or is missing."""
    unscored = [f"{of.model} is not scored: {of.unscored}" for of in record.answers if of.unscored]
    return [*_drifts(record), *refusals(record), *dict.fromkeys((*unscored, *_guesses(record)))]


def _drifts(record: Record) -> Iterator[str]:
    """One sentence a target: how many results, and the worst of them."""
    for place in record.targets:
        if told := unsteady(record, place.target):
            worst, drift = told[0]
            many = f"{unsteady_text(record, place.target)}; the worst: " if len(told) > 1 else ""
            yield f"{place.target}: {many}{worst.model} with {worst.where.setting}: {drift.sentence}"


def unsteady(record: Record, target: str) -> list[tuple[Result, Drift]]:
    """What did not hold still, the worst first."""
    known = [(of, of.times.drift) for of in results_of(record, target) if of.times and of.times.drift]
    return sorted((pair for pair in known if pair[1].sentence), key=lambda pair: -pair[1].worst)


def unsteady_text(record: Record, target: str) -> str:
    """ "3 of 16 medians come from rounds that did not hold still"."""
    timed = [of for of in results_of(record, target) if of.times and of.times.drift]
    return f"{len(unsteady(record, target))} of {len(timed)} medians come from rounds that did not hold still"


def _guesses(record: Record) -> Iterator[str]:
    """A model with one answer for every picture."""
    for of in record.answers:
        if record.data is not None and of.predicted is not None and len(set(record.data.truth)) > 1:
            answers = set(of.predicted)
            if len(answers) == 1:
                label = record.data.labels[answers.pop()]
                yield f"{of.model} is no better than guessing: every answer is {label}"


def refusals(record: Record) -> list[str]:
    """A model and a reason once, with all the settings that it concerns."""
    places: dict[tuple[str, str, str], list[str]] = {}
    for of in record.results:
        if of.refused is not None:
            places.setdefault((of.model, of.where.target, of.refused), []).append(str(of.where.setting))
    return [
        f"{model} does not run on {target} with {'; '.join(settings)}: {why}"
        for (model, target, why), settings in places.items()
    ]


def _costs(record: Record, where: SettingOnTarget) -> str:
    """What each model takes under the setting that speaks for the target."""
    base = base_of(record, where)
    told = [f"{base.model} takes {cost_text(base)}{_rounds(base)}"] if base else []
    for model in record.models:
        here = result_at(record, model.name, where)
        if here is not None and here is not base and is_measured(here):
            told.append(f"{model.name} {_against(record, here, base)}")
    emulated = " Counted, not timed." if place_of(record, where.target).is_emulated else ""
    return f"On {where}: {'; '.join(told)}.{emulated}"


def _against(record: Record, here: Result, base: Result | None) -> str:
    """ "4.24 ms, 2.38 times as fast (2.36 to 2.41)"."""
    counts = here.instructions_per_inference, base.instructions_per_inference if base else None
    if counts[0] is not None and counts[1]:
        return f"{millions(counts[0])} million, {factor(counts[0] / counts[1])} times as many"
    pace = next((of for of in record.paces if of.model == here.model and of.where == here.where), None)
    return cost_text(here) + (f", {pace_text(pace)}" if pace else "")


def pace_text(pace: SpeedUp) -> str:
    """ "2.38 times as fast (2.36 to 2.41)", "1.34 times as slow (1.31 to 1.37)"."""
    if pace.ci95 is None:
        return f"{factor(pace.times_as_fast)} times as fast, of too few rounds to be sure"
    low, high = pace.ci95
    if not pace.is_told:
        return f"no difference could be shown ({factor(low)} to {factor(high)} times as fast)"
    if pace.times_as_fast >= 1:
        return f"{factor(pace.times_as_fast)} times as fast ({factor(low)} to {factor(high)})"
    return f"{factor(1 / pace.times_as_fast)} times as slow ({factor(1 / high)} to {factor(1 / low)})"


def _rounds(result: Result) -> str:
    """ " (the median of 50 rounds)"; a tool that keeps its rounds has a median a process."""
    if result.times is None:
        return ""
    rounds, passes = f"{result.times.rounds:,} rounds", result.times.passes
    if passes is None:
        return f" (the median of {rounds})"
    if result.times.median_ms is None:
        return f" (the mean of {rounds} in {processes_text(len(passes))})"
    return f" (the middle one of the medians of {processes_text(len(passes))}, {rounds} in all)"


def processes_text(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes} processes"


def _drops(record: Record) -> Iterator[str]:
    """Each model against the first in the first place that speaks for itself, and how it is elsewhere."""
    if record.data is None:
        return
    for name in dict.fromkeys(of.model for of in record.drops):
        mine = [of for of in record.drops if of.model == name]
        yield f"{drop_sentence(mine[0], n=record.data.n, split=record.data.split.value)}{_elsewhere(mine)}"


def drop_sentence(drop: AccuracyDrop, *, n: int, split: str) -> str:
    """ "int8 loses 0.7 points of balanced accuracy against float32 (−1.9 to +0.4) …"."""
    pictures = f"on the {n:,} pictures of the {split} split"
    flips = f"{share(len(drop.flips), n)} get another label"
    if drop.flips:
        flips += f", {drop.only_first} of them lost and {drop.only_here} won"
    return f"{_difference(drop)} {pictures}; {flips} ({drop.where[0]})."


def _difference(drop: AccuracyDrop) -> str:
    change = drop.balanced_accuracy
    if change.difference == 0 and change.ci95 is None:
        return f"{drop.model} is as accurate as {drop.first}"
    verb = "loses" if change.difference < 0 else "gains"
    size = points(abs(change.difference)).lstrip("+")
    sure = "" if is_told(change) else "; no difference could be shown"
    interval = f" ({range_text(change.ci95)}{sure})" if change.ci95 else ""
    return f"{drop.model} {verb} {size} points of balanced accuracy against {drop.first}{interval}"


def is_told(change: FigurePair) -> bool:
    """Whether the interval leaves zero out."""
    return change.ci95 is not None and not change.ci95[0] <= 0 <= change.ci95[1]


def _elsewhere(drops: Sequence[AccuracyDrop]) -> str:
    """What the other runtimes, kernels and devices say of the same two files."""
    first, *others = (of.balanced_accuracy.difference for of in drops)
    if not others:
        return ""
    low, high = points(min(others)), points(max(others))
    if low == high == points(first):
        return " The difference is the same in all other places."
    difference = low if low == high else f"{low} to {high}"
    return f" In the other places the difference is {difference} points."


def _across(record: Record) -> Iterator[str]:
    """Whether another target says what the first one says, a sentence a target."""
    across = [of for of in record.agreements if of.where[0].target != of.first.target]
    for target in dict.fromkeys(of.where[0].target for of in across):
        mine = [of for of in across if of.where[0].target == target]
        models = dict.fromkeys(of.model for of in mine)
        told = [agreement_text([of for of in mine if of.model == model]) for model in models]
        many = len({place for of in mine for place in of.where})
        settings = "one setting" if many == 1 else f"{many} settings"
        place = f"On {target} against {mine[0].first.target}, the same file in {settings}"
        yield f"{place}: {'; '.join(told)}."


def agreement_text(agreements: Sequence[OutputAgreement]) -> str:
    """ "int8 differs in 0 of 2,100 outputs and 0 of 300 labels", or from the least to the most."""
    least = min(agreements, key=lambda of: of.differing)
    most = max(agreements, key=lambda of: (of.differing, of.other_labels))
    labels = max(of.other_labels for of in agreements)
    span = f"{least.differing:,} to " if least.differing < most.differing else ""
    how = f", {apart_text(most)}," if most.differing else ""
    outputs = f"{span}{share(most.differing, most.outputs, 'outputs')}{how}"
    return f"{most.model} differs in {outputs} and in {share(labels, most.n, 'labels')}"
