"""Say in plain words why a model is slower than the first one, of what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.results import CountedModel, TargetMeasurement, TimedModel
from benchmarks.statistics.speed_up import compare
from dermpack.inference import Kernels

SUCCESSORS = {"tflite-runtime": "ai-edge-litert"}  # an interpreter that is no longer released, and its heir
NONE, ALL = "none", "all"
LEAST_FACTOR = 1.05  # less is nobody's concern
DOT_PRODUCTS = ("asimddp", "avx512_vnni", "avx_vnni")  # as /proc/cpuinfo names the instructions


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowModel:
    """A model that costs more than the first one under the same setting."""

    model: str
    first: str
    setting: Setting
    factor: float
    is_counted: bool  # instructions, not time
    is_integer: bool

    @property
    def unit(self) -> str:
        return "times the instructions of" if self.is_counted else "times as long as"


def reasons(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[str]:
    """For what an app gets unasked, at the threads named first: a sentence for all models of one reason."""
    told = dict[tuple[str, str], SlowModel]()
    for slower in (*_timed(measured, plan), *_counted(measured, plan)):
        if slower.setting.kernels is Kernels.XNNPACK:
            told.setdefault((slower.model, slower.setting.runtime), slower)
    alike = dict[tuple[Setting, str], list[SlowModel]]()
    for slower in told.values():
        alike.setdefault((slower.setting, _why(slower, measured)), []).append(slower)
    for (setting, why), group in alike.items():
        yield _sentence(group, setting, why, measured)


def _sentence(group: Sequence[SlowModel], setting: Setting, why: str, measured: TargetMeasurement) -> str:
    """ "int8 takes 10, trained 11 times as long as float32 with …: …"."""
    one, *others = group
    told = [
        f"{one.model} takes {_number(one.factor)}",
        *(f"{of.model} {_number(of.factor)}" for of in others),
    ]
    said = f"{', '.join(told)} {one.unit} {one.first} with {setting}: {why}"
    return "; ".join([said, *_successor(group, measured)])


def _timed(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[SlowModel]:
    """Only what could be shown."""
    for here in measured.timed:
        first = _time(measured, plan.models[0].name, here.setting)
        if first is None or first is here:
            continue
        pair = compare(first.rounds_ms, here.rounds_ms, turns=here.turns, seed=plan.seed)
        if pair.is_told and pair.times_as_fast <= 1 / LEAST_FACTOR:
            yield _slower(here, plan, 1 / pair.times_as_fast)


def _counted(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[SlowModel]:
    for here in measured.counted:
        first = _count(measured, plan.models[0].name, here.setting)
        if first is None or first is here:
            continue
        factor = median(here.instructions) / median(first.instructions)
        if factor >= LEAST_FACTOR:
            yield _slower(here, plan, factor)


def _slower(here: TimedModel | CountedModel, plan: BenchmarkPlan, factor: float) -> SlowModel:
    model = next(model for model in plan.models if model.name == here.model)
    return SlowModel(
        model=here.model,
        first=plan.models[0].name,
        setting=here.setting,
        factor=factor,
        is_counted=isinstance(here, CountedModel),
        is_integer=model.recipe.startswith("int8") or model.table.dtype != np.float32,
    )


def _why(slower: SlowModel, measured: TargetMeasurement) -> str:
    here, first = (_run(measured, name, slower.setting) for name in (slower.model, slower.first))
    assert here is not None and first is not None  # what is slower was measured
    if here.delegated == NONE and first.delegated != NONE:
        return f"this runtime runs such a file on older kernels of its own, and {first.model} through XNNPACK"
    largest = _largest(slower, measured)
    features = measured.environment.get("features", "").split()
    if slower.is_integer and features and not set(DOT_PRODUCTS) & set(features):
        return f"this processor has no dot products of int8{largest}"
    if here.delegated not in (NONE, ALL):
        return f"XNNPACK took {here.delegated}, the runtime's own kernels compute the rest{largest}"
    return (
        "its operators need more of them here"
        if slower.is_counted
        else f"its operators take longer here{largest}"
    )


def _largest(slower: SlowModel, measured: TargetMeasurement) -> str:
    """The kind of operator that most of the time goes to; under emulation kinds are of instructions."""
    for profile in () if slower.is_counted else measured.profiled:
        is_same = replace(profile.setting, threads=slower.setting.threads) == slower.setting
        if profile.model == slower.model and is_same:
            most = max(profile.operators, key=lambda operator: operator.share)
            return f" ({most.share:.0%} of the time in {most.name})".replace("%", " %") if most.share else ""
    return ""


def _successor(group: Sequence[SlowModel], measured: TargetMeasurement) -> Iterator[str]:
    """What the same files cost on the interpreter that followed."""
    heir = SUCCESSORS.get(group[0].setting.runtime)
    if heir is None:
        return
    costs = [_costs(slower, replace(slower.setting, runtime=heir), measured) for slower in group]
    known = [(before, after) for before, after in costs if before and after]
    files = "the same file" if len(group) == 1 else "the same files"
    if len(known) < len(costs):
        yield f"its successor {heir} was not measured"
    elif group[0].is_counted:
        shares = ", ".join(_number(after / before) for before, after in known)
        yield f"its successor {heir} took {shares} times the instructions with {files}"
    else:
        factors = ", ".join(_number(before / after) for before, after in known)
        yield f"its successor {heir} was {factors} times as fast with {files}"


def _costs(slower: SlowModel, other: Setting, measured: TargetMeasurement) -> tuple[float, float]:
    """Of the same model here and under another setting; 0: it was not measured."""
    here, there = (_run(measured, slower.model, setting) for setting in (slower.setting, other))
    return (_cost(here) if here else 0.0, _cost(there) if there else 0.0)


def _number(factor: float) -> str:
    """Two digits that tell: 0.21, 1.07, 2.1, 16, 130."""
    return f"{factor:.2f}" if factor < 1.095 else f"{factor:.1f}" if factor < 9.95 else f"{factor:.0f}"


def _cost(of: TimedModel | CountedModel) -> float:
    return median(of.rounds_ms) if isinstance(of, TimedModel) else median(of.instructions)


def _run(measured: TargetMeasurement, model: str, setting: Setting) -> TimedModel | CountedModel | None:
    return _time(measured, model, setting) or _count(measured, model, setting)


def _time(measured: TargetMeasurement, model: str, setting: Setting) -> TimedModel | None:
    return next((of for of in measured.timed if (of.model, of.setting) == (model, setting)), None)


def _count(measured: TargetMeasurement, model: str, setting: Setting) -> CountedModel | None:
    return next((of for of in measured.counted if (of.model, of.setting) == (model, setting)), None)
