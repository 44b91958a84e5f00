"""The text of a report: formatted figures, and sentences on what differs, by how much, how significantly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.protocol.results import OperatorTime
from benchmarks.report.schema import (
    AccuracyDrop,
    FigurePair,
    OutputAgreement,
    Record,
    Result,
    SettingOnTarget,
    SpeedUp,
    Times,
    find_baseline,
    find_result,
    find_target,
    is_measured,
    median_ms,
    primary_places,
    results_on,
)
from benchmarks.statistics.latency import Drift
from dermpack.metrics.summary import Figure
from dermpack.reporting.page import NO_VALUE

DETAILS = re.compile(r"\([^()]*\)")
MILLION = MEGABYTE = 1_000_000
EMULATED = (
    "Emulated processors give correctness and counts of instructions. A count is not a latency: "
    "it does not include memory, clock frequency or instructions that run in parallel."
)


def ms_text(value: float | None) -> str:
    """Format milliseconds: 0.1234 → "0.123", 12.345 → "12.35", 1234.5 → "1,234"."""
    if value is None:
        return NO_VALUE
    return f"{value:,.{3 if value < 1 else 2 if value < 100 else 1 if value < 1000 else 0}f}"


def median_text(times: Times) -> str:
    """Format a median with its interval: "10.4 (10.2–10.6)"; "~10.4" is a mean without a median."""
    if times.median_ms is None:
        return f"~{ms_text(times.mean_ms)}"
    ci95 = times.median_ci95_ms
    return ms_text(times.median_ms) + (f" ({ms_text(ci95[0])}–{ms_text(ci95[1])})" if ci95 else "")


def millions_text(instructions: int | None) -> str:
    return NO_VALUE if instructions is None else f"{instructions / MILLION:,.1f}"


def size_text(size_bytes: int) -> str:
    """Format a file size: 627_310 → "0.63 MB"."""
    return f"{size_bytes / MEGABYTE:.2f} MB"


def percent_text(figure: Figure | None) -> str:
    """Format a share with its interval: "74.2 % (70.1–78.0)"."""
    if figure is None or figure.value is None:
        return NO_VALUE
    interval = f" ({100 * figure.ci95[0]:.1f}–{100 * figure.ci95[1]:.1f})" if figure.ci95 else ""
    return f"{100 * figure.value:.1f} %{interval}"


def points_text(difference: float) -> str:
    """Format percentage points with their sign: -0.0071 → "−0.7", 0.0 → "0.0"."""
    rounded = round(100 * difference, 1)
    return "0.0" if rounded == 0 else f"{'+' if rounded > 0 else '−'}{abs(rounded):.1f}"


def change_text(change: FigurePair) -> str:
    """Format a change for a cell: "−0.7 (−1.9…+0.4)"."""
    ci95 = change.ci95
    interval = f" ({points_text(ci95[0])}…{points_text(ci95[1])})" if ci95 else ""
    return points_text(change.difference) + interval


def drop_text(change: FigurePair, *, against: str = "", doubt: str) -> str:
    """Format "loses 0.7 points of balanced accuracy (−1.9 to +0.4)"; `doubt` follows an unclear interval."""
    verb = "loses" if change.difference < 0 else "gains"
    size = points_text(abs(change.difference)).lstrip("+")
    interval = ""
    if change.ci95:
        low, high = change.ci95
        is_unclear = low <= 0 <= high
        interval = f" ({points_text(low)} to {points_text(high)}{doubt if is_unclear else ''})"
    return f"{verb} {size} points of balanced accuracy{against}{interval}"


def factor_text(ratio: float) -> str:
    """Format a factor: 0.0134 → "0.013", 2.134 → "2.13", 21.34 → "21.3"."""
    return f"{ratio:.{3 if ratio < 0.1 else 2 if ratio < 10 else 1}f}"


def kind_text(operator: OperatorTime) -> str:
    """Return the kind without layouts and types: "Convolution (NHWC, QC8) DWConv" → "Convolution DWConv"."""
    return " ".join(DETAILS.sub(" ", operator.name).split()) or operator.name


def distance_text(agreement: OutputAgreement) -> str:
    """Format the distance of outputs: "the same", "at most 2 steps", "at most 3e-06"."""
    if agreement.differing == 0:
        return "the same"
    if agreement.steps:
        most = max(map(int, agreement.steps))
        return f"at most {most} {'step' if most == 1 else 'steps'}"
    return "not a number" if agreement.most is None else f"at most {agreement.most:.1g}"


def share_text(part: int, whole: int, what: str = "") -> str:
    """Format "82 of 2,100 outputs (3.9 %)"; without the share for 0."""
    return f"{part:,} of {whole:,} {what}".rstrip() + (f" ({100 * part / whole:.1f} %)" if part else "")


def join_names(names: Iterable[str]) -> str:
    """Join names: "int8", "int8 and trained", "a, b and c"."""
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def count_text(count: int, what: str) -> str:
    """Format a number with its noun: "1 thread", "2 threads", "3 processes"."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{count} {what if count == 1 else plural}"


