"""The sections on the cost of an inference: time, and under emulation instructions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.protocol.results import OperatorTime
from benchmarks.report.plots import (
    instructions_image,
    kernels_text,
    operators_image,
    spread_images,
    steps_image,
)
from benchmarks.report.schema import (
    Record,
    Result,
    TargetFacts,
    find_baseline,
    find_result,
    measured_settings,
    median_ms,
    place_on,
    results_on,
)
from benchmarks.report.text import (
    MEGABYTE,
    factor_text,
    join_names,
    kind_text,
    median_text,
    millions_text,
    ms_text,
    unsteady_results,
    unsteady_text,
)
from dermpack.inference import Kernels
from dermpack.reporting.page import NO_VALUE, Block, Details, Gallery, Section, Table, Text

TIMES_HEADER = ("p90", "p99", "min", "first", "load", "peak MB", "in XNNPACK")
STEPS_HEADER = (
    "model",
    "runtime and kernels",
    "decode",
    "resize",
    "copy",
    "invoke",
    "file to label",
    "rounds",
)
MOST_ROWS = 6
NO_STEPS = (
    "These are times of inference only. The times of decoding, resizing and copying a picture are measured "
    "on host, and with --data."
)
PASSES = (
    "A tool that does not report its rounds reports its own figures: the median of those of its processes, "
    "without an interval and without a 90th percentile; ~ marks a mean if it reports no median."
)


def latency_sections(record: Record) -> Iterator[Section]:
    """Yield a section on latency or on instructions for each target."""
    for place in record.targets:
        results = results_on(record, place.target)
        timed = [result for result in results if result.times is not None]
        if timed:
            yield Section(title=f"Latency on {place.target}", blocks=_latency(record, place, timed))
        counted = [result for result in results if result.instructions is not None]
        if counted:
            blocks = _instructions(record, place, counted)
            yield Section(title=f"Instructions on {place.target}", blocks=blocks)


def timing_text(record: Record, results: Sequence[Result]) -> str:
    """Return how the results were timed: warm-up, minimum and actual rounds, processes."""
    times = [result.times for result in results if result.times is not None]
    processes = [len(item.passes) for item in times if item.passes]
    in_all = " in all" if processes else ""
    warm_ups = f"{_range_text([item.warm_up_rounds for item in times])} rounds{in_all}"
    rounds = f"{_range_text([item.rounds for item in times])} rounds{in_all}"
    timing = record.timing
    rule = (
        f"of {timing.warm_up_seconds:g} s ({warm_ups}), then at least {timing.rounds:,} rounds and "
        f"{timing.seconds:g} s, at most {timing.most_seconds:g} s ({rounds})"
    )
    separate = "Load and first inference are listed separately and are not among the rounds."
    if processes:
        count = f"{_range_text(processes)} processes for each model and setting, the models in turns"
        return f"{count}; each with a warm-up {rule}. {separate}"
    memory = "Peak memory is that of a process that ran this model only."
    return f"Warm-up {rule}; the models of one setting took turns. {separate} {memory}"


def device_text(place: TargetFacts) -> str:
    """Return the few words that identify a device."""
    names = ("device", "soc", "processor", "machine", "os")
    # A phone may report the same text for several of them.
    words = dict.fromkeys(place.environment[name] for name in names if place.environment.get(name))
    cores = place.environment.get("cores")
    return ", ".join([*words, *([f"{cores} cores"] if cores else [])]) or "an unknown device"


def median_table(record: Record, place: TargetFacts) -> Table:
    """Return the medians: a row per setting, a column per model."""
    rows = []
    for setting in measured_settings(record, place.target):
        where = place_on(place.target, setting)
        results = [find_result(record, model.name, where) for model in record.models]
        cells = ["refused" if result and result.refused else ms_text(median_ms(result)) for result in results]
        rows.append((str(setting), *cells))
    header = ("setting", *(model.name for model in record.models))
    caption = f"{place.target}: median of one inference, ms{_untaken_text(record, place)}"
    return Table(caption=caption, header=header, rows=rows)


def count_table(record: Record, place: TargetFacts) -> Table:
    """Return the instructions: "113.7 (0.92)" is 0.92 times as many as the first model's."""
    rows = []
    for setting in measured_settings(record, place.target):
        where = place_on(place.target, setting)
        base = find_baseline(record, where)
        first = base.instructions_per_inference if base else None
        cells = []
        for model in record.models:
            result = find_result(record, model.name, where)
            count = result.instructions_per_inference if result else None
            ratio = f" ({factor_text(count / first)})" if count and first and result is not base else ""
            cells.append("refused" if result and result.refused else f"{millions_text(count)}{ratio}")
        rows.append((str(setting), *cells))
    header = ("setting", *(model.name for model in record.models))
    relative = f" (and relative to {record.models[0].name})" if len(record.models) > 1 else ""
    what = f"million instructions of one inference{relative}, counted and not timed"
    caption = f"{place.target}: {what}{_untaken_text(record, place)}"
    return Table(caption=caption, header=header, rows=rows)


