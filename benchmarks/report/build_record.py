"""Build the record of a benchmark from the measurements of all targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from itertools import product
from statistics import median, median_low
from typing import Any

from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.results import SummarizedModel, TargetMeasurement, TimedModel
from benchmarks.report.schema import (
    ModelFacts,
    Record,
    Result,
    ScoredData,
    SpeedUp,
    StepTimes,
    TargetFacts,
    Times,
    place_on,
)
from benchmarks.statistics.accuracy_drop import compare_accuracy, score_outputs
from benchmarks.statistics.latency import compare_medians, summarize_rounds
from benchmarks.statistics.outputs import collect_outputs, compare_places, list_labels
from dermpack import __version__

DECIMALS = 4  # of a millisecond; clocks are not more precise


def build_record(measured: Sequence[TargetMeasurement], plan: BenchmarkPlan) -> Record:
    """Derive every figure; the same measurements and seed give the same record."""
    collected = collect_outputs(measured, plan)
    results = tuple(result for measurement in measured for result in _results(measurement, plan))
    models = [
        ModelFacts(
            name=model.name,
            sha256=model.sha256,
            size_bytes=len(model.data),
            side_pixels=model.size,
            recipe=model.recipe,
        )
        for model in plan.models
    ]
    targets = [
        TargetFacts(
            target=measurement.target,
            is_emulated=measurement.is_emulated,
            environment=dict(measurement.environment),
            notes=tuple(measurement.notes),
        )
        for measurement in measured
    ]
    return Record(
        dermpack=__version__,
        seed=plan.seed,
        timing=plan.timing,
        models=tuple(models),
        data=_scored_data(plan),
        targets=tuple(targets),
        results=results,
        answers=tuple(score_outputs(outputs, seed=plan.seed) for outputs in collected),
        paces=tuple(_speed_ups(results, first=plan.models[0].name, seed=plan.seed)),
        drops=tuple(compare_accuracy(collected, seed=plan.seed)),
        agreements=compare_places(collected),
    )


def times_of_rounds(timed: TimedModel, *, seed: int) -> Times:
    """Return the times of raw rounds."""
    # Rounded first: everything can be derived again from the rounds that are stored.
    rounds_ms = tuple(round(round_ms, DECIMALS) for round_ms in timed.rounds_ms)
    latency = summarize_rounds(rounds_ms, turns=timed.turns, seed=seed)
    return Times(
        load_ms=timed.load_ms,
        first_ms=timed.first_ms,
        warm_up_rounds=timed.warm_up_rounds,
        peak_bytes=timed.peak_bytes,
        turns=timed.turns,
        rounds_ms=rounds_ms,
        **{field.name: getattr(latency, field.name) for field in fields(latency)},
    )


def times_of_passes(tool: SummarizedModel) -> Times:
    """Return the times of a tool's processes; a percentile is the median of those of the processes."""
    passes = tool.passes
    rounds = sum(part.rounds for part in passes)
    return Times(
        load_ms=median(part.load_ms for part in passes),
        first_ms=median(part.first_ms for part in passes),
        warm_up_rounds=sum(part.warm_up_rounds for part in passes),
        rounds=rounds,
        min_ms=min(part.min_ms for part in passes),
        max_ms=max(part.max_ms for part in passes),
        mean_ms=sum(part.mean_ms * part.rounds for part in passes) / rounds,
        deviation_ms=median(part.deviation_ms for part in passes),
        p5_ms=_median_of_all([part.p5_ms for part in passes]),
        median_ms=_median_of_all([part.median_ms for part in passes]),
        p95_ms=_median_of_all([part.p95_ms for part in passes]),
        passes=passes,
    )


def _median_of_all(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known and len(known) == len(values) else None


def _scored_data(plan: BenchmarkPlan) -> ScoredData | None:
    if plan.scored is None:
        return None
    labels, pictures = list_labels(plan), plan.scored.pictures
    # Groups become numbers: the name of a patient must not get into a report.
    codes: dict[object, int] = {}
    group = [
        codes.setdefault(picture.group or (index,), len(codes)) for index, picture in enumerate(pictures)
    ]
    return ScoredData(
        sha256=plan.scored.dataset.sha256,
        source=plan.scored.dataset.source,
        split=plan.scored.split,
        n=len(pictures),
        groups=len(codes),
        labels=labels,
        pictures=tuple(picture.path for picture in pictures),
        truth=tuple(labels.index(picture.label) for picture in pictures),
        group=tuple(group),
    )


def _results(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[Result]:
    """Yield the results setting by setting, with the models in their order."""
    collected: dict[tuple[Setting, str], dict[str, Any]] = {}
    for setting, model, values in _result_parts(measured, plan):
        collected.setdefault((setting, model), {}).update(values)
    # In the order of the first measurement, which is the order of the plan.
    settings = dict.fromkeys(setting for setting, _ in collected)
    for setting, model in product(settings, (model.name for model in plan.models)):
        if (setting, model) in collected:
            where = place_on(measured.target, setting)
            yield Result(model=model, where=where, **collected[setting, model])


def _result_parts(
    measured: TargetMeasurement, plan: BenchmarkPlan
) -> Iterator[tuple[Setting, str, dict[str, Any]]]:
    """Yield the values of a model under a setting, one kind of measurement after the other."""
    if not measured.is_emulated:  # the milliseconds of an emulator are meaningless
        for timed in measured.timed:
            times = times_of_rounds(timed, seed=plan.seed)
            yield timed.setting, timed.model, {"times": times, "delegated": timed.delegated}
        for tool in measured.summarized:
            yield tool.setting, tool.model, {"times": times_of_passes(tool), "delegated": tool.delegated}
        for steps in measured.steps:
            step_times = StepTimes(**{field.name: getattr(steps, field.name) for field in fields(StepTimes)})
            yield steps.setting, steps.model, {"steps": step_times}
    for counted in measured.counted:
        instructions = counted.instructions
        counts = {"instructions": instructions, "instructions_per_inference": median_low(instructions)}
        yield counted.setting, counted.model, {**counts, "delegated": counted.delegated}
    for profile in measured.profiled:
        yield profile.setting, profile.model, {"operators": profile.operators}
    for refused in measured.refused:
        yield refused.setting, refused.model, {"refused": refused.why}


def _speed_ups(results: Sequence[Result], *, first: str, seed: int) -> Iterator[SpeedUp]:
    """Compare each model with the first one, if both have raw rounds under the setting."""
    bases = {result.where: result for result in results if result.model == first}
    for here in results:
        base = bases.get(here.where)
        if base is None or base is here or base.times is None or here.times is None:
            continue
        before, now = base.times, here.times
        if before.rounds_ms is None or now.rounds_ms is None:
            continue
        # Turns can be paired only if both models had the same number of them.
        turns = now.turns if now.turns == before.turns and now.turns else 1
        pair = compare_medians(before.rounds_ms, now.rounds_ms, turns=turns, seed=seed)
        yield SpeedUp(
            model=here.model,
            first=first,
            where=here.where,
            times_as_fast=pair.times_as_fast,
            ci95=pair.ci95,
            is_told=pair.is_told,
        )
