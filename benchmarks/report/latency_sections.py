"""The sections of a report's page on what an inference costs: time, and under emulation instructions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.protocol.results import OperatorTime
from benchmarks.report.figure_text import (
    MEGABYTE,
    NOTHING,
    factor,
    kind_text,
    listing,
    median_text,
    millions,
    ms,
)
from benchmarks.report.plot_images import (
    instructions_image,
    kernels_text,
    operators_image,
    spread_images,
    steps_image,
)
from benchmarks.report.record_lookup import base_of, median_ms, result_at, results_of, settings_of, where_of
from benchmarks.report.schema import Record, Result, SettingOnTarget, StepTimes, TargetFacts, Times
from benchmarks.report.sentences import unsteady, unsteady_text
from dermpack.inference import Kernels
from dermpack.reporting.page import Block, Details, Gallery, Section, Table, Text

TIMES_HEADER = ("p90", "p99", "min", "first", "load", "peak MB", "in XNNPACK")
STEPS = ("decode", "resize", "copy", "invoke")
MOST_ROWS = 6
NO_STEPS = (
    "These are times of inference alone. What decoding a picture file, resizing and copying it take is "
    "measured on host, and with --data."
)


def latency_sections(record: Record) -> Iterator[Section]:
    for place in record.targets:
        timed = [of for of in results_of(record, place.target) if of.times is not None]
        if timed:
            yield Section(title=f"Latency on {place.target}", blocks=_latency(record, place, timed))
        counted = [of for of in results_of(record, place.target) if of.instructions is not None]
        if counted:
            yield Section(
                title=f"Instructions on {place.target}", blocks=_instructions(record, place, counted)
            )


def how_timed(record: Record, results: Sequence[Result]) -> str:
    """The rule and what came of it: n, warm-up, rounds; where a tool measures, in how many processes."""
    times = [of.times for of in results if of.times is not None]
    passes = [len(of.passes) for of in times if of.passes]
    rounds, warm_ups = [of.rounds for of in times], [of.warm_up_rounds for of in times]
    rule = (
        f"of {record.timing.warm_up_seconds:g} s ({_range(warm_ups)} rounds), then at least "
        f"{record.timing.rounds:,} rounds and {record.timing.seconds:g} s, at most "
        f"{record.timing.most_seconds:g} s ({_range(rounds)} rounds)"
    )
    apart = "Load and first inference stand apart, they are not among the rounds."
    if passes:
        many = f"{_range(passes)} processes for each model and setting, the models in turns"
        return f"{many}; in each a warm-up {rule.replace(' rounds)', ' rounds in all)')}. {apart}"
    alone = "Peak memory is that of a process which ran this model alone."
    return f"Warm-up {rule}; the models of one setting took turns. {apart} {alone}"


def device_text(place: TargetFacts) -> str:
    """The few words that tell a device from another."""
    names = ("device", "soc", "processor", "machine", "os")
    told = dict.fromkeys(place.environment[name] for name in names if place.environment.get(name))
    cores = place.environment.get("cores")
    return (
        ", ".join([*told, *([f"{cores} cores"] if cores else [])]) or "a device that says nothing of itself"
    )


def _latency(record: Record, place: TargetFacts, timed: Sequence[Result]) -> list[Block]:
    kernels = dict.fromkeys(_kernels(of) for of in timed)
    tables = [_table(record, [of for of in timed if _kernels(of) == name], name) for name in kernels]
    passes = [Text(text=PASSES)] if any(of.times and of.times.passes for of in timed) else []
    images = spread_images(record, place.target)
    gallery = [Gallery(images=images)] if images else []
    about = Text(text=f"Measured on {device_text(place)}. {how_timed(record, timed)}")
    first = [about, medians(record, place), *_unsteady(record, place)]
    return [*first, *gallery, *tables, *passes, *_steps(record, place), *_operators(record, place)]


def medians(record: Record, place: TargetFacts) -> Table:
    """A row a setting, a column a model."""
    settings = settings_of(record, place.target)
    rows = [(str(setting), *_medians(record, where_of(place.target, setting))) for setting in settings]
    header = ("setting", *(model.name for model in record.models))
    caption = f"{place.target}: median of one inference, ms{_untaken(record, place)}"
    return Table(caption=caption, header=header, rows=rows)


def _untaken(record: Record, place: TargetFacts) -> str:
    """What XNNPACK leaves alone though it may take it: "; with tflite-runtime it takes nothing of int8"."""
    models: dict[str, dict[str, None]] = {}
    for of in results_of(record, place.target):
        if of.where.kernels is Kernels.XNNPACK and of.delegated == "none":
            models.setdefault(of.where.runtime, {})[of.model] = None
    told = (
        f"; of {listing(names)} XNNPACK takes nothing with {runtime}" for runtime, names in models.items()
    )
    return "".join(told)


def _unsteady(record: Record, place: TargetFacts) -> list[Block]:
    """All that the one warning sums up."""
    told = unsteady(record, place.target)
    if len(told) < 2:
        return []
    rows = [(of.model, str(of.where.setting), drift.sentence or "") for of, drift in told]
    table = Table(caption="The worst first", header=("model", "setting", "its rounds"), rows=rows)
    return [Details(title=f"{unsteady_text(record, place.target)}: which, and how far", table=table)]


def _medians(record: Record, where: SettingOnTarget) -> Iterator[str]:
    for model in record.models:
        result = result_at(record, model.name, where)
        yield "refused" if result and result.refused is not None else ms(median_ms(result))


def _table(record: Record, results: Sequence[Result], name: str) -> Table:
    faster = ["times as fast"] if record.paces else []
    header = ("model", "threads", "rounds", "median (95 %)", *faster, *TIMES_HEADER)
    rows = [_times_row(record, of, of.times) for of in results if of.times is not None]
    against = f", and times as fast as {record.models[0].name}" if record.paces else ""
    caption = f"{results[0].where.target} with {name}: milliseconds{against}"
    return Table(caption=caption, header=header, rows=rows)


def _kernels(result: Result) -> str:
    """ "ai-edge-litert, default kernels"."""
    return str(result.where.setting).rpartition(", ")[0]


PASSES = (
    "Where a tool keeps its rounds to itself, figures are its own: the middle one of what its processes say, "
    "without an interval, and no 90th percentile; ~ marks a mean where it tells no median."
)


def _times_row(record: Record, of: Result, times: Times) -> tuple[str, ...]:
    return (
        *(of.model, f"{of.where.threads}", f"{times.rounds:,}", median_text(times)),
        *((_speed(record, of),) if record.paces else ()),
        *(ms(value) for value in (times.p90_ms, times.p99_ms, times.min_ms, times.first_ms, times.load_ms)),
        f"{times.peak_bytes / MEGABYTE:.0f}" if times.peak_bytes else NOTHING,
        (of.delegated or NOTHING).removesuffix(" operators"),
    )


def _speed(record: Record, of: Result) -> str:
    """ "2.1 (1.9–2.2)" times as fast as the first model."""
    pace = next((pace for pace in record.paces if (pace.model, pace.where) == (of.model, of.where)), None)
    if pace is None:
        return NOTHING
    interval = f" ({factor(pace.ci95[0])}–{factor(pace.ci95[1])})" if pace.ci95 else ""
    return f"{factor(pace.times_as_fast)}{interval}"


def _instructions(record: Record, place: TargetFacts, counted: Sequence[Result]) -> list[Block]:
    image = instructions_image(record, place.target)
    exact = all(len(set(of.instructions or ())) == 1 for of in counted)
    repeats = (
        "Every count repeated exactly."
        if exact
        else "The middle one of the counted inferences stands here: the first of a process also sets "
        "memory up. A whole run repeats exactly."
    )
    return [
        *(counts(record, place), Text(text=repeats)),
        *([image] if image else []),
        *_operators(record, place),
    ]


def counts(record: Record, place: TargetFacts) -> Table:
    """A row a setting, a column a model: "113.7 (0.92)" is 0.92 times the first one's."""
    settings = settings_of(record, place.target)
    rows = [(str(setting), *_counts(record, where_of(place.target, setting))) for setting in settings]
    header = ("setting", *(model.name for model in record.models))
    first = f" (times those of {record.models[0].name})" if len(record.models) > 1 else ""
    what = f"million instructions of one inference{first}, counted and not timed"
    caption = f"{place.target}: {what}{_untaken(record, place)}"
    return Table(caption=caption, header=header, rows=rows)