def summary(record: Record) -> list[str]:
    """Return the report in a few sentences: cost per target, accuracy per model, agreement per target."""
    costs = [_cost_sentence(record, where) for where in primary_places(record)]
    return [*costs, *_drop_sentences(record), *_agreement_sentences(record)]


def notes(record: Record) -> list[str]:
    """Return the notes of the targets; targets with the same note share one."""
    targets: dict[str, list[str]] = {}
    for place in record.targets:
        for note in place.notes:
            targets.setdefault(note, []).append(place.target)
    return [f"{join_names(names)}: {note}" for note, names in targets.items()]


def warnings(record: Record) -> list[str]:
    """Return what makes figures less reliable, and what is missing."""
    found = []
    for place in record.targets:
        if unsteady := unsteady_results(record, place.target):
            worst, drift = unsteady[0]
            count = f"{unsteady_text(record, place.target)}; the worst: " if len(unsteady) > 1 else ""
            found.append(f"{place.target}: {count}{worst.model} with {worst.where.setting}: {drift.sentence}")
    # A model and a reason once, with all the settings that it concerns.
    refused: dict[tuple[str, str, str], list[str]] = {}
    for result in record.results:
        if result.refused is not None:
            key = (result.model, result.where.target, result.refused)
            refused.setdefault(key, []).append(str(result.where.setting))
    for (model, target, why), settings in refused.items():
        found.append(f"{model} does not run on {target} with {'; '.join(settings)}: {why}")
    unscored = [
        f"{answer.model} is not scored: {answer.unscored}" for answer in record.answers if answer.unscored
    ]
    return [*found, *dict.fromkeys((*unscored, *_constant_predictions(record)))]


def unsteady_results(record: Record, target: str) -> list[tuple[Result, Drift]]:
    """Return the results whose rounds drifted, the worst first."""
    unsteady = [
        (result, result.times.drift)
        for result in results_on(record, target)
        if result.times and result.times.drift and result.times.drift.sentence
    ]
    return sorted(unsteady, key=lambda pair: -pair[1].worst)


def unsteady_text(record: Record, target: str) -> str:
    """Format "3 of 16 medians come from unsteady rounds"."""
    timed = [result for result in results_on(record, target) if result.times and result.times.drift]
    return f"{len(unsteady_results(record, target))} of {len(timed)} medians come from unsteady rounds"


def _constant_predictions(record: Record) -> Iterator[str]:
    """Yield a sentence for each model that gives all pictures the same label."""
    # With a single true label, the same answer for all pictures can be correct.
    if record.data is None or len(set(record.data.truth)) == 1:
        return
    for answer in record.answers:
        if len(set(answer.predicted or ())) == 1:
            label = record.data.labels[(answer.predicted or ())[0]]
            yield f"{answer.model} is no better than guessing: every answer is {label}"


def _cost_sentence(record: Record, where: SettingOnTarget) -> str:
    """Format what each model costs under one setting."""
    base = find_baseline(record, where)
    parts = []
    # The first model has its absolute cost; the others have theirs relative to it.
    for model in record.models:
        here = find_result(record, model.name, where)
        if here is None or not is_measured(here):
            continue
        counted = here.instructions_per_inference
        if here is base:
            cost = (
                f"{millions_text(counted)} million instructions"
                if counted
                else f"{ms_text(median_ms(here))} ms"
            )
            parts.append(f"{model.name} takes {cost}{_rounds_text(here)}")
        elif counted is not None and base is not None and base.instructions_per_inference:
            factor = factor_text(counted / base.instructions_per_inference)
            parts.append(f"{model.name} {millions_text(counted)} million, {factor} times as many")
        elif counted is not None:
            parts.append(f"{model.name} {millions_text(counted)} million instructions")
        else:
            # "int8 4.24 ms, 2.38 times as fast (2.36 to 2.41)"
            pace = next(
                (pace for pace in record.paces if (pace.model, pace.where) == (model.name, where)), None
            )
            speed_up = f", {_speed_up_text(pace)}" if pace else ""
            parts.append(f"{model.name} {ms_text(median_ms(here))} ms{speed_up}")
    emulated = " Counted, not timed." if find_target(record, where.target).is_emulated else ""
    return f"On {where}: {'; '.join(parts)}.{emulated}"


