"""Reasons why a model is slower than the first one, as sentences, from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeVar

import numpy as np

from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.results import CountedModel, TargetMeasurement, TimedModel
from benchmarks.statistics.latency import compare_medians
from dermpack.inference import Kernels

SUCCESSORS = {"tflite-runtime": "ai-edge-litert"}  # an interpreter that is no longer released
NONE, ALL = "none", "all"
LEAST_FACTOR = 1.05  # less is not worth a sentence
Run = TypeVar("Run", TimedModel, CountedModel)
DOT_PRODUCTS = ("asimddp", "avx512_vnni", "avx_vnni")  # instructions, as /proc/cpuinfo names them


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


def explain_slow_models(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[str]:
    """Yield one sentence per reason, for the default kernels and the first number of threads."""
    slow_models: dict[tuple[str, str], SlowModel] = {}
    for slow in (*_slow_timed(measured, plan), *_slow_counted(measured, plan)):
        if slow.setting.kernels is Kernels.XNNPACK:
            slow_models.setdefault((slow.model, slow.setting.runtime), slow)
    # Models with the same reason share a sentence.
    by_reason: dict[tuple[Setting, str], list[SlowModel]] = {}
    for slow in slow_models.values():
        by_reason.setdefault((slow.setting, _find_reason(slow, measured)), []).append(slow)
    for (setting, reason), group in by_reason.items():
        first, *others = group
        parts = [
            f"{first.model} takes {_factor_text(first.factor)}",
            *(f"{slow.model} {_factor_text(slow.factor)}" for slow in others),
        ]
        sentence = f"{', '.join(parts)} {first.unit} {first.first} with {setting}: {reason}"
        yield "; ".join([sentence, *_compare_successor(group, measured)])


def _slow_timed(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[SlowModel]:
    """Yield the models that are significantly slower."""
    for here in measured.timed:
        first = _find(measured.timed, plan.models[0].name, here.setting)
        if first is None or first is here:
            continue
        pair = compare_medians(first.rounds_ms, here.rounds_ms, turns=here.turns, seed=plan.seed)
        if pair.is_told and pair.times_as_fast <= 1 / LEAST_FACTOR:
            yield _slow_model(here, plan, 1 / pair.times_as_fast)


def _slow_counted(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[SlowModel]:
    for here in measured.counted:
        first = _find(measured.counted, plan.models[0].name, here.setting)
        if first is None or first is here:
            continue
        factor = _cost(here) / _cost(first)
        if factor >= LEAST_FACTOR:
            yield _slow_model(here, plan, factor)


def _slow_model(here: TimedModel | CountedModel, plan: BenchmarkPlan, factor: float) -> SlowModel:
    model = next(model for model in plan.models if model.name == here.model)
    return SlowModel(
        model=here.model,
        first=plan.models[0].name,
        setting=here.setting,
        factor=factor,
        is_counted=isinstance(here, CountedModel),
        is_integer=model.recipe.startswith("int8") or model.table.dtype != np.float32,
    )


def _find_reason(slow: SlowModel, measured: TargetMeasurement) -> str:
    here, first = (_find_run(measured, name, slow.setting) for name in (slow.model, slow.first))
    assert here is not None and first is not None  # a slow model was measured
    if here.delegated == NONE and first.delegated != NONE:
        return f"this runtime runs such a file on its own older kernels, but {first.model} through XNNPACK"
    # From the most specific reason to the most general one.
    largest = _largest_operator(slow, measured)
    features = measured.environment.get("features", "").split()
    if slow.is_integer and features and not set(DOT_PRODUCTS) & set(features):
        return f"this processor has no int8 dot-product instructions{largest}"
    if here.delegated not in (NONE, ALL):
        return f"XNNPACK runs {here.delegated}, the runtime's own kernels run the others{largest}"
    if slow.is_counted:
        return "its operators need more instructions here"
    return f"its operators take longer here{largest}"


def _largest_operator(slow: SlowModel, measured: TargetMeasurement) -> str:
    """Return the operator with most of the time; under emulation there are no times of operators."""
    for profile in () if slow.is_counted else measured.profiled:
        is_same = replace(profile.setting, threads=slow.setting.threads) == slow.setting
        if profile.model == slow.model and is_same:
            most = max(profile.operators, key=lambda operator: operator.share)
            return f" ({100 * most.share:.0f} % of the time in {most.name})" if most.share else ""
    return ""


def _compare_successor(group: Sequence[SlowModel], measured: TargetMeasurement) -> Iterator[str]:
    """Yield what the same files cost on the interpreter's successor."""
    successor = SUCCESSORS.get(group[0].setting.runtime)
    if successor is None:
        return
    # Each model on both interpreters; a missing one makes the comparison incomplete.
    costs = []
    for slow in group:
        settings = (slow.setting, replace(slow.setting, runtime=successor))
        runs = [_find_run(measured, slow.model, setting) for setting in settings]
        if runs[0] is not None and runs[1] is not None:
            costs.append((_cost(runs[0]), _cost(runs[1])))
    files = "the same file" if len(group) == 1 else "the same files"
    if len(costs) < len(group):
        yield f"its successor {successor} was not measured"
    elif group[0].is_counted:
        shares = ", ".join(_factor_text(after / before) for before, after in costs)
        yield f"its successor {successor} took {shares} times the instructions with {files}"
    else:
        factors = ", ".join(_factor_text(before / after) for before, after in costs)
        yield f"its successor {successor} was {factors} times as fast with {files}"


def _factor_text(factor: float) -> str:
    """Format two significant digits: 0.21, 1.07, 2.1, 16, 130."""
    return f"{factor:.2f}" if factor < 1.095 else f"{factor:.1f}" if factor < 9.95 else f"{factor:.0f}"


def _cost(run: TimedModel | CountedModel) -> float:
    return median(run.rounds_ms) if isinstance(run, TimedModel) else median(run.instructions)


def _find_run(measured: TargetMeasurement, model: str, setting: Setting) -> TimedModel | CountedModel | None:
    return _find(measured.timed, model, setting) or _find(measured.counted, model, setting)


def _find(runs: Sequence[Run], model: str, setting: Setting) -> Run | None:
    return next((run for run in runs if (run.model, run.setting) == (model, setting)), None)
