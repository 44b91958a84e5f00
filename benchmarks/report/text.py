"""The text of a report: formatted figures, and sentences on what differs, by how much, how significantly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from benchmarks.protocol.plan import KERNELS_WORDS, Setting
from benchmarks.protocol.results import OperatorTime
from benchmarks.report.schema import FigurePair, OutputAgreement, Record, Result, SettingOnTarget, SpeedUp
from benchmarks.statistics.latency import Drift, Times
from dermpack.errors import count_noun
from dermpack.metrics.intervals import Interval
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
    return interval_text(times.median_ms, times.median_ci95_ms, ms_text)


def interval_text(value: float, ci95: Interval | None, form: Callable[[float], str], to: str = "–") -> str:
    """Format a figure with its interval, if there is one: "2.1 (1.9–2.2)"."""
    return form(value) + (f" ({form(ci95[0])}{to}{form(ci95[1])})" if ci95 else "")


def millions_text(instructions: float) -> str:
    return f"{instructions / MILLION:,.1f}"


def cost_text(result: Result | None) -> str:
    """Format the cost for a cell: millions of instructions, "refused", or milliseconds."""
    if result is None:
        return NO_VALUE
    if result.instructions_per_inference is not None:
        return millions_text(result.instructions_per_inference)
    return "refused" if result.refused is not None else ms_text(result.median_ms)


def kernels_text(setting: Setting) -> str:
    """Format a setting without its threads: "litert default", "tflite without XNNPACK"."""
    runtime = setting.runtime.replace("ai-edge-litert", "litert").replace("tflite-runtime", "tflite")
    return f"{runtime} {KERNELS_WORDS[setting.kernels].removesuffix(' kernels')}"


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
    return interval_text(change.difference, change.ci95, points_text, "…")


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
        return f"at most {count_noun(most, 'step')}"
    return "not a number" if agreement.most is None else f"at most {agreement.most:.1g}"


def share_text(part: int, whole: int, what: str = "") -> str:
    """Format "82 of 2,100 outputs (3.9 %)"; without the share for 0."""
    return f"{part:,} of {whole:,} {what}".rstrip() + (f" ({100 * part / whole:.1f} %)" if part else "")


def join_names(names: Iterable[str]) -> str:
    """Join names: "int8", "int8 and trained", "a, b and c"."""
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def summary(record: Record) -> list[str]:
    """Return the report in a few sentences: cost per target, accuracy per model, agreement per target."""
    costs = [_cost_sentence(record, where) for where in record.primary_places()]
    return [*costs, *_drop_sentences(record), *_agreement_sentences(record)]


def notes(record: Record) -> list[str]:
    """Return the notes of the targets; targets with the same note share one."""
    targets: dict[str, list[str]] = {}
    for place in record.targets:
        for note in place.notes:
            targets.setdefault(note, []).append(place.target)
    return [f"{join_names(names)}: {note}" for note, names in targets.items()]


def warnings(record: Record) -> list[str]:
    """Return the warnings about unreliable figures and missing results."""
    found = []
    for place in record.targets:
        unsteady, count = unsteady_results(record, place.target)
        if unsteady:
            worst, drift = unsteady[0]
            count = f"{count}; the worst: " if len(unsteady) > 1 else ""
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
    constant = []
    # With a single true label, the same answer for all pictures can be correct.
    if record.data is not None and len(set(record.data.truth)) > 1:
        for answer in record.answers:
            if len(given := set(answer.predicted or ())) == 1:
                label = record.data.labels[given.pop()]
                constant.append(f"{answer.model} is no better than guessing: every answer is {label}")
    return [*found, *dict.fromkeys((*unscored, *constant))]


def unsteady_results(record: Record, target: str) -> tuple[list[tuple[Result, Drift]], str]:
    """Return the results whose rounds drifted, the worst first, and how many of the results they are."""
    drifts = []
    for result in record.results_on(target):
        if result.times is not None and result.times.drift is not None:
            drifts.append((result, result.times.drift))
    unsteady = [(result, drift) for result, drift in drifts if drift.sentence]
    count = f"{len(unsteady)} of {len(drifts)} medians come from unsteady rounds"
    return sorted(unsteady, key=lambda pair: -pair[1].worst), count


def _cost_sentence(record: Record, where: SettingOnTarget) -> str:
    """Format what each model costs under one setting."""
    base = record.find_baseline(where)
    first = base.instructions_per_inference if base else None
    parts = []
    # The first model has its absolute cost; the others have theirs relative to it.
    for model in record.models:
        here = record.find_result(model.name, where)
        if here is None or here.cost is None:
            continue
        cost = f"{model.name} {'takes ' if here is base else ''}{cost_text(here)}"
        counted = here.instructions_per_inference
        if counted is None:
            # "int8 4.24 ms, 2.38 times as fast (2.36 to 2.41)"
            pace = record.find_speed_up(model.name, where)
            cost += f" ms, {_speed_up_text(pace)}" if pace else " ms"
        elif first and here is not base:
            cost += f" million, {factor_text(counted / first)} times as many"
        else:
            cost += " million instructions"
        parts.append(cost + (_rounds_text(here) if here is base else ""))
    emulated = " Counted, not timed." if record.find_target(where.target).is_emulated else ""
    return f"On {where}: {'; '.join(parts)}.{emulated}"


def _speed_up_text(pace: SpeedUp) -> str:
    """Format "2.38 times as fast (2.36 to 2.41)" or "1.34 times as slow (1.31 to 1.37)"."""
    if pace.ci95 is None:
        return f"{factor_text(pace.times_as_fast)} times as fast, with too few rounds for an interval"
    ratio, (low, high), word = pace.times_as_fast, pace.ci95, "fast"
    if not pace.is_told:
        return f"no significant difference ({factor_text(low)} to {factor_text(high)} times as fast)"
    if ratio < 1:
        ratio, low, high, word = 1 / ratio, 1 / high, 1 / low, "slow"
    return f"{factor_text(ratio)} times as {word} ({factor_text(low)} to {factor_text(high)})"


def _rounds_text(result: Result) -> str:
    """Format " (the median of 50 rounds)"; a tool without raw rounds has one median per process."""
    if result.times is None:
        return ""
    rounds, passes = f"{result.times.rounds:,} rounds", result.times.passes
    if passes is None:
        return f" (the median of {rounds})"
    processes = count_noun(len(passes), "process", "processes")
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
        elsewhere = sorted(drop.balanced_accuracy.difference for drop in others)
        spread = list(dict.fromkeys(points_text(end) for end in (*elsewhere[:1], *elsewhere[-1:])))
        rest = f" In the other places the difference is {' to '.join(spread)} points." if others else ""
        if spread == [points_text(change.difference)]:
            rest = " The difference is the same in all other places."
        yield f"{name} {difference} {pictures}; {flips} ({first.where[0]}).{rest}"


def _agreement_sentences(record: Record) -> Iterator[str]:
    """Yield, for each other target, whether its outputs agree with those of the first one."""
    across = [
        agreement for agreement in record.agreements if agreement.where[0].target != agreement.first.target
    ]
    for target in dict.fromkeys(agreement.where[0].target for agreement in across):
        here = [agreement for agreement in across if agreement.where[0].target == target]
        parts = []
        for model in dict.fromkeys(agreement.model for agreement in here):
            # Settings of a target usually agree: only the extremes are named.
            own = [agreement for agreement in here if agreement.model == model]
            least = min(agreement.differing for agreement in own)
            most = max(own, key=lambda agreement: (agreement.differing, agreement.other_labels))
            span = f"{least:,} to " if least < most.differing else ""
            distance = f", {distance_text(most)}," if most.differing else ""
            outputs = f"{span}{share_text(most.differing, most.outputs, 'outputs')}{distance}"
            labels = share_text(max(agreement.other_labels for agreement in own), most.n, "labels")
            # "int8 differs in 0 of 2,100 outputs and in 0 of 300 labels"
            parts.append(f"{model} differs in {outputs} and in {labels}")
        places = {place for agreement in here for place in agreement.where}
        settings = "one setting" if len(places) == 1 else f"{len(places)} settings"
        where = f"On {target} against {here[0].first.target}, the same file in {settings}"
        yield f"{where}: {'; '.join(parts)}."