def _speed_up_text(pace: SpeedUp) -> str:
    """Format "2.38 times as fast (2.36 to 2.41)" or "1.34 times as slow (1.31 to 1.37)"."""
    if pace.ci95 is None:
        return f"{factor_text(pace.times_as_fast)} times as fast, with too few rounds for an interval"
    low, high = pace.ci95
    if not pace.is_told:
        return f"no significant difference ({factor_text(low)} to {factor_text(high)} times as fast)"
    if pace.times_as_fast >= 1:
        return f"{factor_text(pace.times_as_fast)} times as fast ({factor_text(low)} to {factor_text(high)})"
    interval = f"{factor_text(1 / high)} to {factor_text(1 / low)}"
    return f"{factor_text(1 / pace.times_as_fast)} times as slow ({interval})"


def _rounds_text(result: Result) -> str:
    """Format " (the median of 50 rounds)"; a tool without raw rounds has one median per process."""
    if result.times is None:
        return ""
    rounds, passes = f"{result.times.rounds:,} rounds", result.times.passes
    if passes is None:
        return f" (the median of {rounds})"
    processes = count_text(len(passes), "process")
    if result.times.median_ms is None:
        return f" (the mean of {rounds} in {processes})"
    return f" (the median of the medians of {processes}, {rounds} in all)"


def _drop_sentences(record: Record) -> Iterator[str]:
    """Yield each model against the first one in its first place, and the difference elsewhere."""
    if record.data is None:
        return
    for name in dict.fromkeys(drop.model for drop in record.drops):
        # The first place is the main one; all others share a single sentence.
        first, *others = [drop for drop in record.drops if drop.model == name]
        change = first.balanced_accuracy
        if change.difference == 0 and change.ci95 is None:
            difference = f"is as accurate as {first.first}"
        else:
            against = f" against {first.first}"
            difference = drop_text(change, against=against, doubt="; not significant")
        flips = f"{share_text(len(first.flips), record.data.n)} get another label"
        if first.flips:
            flips += f", {first.only_first} of them lost and {first.only_here} won"
        pictures = f"on the {record.data.n:,} pictures of the {record.data.split.value} split"
        yield f"{name} {difference} {pictures}; {flips} ({first.where[0]}).{_elsewhere_text(first, others)}"


def _elsewhere_text(first: AccuracyDrop, others: Sequence[AccuracyDrop]) -> str:
    """Format the difference of the same two files with other runtimes, kernels and devices."""
    if not others:
        return ""
    differences = [drop.balanced_accuracy.difference for drop in others]
    low, high = points_text(min(differences)), points_text(max(differences))
    if low == high == points_text(first.balanced_accuracy.difference):
        return " The difference is the same in all other places."
    span = low if low == high else f"{low} to {high}"
    return f" In the other places the difference is {span} points."


def _agreement_sentences(record: Record) -> Iterator[str]:
    """Yield, for each other target, whether its outputs agree with those of the first one."""
    across = [
        agreement for agreement in record.agreements if agreement.where[0].target != agreement.first.target
    ]
    for target in dict.fromkeys(agreement.where[0].target for agreement in across):
        here = [agreement for agreement in across if agreement.where[0].target == target]
        models = dict.fromkeys(agreement.model for agreement in here)
        parts = [_agreement_text([item for item in here if item.model == model]) for model in models]
        places = {place for agreement in here for place in agreement.where}
        settings = "one setting" if len(places) == 1 else f"{len(places)} settings"
        where = f"On {target} against {here[0].first.target}, the same file in {settings}"
        yield f"{where}: {'; '.join(parts)}."


def _agreement_text(agreements: Sequence[OutputAgreement]) -> str:
    """Format "int8 differs in 0 of 2,100 outputs and in 0 of 300 labels", or a range of settings."""
    # Settings of a target usually agree: only the extremes are named.
    least = min(agreements, key=lambda agreement: agreement.differing)
    most = max(agreements, key=lambda agreement: (agreement.differing, agreement.other_labels))
    labels = max(agreement.other_labels for agreement in agreements)
    span = f"{least.differing:,} to " if least.differing < most.differing else ""
    distance = f", {distance_text(most)}," if most.differing else ""
    outputs = f"{span}{share_text(most.differing, most.outputs, 'outputs')}{distance}"
    return f"{most.model} differs in {outputs} and in {share_text(labels, most.n, 'labels')}"
