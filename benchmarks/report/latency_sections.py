"""The sections on the cost of an inference: time, and under emulation instructions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from benchmarks.report.plots import instructions_image, operators_image, spread_images, steps_image
from benchmarks.report.schema import Record, Result, TargetFacts
from benchmarks.report.text import (
    MEGABYTE,
    cost_text,
    factor_text,
    interval_text,
    join_names,
    kernels_text,
    kind_text,
    median_text,
    ms_text,
    unsteady_results,
)
from dermpack.inference.interpreter_host import Kernels
from dermpack.reporting.page import NO_VALUE, Block, Details, Gallery, Section, Table

TIMES_HEADER = ("p90", "p99", "min", "first", "load", "peak MB", "in XNNPACK")
STEPS = ("decode", "resize", "copy", "invoke", "whole")
STEPS_HEADER = ("model", "runtime and kernels", *STEPS[:4], "file to label", "rounds")
MOST_ROWS = 6
NO_STEPS = (
    "These are times of inference only. The times of decoding, resizing and copying a picture are measured "
    "on host, and with --data."
)
ALL_EQUAL = "All counts of an inference were equal."
FIRST_ALLOCATES = (
    "The figure is the median of the counted inferences: the first one of a process also allocates memory. "
    "A whole run repeats exactly."
)
PASSES = (
    "A tool that does not report its rounds reports its own figures: the median of those of its processes, "
    "without an interval and without a 90th percentile; ~ marks a mean if it reports no median."
)


def latency_sections(record: Record) -> Iterator[Section]:
    """Yield a section on latency or on instructions for each target."""
    for place in record.targets:
        results = record.results_on(place.target)
        if timed := [result for result in results if result.times is not None]:
            yield Section(f"Latency on {place.target}", _latency(record, place, timed))
        if counted := [result for result in results if result.instructions is not None]:
            # Only the first inference of a process may differ, by its allocations.
            is_exact = all(len(set(result.instructions or ())) == 1 for result in counted)
            repeats = ALL_EQUAL if is_exact else FIRST_ALLOCATES
            table, image = cost_table(record, place), instructions_image(counted)
            blocks = [table, repeats, image, *_operators(record, place)]
            yield Section(f"Instructions on {place.target}", blocks)


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


def cost_table(record: Record, place: TargetFacts) -> Table:
    """Return the cost of an inference: a row per setting, a column per model.

    Of instructions, "113.7 (0.92)" is 0.92 times as many as the first model's.
    """
    rows = []
    for where in record.measured_places(place.target):
        base = record.find_baseline(where)
        first = base.instructions_per_inference if base else None
        cells = []
        for model in record.models:
            result = record.find_result(model.name, where)
            count = result.instructions_per_inference if result else None
            ratio = f" ({factor_text(count / first)})" if count and first and result is not base else ""
            cells.append("refused" if result and result.refused else f"{cost_text(result)}{ratio}")
        rows.append((str(where.setting), *cells))
    what = "median of one inference, ms"
    if place.is_emulated:
        relative = f" (and relative to {record.models[0].name})" if len(record.models) > 1 else ""
        what = f"million instructions of one inference{relative}, counted and not timed"
    # "; XNNPACK runs no part of int8 with tflite-runtime"
    untaken: dict[str, list[str]] = {}
    for result in record.results_on(place.target):
        if result.where.kernels is Kernels.XNNPACK and result.delegated == "none":
            untaken.setdefault(result.where.runtime, []).append(result.model)
    for runtime, names in untaken.items():
        what += f"; XNNPACK runs no part of {join_names(dict.fromkeys(names))} with {runtime}"
    caption = f"{place.target}: {what}"
    return Table(caption, ("setting", *(model.name for model in record.models)), rows)


def _latency(record: Record, place: TargetFacts, timed: Sequence[Result]) -> list[Block]:
    method = f"Measured on {device_text(place)}. {timing_text(record, timed)}"
    blocks: list[Block] = [method, cost_table(record, place)]
    unsteady, count = unsteady_results(record, place.target)
    if len(unsteady) > 1:
        # The page has one warning for all of them; the details are here.
        rows = [(result.model, str(result.where.setting), drift.sentence or "") for result, drift in unsteady]
        table = Table("The worst first", ("model", "setting", "its rounds"), rows)
        blocks.append(Details(f"{count}: details", table))
    if images := spread_images(record, place.target):
        blocks.append(Gallery(images))
    blocks += [_times_table(record, results, name) for name, results in _by_kernels(timed).items()]
    if any(result.times and result.times.passes for result in timed):
        blocks.append(PASSES)
    results = record.results_on(place.target)
    if stepped := [(result, result.steps) for result in results if result.steps]:
        step_rows = []
        for result, steps in stepped:
            times = [ms_text(getattr(steps, f"{step}_ms")) for step in STEPS]
            kernels = kernels_text(result.where.setting)
            step_rows.append((result.model, kernels, *times, f"{steps.rounds:,}"))
        caption = f"{place.target}: from a picture file to its label, ms"
        blocks.append(Table(caption, STEPS_HEADER, step_rows))
        blocks.append(steps_image([result for result, _ in stepped]))
    else:
        blocks.append(NO_STEPS)
    return [*blocks, *_operators(record, place)]


def _times_table(record: Record, results: Sequence[Result], name: str) -> Table:
    rows = []
    for result in results:
        times = result.times
        if times is None:
            continue
        row = [result.model, f"{result.where.threads}", f"{times.rounds:,}", median_text(times)]
        if record.paces:
            pace = record.find_speed_up(result.model, result.where)
            row.append(interval_text(pace.times_as_fast, pace.ci95, factor_text) if pace else NO_VALUE)
        row += map(ms_text, (times.p90_ms, times.p99_ms, times.min_ms, times.first_ms, times.load_ms))
        row.append(f"{times.peak_bytes / MEGABYTE:.0f}" if times.peak_bytes else NO_VALUE)
        row.append((result.delegated or NO_VALUE).removesuffix(" operators"))
        rows.append(row)
    faster = ["times as fast"] if record.paces else []
    header = ("model", "threads", "rounds", "median (95 %)", *faster, *TIMES_HEADER)
    against = f", and times as fast as {record.models[0].name}" if record.paces else ""
    caption = f"{results[0].where.target} with {name}: milliseconds{against}"
    return Table(caption, header, rows)


def _by_kernels(results: Sequence[Result]) -> dict[str, list[Result]]:
    """Return "ai-edge-litert, default kernels" → its results."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(str(result.where.setting).rpartition(", ")[0], []).append(result)
    return groups


