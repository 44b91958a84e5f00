"""Gather what all targets answered into one record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from statistics import median_low
from typing import Any

from benchmarks.protocol.plan import BenchmarkPlan, ModelUnderTest, Setting
from benchmarks.protocol.results import TargetMeasurement
from benchmarks.report.record_lookup import where_of
from benchmarks.report.record_speed_up import paces
from benchmarks.report.record_times import step_times_of, times_of_passes, times_of_rounds
from benchmarks.report.schema import ModelFacts, Record, Result, ScoredData, TargetFacts
from benchmarks.statistics.accuracy_drop import answer_of, drops
from benchmarks.statistics.answers import labels_of, tell
from benchmarks.statistics.output_agreement import agreements
from dermpack import __version__


def build_record(measured: Sequence[TargetMeasurement], plan: BenchmarkPlan) -> Record:
    """Derive every figure; the same measurements and seed make the same record."""
    told = tell(measured, plan)
    results = tuple(result for of in measured for result in _results(of, plan))
    return Record(
        dermpack=__version__,
        seed=plan.seed,
        timing=plan.timing,
        models=tuple(_facts(model) for model in plan.models),
        data=_data(plan),
        targets=tuple(_place(of) for of in measured),
        results=results,
        answers=tuple(answer_of(of, seed=plan.seed) for of in told),
        paces=tuple(paces(results, first=plan.models[0].name, seed=plan.seed)),
        drops=tuple(drops(told, seed=plan.seed)),
        agreements=agreements(told),
    )


def _facts(model: ModelUnderTest) -> ModelFacts:
    return ModelFacts(
        name=model.name,
        sha256=model.sha256,
        size_bytes=len(model.data),
        side_pixels=model.size,
        recipe=model.recipe,
    )


def _data(plan: BenchmarkPlan) -> ScoredData | None:
    """Groups become numbers: a patient's name is nobody's business."""
    if plan.scored is None:
        return None
    labels, codes = labels_of(plan), dict[object, int]()
    pictures = plan.scored.pictures
    group = [codes.setdefault(of.group or (at,), len(codes)) for at, of in enumerate(pictures)]
    return ScoredData(
        sha256=plan.scored.dataset.sha256,
        source=plan.scored.dataset.source,
        split=plan.scored.split,
        n=len(pictures),
        groups=len(codes),
        labels=labels,
        pictures=tuple(of.path for of in pictures),
        truth=tuple(labels.index(of.label) for of in pictures),
        group=tuple(group),
    )


def _place(measured: TargetMeasurement) -> TargetFacts:
    return TargetFacts(
        target=measured.target,
        is_emulated=measured.is_emulated,
        environment=dict(measured.environment),
        notes=tuple(measured.notes),
    )


def _results(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[Result]:
    """Setting by setting, in each the models in their order."""
    found: dict[tuple[Setting, str], dict[str, Any]] = {}
    for setting, model, told in _told(measured, plan):
        found[setting, model] = {**found.get((setting, model), {}), **told}
    settings = list(dict.fromkeys(setting for setting, _ in found))
    for setting, model in product(settings, (of.name for of in plan.models)):
        if (setting, model) in found:
            where = where_of(measured.target, setting)
            yield Result(model=model, where=where, **found[setting, model])


def _told(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[tuple[Setting, str, dict[str, Any]]]:
    """What is known of a model under a setting, piece by piece."""
    if not measured.is_emulated:  # an emulator's milliseconds mean nothing: they are not kept
        for timed in measured.timed:
            told = {"times": times_of_rounds(timed, seed=plan.seed), "delegated": timed.delegated}
            yield timed.setting, timed.model, told
        for tool in measured.summarized:
            told = {"times": times_of_passes(tool), "delegated": tool.delegated}
            yield tool.setting, tool.model, told
        for steps in measured.steps:
            yield steps.setting, steps.model, {"steps": step_times_of(steps)}
    for of in measured.counted:
        counts = {"instructions": of.instructions, "instructions_per_inference": median_low(of.instructions)}
        yield of.setting, of.model, {**counts, "delegated": of.delegated}
    for profile in measured.profiled:
        yield profile.setting, profile.model, {"operators": profile.operators}
    for refused in measured.refused:
        yield refused.setting, refused.model, {"refused": refused.why}
