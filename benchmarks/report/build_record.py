"""Build the record of a benchmark from the measurements of all targets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from itertools import product
from statistics import median_low
from typing import Any

from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.results import StepTimes, TargetMeasurement
from benchmarks.report import schema
from benchmarks.statistics import outputs
from benchmarks.statistics.latency import compare_medians, summarize_passes, summarize_rounds
from dermpack import __version__
from dermpack.dataset.views import name_joined_groups

MOST_REPORT_ROUNDS = 4_000_000  # of at most 13 characters each: report.json is limited to 64 MiB


def build_record(measured: Sequence[TargetMeasurement], plan: BenchmarkPlan) -> schema.Record:
    """Derive every figure; the same measurements and seed give the same record."""
    collected = outputs.collect_outputs(measured, plan)
    complete = tuple(result for measurement in measured for result in _results(measurement, plan))
    models = [
        schema.ModelFacts(
            name=model.name,
            sha256=model.sha256,
            size_bytes=len(model.data),
            side_pixels=model.binding.size,
            recipe=model.recipe,
        )
        for model in plan.models
    ]
    targets = [
        schema.TargetFacts(
            target=measurement.target,
            is_emulated=measurement.is_emulated,
            environment=dict(measurement.environment),
            notes=tuple(measurement.notes),
        )
        for measurement in measured
    ]
    return schema.Record(
        dermpack=__version__,
        seed=plan.seed,
        timing=plan.timing,
        models=tuple(models),
        data=_scored_data(plan),
        targets=tuple(targets),
        results=_limit_rounds(complete),
        answers=tuple(outputs.score_outputs(answers, seed=plan.seed) for answers in collected),
        paces=tuple(_speed_ups(complete, first=plan.models[0].name, seed=plan.seed)),
        drops=tuple(outputs.compare_accuracy(collected, seed=plan.seed)),
        agreements=outputs.compare_places(collected),
    )


def _limit_rounds(results: Sequence[schema.Result]) -> tuple[schema.Result, ...]:
    """Return the results without the longest lists of rounds if the report could otherwise not be read.

    The figures of these results stay.
    """
    kept, left = list(results), MOST_REPORT_ROUNDS
    counts = [len(result.times.rounds_ms or ()) if result.times else 0 for result in results]
    # The shortest first: the most results keep their rounds.
    for index in sorted(range(len(results)), key=counts.__getitem__):
        left -= counts[index]
        times = kept[index].times
        if left < 0 and times is not None:
            kept[index] = replace(kept[index], times=replace(times, rounds_ms=None))
    return tuple(kept)


def _scored_data(plan: BenchmarkPlan) -> schema.ScoredData | None:
    if plan.scored is None:
        return None
    labels, pictures = outputs.list_labels(plan), plan.scored.pictures
    # Groups become numbers: the name of a patient must not get into a report.
    codes: dict[object, int] = {}
    group = [
        codes.setdefault(name or index, len(codes)) for index, name in enumerate(name_joined_groups(pictures))
    ]
    return schema.ScoredData(
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


def _results(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[schema.Result]:
    """Yield the results setting by setting, with the models in their order."""
    values: defaultdict[tuple[Setting, str], dict[str, Any]] = defaultdict(dict)
    if not measured.is_emulated:  # the milliseconds of an emulator are meaningless
        for timed in measured.timed:
            times = summarize_rounds(timed, seed=plan.seed)
            values[timed.setting, timed.model] |= {"times": times, "delegated": timed.delegated}
        for tool in measured.summarized:
            times = summarize_passes(tool)
            values[tool.setting, tool.model] |= {"times": times, "delegated": tool.delegated}
        for steps in measured.steps:
            medians = StepTimes(**{field.name: getattr(steps, field.name) for field in fields(StepTimes)})
            values[steps.setting, steps.model]["steps"] = medians
    for counted in measured.counted:
        instructions = counted.instructions
        counts = {"instructions": instructions, "instructions_per_inference": median_low(instructions)}
        values[counted.setting, counted.model] |= {**counts, "delegated": counted.delegated}
    for profile in measured.profiled:
        values[profile.setting, profile.model]["operators"] = profile.operators
    for refused in measured.refused:
        values[refused.setting, refused.model]["refused"] = refused.why
    # In the order of the first measurement, which is the order of the plan.
    settings = dict.fromkeys(setting for setting, _ in values)
    for setting, model in product(settings, (model.name for model in plan.models)):
        if (setting, model) in values:
            where = schema.SettingOnTarget.of(measured.target, setting)
            yield schema.Result(model=model, where=where, **values[setting, model])


def _speed_ups(results: Sequence[schema.Result], *, first: str, seed: int) -> Iterator[schema.SpeedUp]:
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
        yield schema.SpeedUp(
            model=here.model,
            first=first,
            where=here.where,
            times_as_fast=pair.times_as_fast,
            ci95=pair.ci95,
            is_told=pair.is_significant,
        )