def _latency(record: Record, place: TargetFacts, timed: Sequence[Result]) -> list[Block]:
    method = f"Measured on {device_text(place)}. {timing_text(record, timed)}"
    blocks: list[Block] = [Text(text=method), median_table(record, place)]
    unsteady = unsteady_results(record, place.target)
    if len(unsteady) > 1:
        # The page has one warning for all of them; the details are here.
        rows = [(result.model, str(result.where.setting), drift.sentence or "") for result, drift in unsteady]
        table = Table(caption="The worst first", header=("model", "setting", "its rounds"), rows=rows)
        blocks.append(Details(title=f"{unsteady_text(record, place.target)}: details", table=table))
    if images := spread_images(record, place.target):
        blocks.append(Gallery(images=images))
    for name in dict.fromkeys(map(_kernels_name, timed)):
        blocks.append(
            _times_table(record, [result for result in timed if _kernels_name(result) == name], name)
        )
    if any(result.times and result.times.passes for result in timed):
        blocks.append(Text(text=PASSES))
    return [*blocks, *_steps(record, place), *_operators(record, place)]


def _instructions(record: Record, place: TargetFacts, counted: Sequence[Result]) -> list[Block]:
    # Only the first inference of a process may differ, by its allocations.
    is_exact = all(len(set(result.instructions or ())) == 1 for result in counted)
    repeats = (
        "All counts of an inference were equal."
        if is_exact
        else "The figure is the median of the counted inferences: the first one of a process also allocates "
        "memory. A whole run repeats exactly."
    )
    measured = [result for result in counted if result.instructions_per_inference is not None]
    images = [instructions_image(measured)] if measured else []
    return [count_table(record, place), Text(text=repeats), *images, *_operators(record, place)]


def _untaken_text(record: Record, place: TargetFacts) -> str:
    """Return which models XNNPACK does not run: "; XNNPACK runs no part of int8 with tflite-runtime"."""
    models: dict[str, dict[str, None]] = {}
    for result in results_on(record, place.target):
        if result.where.kernels is Kernels.XNNPACK and result.delegated == "none":
            models.setdefault(result.where.runtime, {})[result.model] = None
    return "".join(
        f"; XNNPACK runs no part of {join_names(names)} with {runtime}" for runtime, names in models.items()
    )


def _times_table(record: Record, results: Sequence[Result], name: str) -> Table:
    rows = []
    for result in results:
        times = result.times
        if times is None:
            continue
        row = [result.model, f"{result.where.threads}", f"{times.rounds:,}", median_text(times)]
        if record.paces:
            row.append(_speed_up_cell(record, result))
        row += map(ms_text, (times.p90_ms, times.p99_ms, times.min_ms, times.first_ms, times.load_ms))
        row.append(f"{times.peak_bytes / MEGABYTE:.0f}" if times.peak_bytes else NO_VALUE)
        row.append((result.delegated or NO_VALUE).removesuffix(" operators"))
        rows.append(row)
    faster = ["times as fast"] if record.paces else []
    header = ("model", "threads", "rounds", "median (95 %)", *faster, *TIMES_HEADER)
    against = f", and times as fast as {record.models[0].name}" if record.paces else ""
    caption = f"{results[0].where.target} with {name}: milliseconds{against}"
    return Table(caption=caption, header=header, rows=rows)