def _counts(record: Record, where: SettingOnTarget) -> Iterator[str]:
    base = base_of(record, where)
    first = base.instructions_per_inference if base else None
    for model in record.models:
        result = result_at(record, model.name, where)
        count = result.instructions_per_inference if result else None
        ratio = f" ({factor(count / first)})" if count and first and result is not base else ""
        yield "refused" if result and result.refused is not None else f"{millions(count)}{ratio}"


def _steps(record: Record, place: TargetFacts) -> list[Block]:
    """From a picture file to its label."""
    stepped = [of for of in results_of(record, place.target) if of.steps is not None]
    if not stepped:
        return [Text(text=NO_STEPS)]
    header = ("model", "runtime and kernels", *STEPS, "file to label", "rounds")
    rows = [
        (*(of.model, kernels_text(of.where.setting)), *_step_cells(of.steps))
        for of in stepped
        if of.steps is not None
    ]
    table = Table(caption=f"{place.target}: from a picture file to its label, ms", header=header, rows=rows)
    return [table, steps_image(stepped)]


def _step_cells(of: StepTimes) -> tuple[str, ...]:
    steps = (of.decode_ms, of.resize_ms, of.copy_ms, of.invoke_ms, of.whole_ms)
    return (*(ms(step) for step in steps), f"{of.rounds:,}")


