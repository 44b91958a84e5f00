"""Reasons why a model is slower than the first one, as sentences, from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeAlias

import numpy as np

from benchmarks.protocol.plan import BenchmarkPlan, Setting
from benchmarks.protocol.results import CountedModel, TargetMeasurement, TimedModel
from benchmarks.statistics.latency import compare_medians
from dermpack.inference.interpreter_host import Kernels

SUCCESSORS = {"tflite-runtime": "ai-edge-litert"}  # an interpreter that is no longer released
NONE, ALL = "none", "all"
LEAST_FACTOR = 1.05  # less is not worth a sentence
DOT_PRODUCTS = ("asimddp", "avx512_vnni", "avx_vnni")  # instructions, as /proc/cpuinfo names them
Run: TypeAlias = TimedModel | CountedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowModel:
    """A model that costs more than the first one under the same setting."""

    here: Run
    first: Run
    factor: float
    is_integer: bool

    @property
    def is_counted(self) -> bool:
        """Whether the cost is instructions, not time."""
        return isinstance(self.here, CountedModel)


def explain_slow_models(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[str]:
    """Yield one sentence per reason, for the default kernels and the first number of threads."""
    slow_models: dict[tuple[str, str], SlowModel] = {}
    for slow in _find_slow_models(measured, plan):
        setting = slow.here.setting
        if setting.kernels is Kernels.XNNPACK:
            slow_models.setdefault((slow.here.model, setting.runtime), slow)
    # Models with the same reason share a sentence.
    by_reason: dict[tuple[Setting, str], list[SlowModel]] = {}
    for slow in slow_models.values():
        by_reason.setdefault((slow.here.setting, _find_reason(slow, measured)), []).append(slow)
    for (setting, reason), group in by_reason.items():
        one, *others = group
        parts = [f"{one.here.model} takes {_factor_text(one.factor)}"]
        parts += [f"{slow.here.model} {_factor_text(slow.factor)}" for slow in others]
        unit = "times the instructions of" if one.is_counted else "times as long as"
        sentence = f"{', '.join(parts)} {unit} {one.first.model} with {setting}: {reason}"
        yield sentence + _successor_text(group, measured)


def _find_slow_models(measured: TargetMeasurement, plan: BenchmarkPlan) -> Iterator[SlowModel]:
    """Yield the models that are significantly slower, then those that need more instructions."""
    models = {model.name: model for model in plan.models}
    runs: Sequence[Sequence[Run]] = (measured.timed, measured.counted)
    for here, same_kind in ((run, kind) for kind in runs for run in kind):
        first = _find_run(same_kind, plan.models[0].name, here.setting)
        if first is None or first is here:
            continue
        factor = _cost(here) / _cost(first)
        if isinstance(here, TimedModel) and isinstance(first, TimedModel):
            pair = compare_medians(first.rounds_ms, here.rounds_ms, turns=here.turns, seed=plan.seed)
            factor = 1 / pair.times_as_fast if pair.is_significant else 1.0
        if factor >= LEAST_FACTOR:
            model = models[here.model]
            is_integer = model.recipe.startswith("int8") or model.binding.feed.table.dtype != np.float32
            yield SlowModel(here=here, first=first, factor=factor, is_integer=is_integer)


def _find_reason(slow: SlowModel, measured: TargetMeasurement) -> str:
    here, delegated = slow.here, slow.here.delegated
    if delegated == NONE and slow.first.delegated != NONE:
        name = slow.first.model
        return f"this runtime runs such a file on its own older kernels, but {name} through XNNPACK"
    # The operator that takes the most time; an emulated target reports no operator times.
    largest = ""
    for profile in () if slow.is_counted else measured.profiled:
        is_same = replace(profile.setting, threads=here.setting.threads) == here.setting
        if profile.model == here.model and is_same:
            most = max(profile.operators, key=lambda operator: operator.share)
            largest = f" ({100 * most.share:.0f} % of the time in {most.name})" if most.share else ""
            break
    # From the most specific reason to the most general one.
    features = measured.environment.get("features", "").split()
    if slow.is_integer and features and not set(DOT_PRODUCTS) & set(features):
        return f"this processor has no int8 dot-product instructions{largest}"
    if delegated not in (NONE, ALL):
        return f"XNNPACK runs {delegated}, the runtime's own kernels run the others{largest}"
    if slow.is_counted:
        return "its operators need more instructions here"
    return f"its operators take longer here{largest}"


def _successor_text(group: Sequence[SlowModel], measured: TargetMeasurement) -> str:
    """Return what the same files cost on the interpreter's successor, if it has one."""
    successor = SUCCESSORS.get(group[0].here.setting.runtime)
    if successor is None:
        return ""
    runs: Sequence[Run] = (*measured.timed, *measured.counted)
    ratios = []
    for slow in group:
        other = _find_run(runs, slow.here.model, replace(slow.here.setting, runtime=successor))
        if other is None:  # a missing one makes the comparison incomplete
            return f"; its successor {successor} was not measured"
        before, after = _cost(slow.here), _cost(other)
        ratios.append(_factor_text(after / before if slow.is_counted else before / after))
    verb, what = ("took", "times the instructions") if group[0].is_counted else ("was", "times as fast")
    files = "the same file" if len(group) == 1 else "the same files"
    return f"; its successor {successor} {verb} {', '.join(ratios)} {what} with {files}"


def _factor_text(factor: float) -> str:
    """Format two significant digits: 0.21, 1.07, 2.1, 16, 130."""
    return f"{factor:.2f}" if factor < 1.095 else f"{factor:.1f}" if factor < 9.95 else f"{factor:.0f}"


def _cost(run: Run) -> float:
    return median(run.rounds_ms if isinstance(run, TimedModel) else run.instructions)


def _find_run(runs: Sequence[Run], model: str, setting: Setting) -> Run | None:
    return next((run for run in runs if (run.model, run.setting) == (model, setting)), None)