def _speed_up_cell(record: Record, result: Result) -> str:
    """Format "2.1 (1.9–2.2)" times as fast as the first model."""
    for pace in record.paces:
        if (pace.model, pace.where) == (result.model, result.where):
            ci95 = pace.ci95
            interval = f" ({factor_text(ci95[0])}–{factor_text(ci95[1])})" if ci95 else ""
            return f"{factor_text(pace.times_as_fast)}{interval}"
    return NO_VALUE


def _kernels_name(result: Result) -> str:
    """Return "ai-edge-litert, default kernels"."""
    return str(result.where.setting).rpartition(", ")[0]


def _steps(record: Record, place: TargetFacts) -> list[Block]:
    """Return the times from a picture file to its label."""
    stepped, rows = [], []
    for result in results_on(record, place.target):
        steps = result.steps
        if steps is not None:
            stepped.append(result)
            times = (steps.decode_ms, steps.resize_ms, steps.copy_ms, steps.invoke_ms, steps.whole_ms)
            cells = (*map(ms_text, times), f"{steps.rounds:,}")
            rows.append((result.model, kernels_text(result.where.setting), *cells))
    if not stepped:
        return [Text(text=NO_STEPS)]
    caption = f"{place.target}: from a picture file to its label, ms"
    return [Table(caption=caption, header=STEPS_HEADER, rows=rows), steps_image(stepped)]


def _operators(record: Record, place: TargetFacts) -> list[Block]:
    """Return the kinds of operator: a row per kind, a column per model."""
    profiled = [result for result in results_on(record, place.target) if result.operators]
    if not profiled:
        return []
    rows: list[tuple[str, ...]] = []
    for name in dict.fromkeys(map(_kernels_name, profiled)):
        rows += _operator_rows(record, [result for result in profiled if _kernels_name(result) == name])
    part = "instruction" if place.is_emulated else "operator"
    header = (f"kind of {part}", "kernels", *(model.name for model in record.models))
    caption = f"{place.target}: kinds of {part}s, their share of one inference (and their number)"
    image = operators_image(record, place.target)
    return [*([image] if image else []), Table(caption=caption, header=header, rows=rows)]


def _operator_rows(record: Record, profiled: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """Yield the kinds with the largest share in any model."""
    by_model = {result.model: _sum_by_kind(result.operators or ()) for result in profiled}
    largest: dict[str, float] = {}
    for kinds in by_model.values():
        for kind, (share, _) in kinds.items():
            largest[kind] = max(largest.get(kind, 0.0), share)
    # A kind that is large in one model is shown for all of them.
    for kind in sorted(largest, key=lambda kind: -largest[kind])[:MOST_ROWS]:
        cells = []
        for model in record.models:
            share, count = by_model.get(model.name, {}).get(kind, (0.0, 0))
            # "62.0 % (34)"; a runtime that reports no time has only the number.
            number = f"({count:,})" if count else NO_VALUE
            cells.append(f"{100 * share:.1f} % {number}" if share else number)
        yield (kind, kernels_text(profiled[0].where.setting), *cells)


def _sum_by_kind(operators: Sequence[OperatorTime]) -> dict[str, tuple[float, int]]:
    """Return kind → share and number."""
    # Kinds differ in layouts and types only by details: they share a row.
    sums: dict[str, tuple[float, int]] = {}
    for operator in operators:
        kind = f"{kind_text(operator)}, in XNNPACK" if operator.is_delegated else kind_text(operator)
        share, count = sums.get(kind, (0.0, 0))
        sums[kind] = (share + operator.share, count + operator.count)
    return sums


def _range_text(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