def _operators(record: Record, place: TargetFacts) -> list[Block]:
    """A row a kind of operator, a column a model."""
    profiled = [of for of in results_of(record, place.target) if of.operators]
    if not profiled:
        return []
    names = dict.fromkeys(_kernels(of) for of in profiled)
    rows = [row for name in names for row in _kinds(record, [of for of in profiled if _kernels(of) == name])]
    part = "instruction" if place.is_emulated else "operator"
    header = (f"kind of {part}", "kernels", *(model.name for model in record.models))
    caption = f"{place.target}: kinds of {part}s, their share of one inference (and how many)"
    image = operators_image(record, place.target)
    return [*([image] if image else []), Table(caption=caption, header=header, rows=rows)]


def _kinds(record: Record, profiled: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """Those with the largest share in any model."""
    by_model = {of.model: _summed(of.operators or ()) for of in profiled}
    largest: dict[str, float] = {}
    for kinds in by_model.values():
        for kind, (share, _) in kinds.items():
            largest[kind] = max(largest.get(kind, 0.0), share)
    for kind in sorted(largest, key=lambda kind: -largest[kind])[:MOST_ROWS]:
        found = (by_model.get(model.name, {}).get(kind) for model in record.models)
        yield (kind, kernels_text(profiled[0].where.setting), *(_operator_cell(of) for of in found))


def _summed(operators: Sequence[OperatorTime]) -> dict[str, tuple[float, int]]:
    """Kind → its share, and how many there are."""
    found: dict[str, tuple[float, int]] = {}
    for of in operators:
        kind = f"{kind_text(of)}, in XNNPACK" if of.is_delegated else kind_text(of)
        share, count = found.get(kind, (0.0, 0))
        found[kind] = (share + of.share, count + of.count)
    return found


def _operator_cell(of: tuple[float, int] | None) -> str:
    """ "62.0 % (34)"; a runtime that tells no time has the number alone."""
    if of is None:
        return NOTHING
    share, count = of
    known = f"({count:,})" if count else NOTHING
    return f"{100 * share:.1f} % {known}" if share else known


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
