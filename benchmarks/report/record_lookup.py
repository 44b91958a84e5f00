"""Find what a report says of a model in a place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmarks.protocol.plan import Setting
from benchmarks.report.schema import (
    AccuracyDrop,
    ModelFacts,
    Record,
    Result,
    ScoredAnswer,
    SettingOnTarget,
    TargetFacts,
)


def is_measured(result: Result) -> bool:
    """Whether there is a cost to tell: a median, or a count of instructions."""
    return result.instructions_per_inference is not None or median_ms(result) is not None


def median_ms(result: Result | None) -> float | None:
    """The median; of a tool that tells none, the mean."""
    if result is None or result.times is None:
        return None
    return result.times.mean_ms if result.times.median_ms is None else result.times.median_ms


def results_of(record: Record, target: str) -> tuple[Result, ...]:
    return tuple(of for of in record.results if of.where.target == target)


def result_at(record: Record, model: str, where: SettingOnTarget) -> Result | None:
    return next((of for of in record.results if of.model == model and of.where == where), None)


def settings_of(record: Record, target: str) -> list[Setting]:
    """Those with anything measured, in their order."""
    return list(dict.fromkeys(of.where.setting for of in results_of(record, target) if is_measured(of)))


def where_of(target: str, setting: Setting) -> SettingOnTarget:
    return SettingOnTarget(
        target=target, runtime=setting.runtime, kernels=setting.kernels, threads=setting.threads
    )


def primary(record: Record, target: str) -> SettingOnTarget | None:
    """The setting that speaks for a target: the first of those under which most models ran."""
    counted = Counter(of.where for of in results_of(record, target) if is_measured(of))
    return max(counted, key=lambda where: counted[where]) if counted else None


def base_of(record: Record, where: SettingOnTarget) -> Result | None:
    """What the others are compared with under the setting: the first model, if it ran there."""
    found = result_at(record, record.models[0].name, where)
    return found if found and is_measured(found) else None


def answer_at(record: Record, model: str, where: SettingOnTarget) -> ScoredAnswer | None:
    """Pictures are asked at one number of threads, which does not change what is answered."""
    mine = (of for of in record.answers if of.model == model)
    return next((of for of in mine if _stands(of.where, where)), None)


def drop_at(record: Record, model: str, where: SettingOnTarget) -> AccuracyDrop | None:
    mine = (of for of in record.drops if of.model == model)
    return next((of for of in mine if _stands(of.where, where)), None)


def fastest(record: Record, model: str, target: str) -> Result | None:
    mine = [of for of in results_of(record, target) if of.model == model and is_measured(of)]
    return min(mine, key=cost, default=None)


def cost(result: Result) -> float:
    """Milliseconds, or under emulation instructions."""
    counted = result.instructions_per_inference
    return float(counted) if counted is not None else median_ms(result) or 0.0


def facts_of(record: Record, model: str) -> ModelFacts:
    return next(of for of in record.models if of.name == model)


def place_of(record: Record, target: str) -> TargetFacts:
    return next(of for of in record.targets if of.target == target)


def _stands(places: Sequence[SettingOnTarget], where: SettingOnTarget) -> bool:
    return any(
        (of.target, of.runtime, of.kernels) == (where.target, where.runtime, where.kernels) for of in places
    )