def _operators(record: Record, place: TargetFacts) -> list[Block]:
    """Return the kinds of operator: a row per kind, a column per model."""
    profiled = [result for result in record.results_on(place.target) if result.operators]
    if not profiled:
        return []
    rows: list[tuple[str, ...]] = []
    for results in _by_kernels(profiled).values():
        rows += _operator_rows(record, results)
    part = "instruction" if place.is_emulated else "operator"
    header = (f"kind of {part}", "kernels", *(model.name for model in record.models))
    caption = f"{place.target}: kinds of {part}s, their share of one inference (and their number)"
    image = operators_image(record, place.target)
    return [*([image] if image else []), Table(caption, header, rows)]


def _operator_rows(record: Record, profiled: Sequence[Result]) -> Iterator[tuple[str, ...]]:
    """Yield the kinds with the largest share in any model."""
    shares: defaultdict[tuple[str, str], float] = defaultdict(float)
    counts: Counter[tuple[str, str]] = Counter()
    largest: defaultdict[str, float] = defaultdict(float)
    for model, operators in {result.model: result.operators or () for result in profiled}.items():
        for operator in operators:
            # Kinds differ in layouts and types only by details: they share a row.
            kind = f"{kind_text(operator)}, in XNNPACK" if operator.is_delegated else kind_text(operator)
            shares[model, kind] += operator.share
            counts[model, kind] += operator.count
            largest[kind] = max(largest[kind], shares[model, kind])
    # A kind that is large in one model is shown for all of them.
    for kind in sorted(largest, key=lambda kind: -largest[kind])[:MOST_ROWS]:
        cells = []
        for name in (model.name for model in record.models):
            share, count = shares[name, kind], counts[name, kind]
            # "62.0 % (34)"; a runtime that reports no time has only the number.
            number = f"({count:,})" if count else NO_VALUE
            cells.append(f"{100 * share:.1f} % {number}" if share else number)
        yield (kind, kernels_text(profiled[0].where.setting), *cells)


def _range_text(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
