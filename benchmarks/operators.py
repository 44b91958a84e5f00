"""Say in plain words why a model is slower than the first one, of what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from benchmarks.measured import Counted, Measured, Timed
from benchmarks.pairs import compare
from benchmarks.plan import Plan, Setting
from dermpack.runtime import Kernels

SUCCESSORS = {"tflite-runtime": "ai-edge-litert"}  # an interpreter that is no longer released, and its heir
NONE, ALL = "none", "all"
LEAST_FACTOR = 1.05  # less is nobody's concern
DOT_PRODUCTS = ("asimddp", "avx512_vnni", "avx_vnni")  # as /proc/cpuinfo names the instructions


@dataclass(frozen=True, slots=True, kw_only=True)
class Slower:
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


def reasons(measured: Measured, plan: Plan) -> Iterator[str]:
    """One sentence a model and runtime, for what an app gets unasked, at the threads named first."""
    told = set[tuple[str, str]]()
    for slower in (*_timed(measured, plan), *_counted(measured, plan)):
        key = (slower.model, slower.setting.runtime)
        if slower.setting.kernels is Kernels.XNNPACK and key not in told:
            told.add(key)
            yield _sentence(slower, measured)


def _sentence(slower: Slower, measured: Measured) -> str:
    said = f"{slower.model} takes {_number(slower.factor)} {slower.unit} {slower.first} with {slower.setting}"
    return "; ".join([f"{said}: {_why(slower, measured)}", *_successor(slower, measured)])


def _timed(measured: Measured, plan: Plan) -> Iterator[Slower]:
    """Only what could be shown."""
    for here in measured.timed:
        first = _time(measured, plan.models[0].name, here.setting)
        if first is None or first is here:
            continue
        pair = compare(first.rounds_ms, here.rounds_ms, turns=here.turns, seed=plan.seed)
        if pair.is_told and pair.times_as_fast <= 1 / LEAST_FACTOR:
            yield _slower(here, plan, 1 / pair.times_as_fast)


def _counted(measured: Measured, plan: Plan) -> Iterator[Slower]:
    for here in measured.counted:
        first = _count(measured, plan.models[0].name, here.setting)
        if first is None or first is here:
            continue
        factor = median(here.instructions) / median(first.instructions)
        if factor >= LEAST_FACTOR:
            yield _slower(here, plan, factor)


def _slower(here: Timed | Counted, plan: Plan, factor: float) -> Slower:
    model = next(model for model in plan.models if model.name == here.model)
    return Slower(
        model=here.model,
        first=plan.models[0].name,
        setting=here.setting,
        factor=factor,
        is_counted=isinstance(here, Counted),
        is_integer=model.recipe.startswith("int8") or model.table.dtype != np.float32,
    )


def _why(slower: Slower, measured: Measured) -> str:
    here, first = (_run(measured, name, slower.setting) for name in (slower.model, slower.first))
    assert here is not None and first is not None  # what is slower was measured
    if here.delegated == NONE and first.delegated != NONE:
        return f"this runtime runs it on older kernels of its own, and {first.model} through XNNPACK"
    largest = _largest(slower, measured)
    if here.delegated not in (NONE, ALL):
        return f"XNNPACK took {here.delegated}, the runtime's own kernels compute the rest{largest}"
    features = measured.environment.get("features", "").split()
    if slower.is_integer and features and not set(DOT_PRODUCTS) & set(features):
        return f"this processor has no dot products of int8{largest}"
    return (
        "its operators need more of them here"
        if slower.is_counted
        else f"its operators take longer here{largest}"
    )


def _largest(slower: Slower, measured: Measured) -> str:
    """The kind of operator that most of the time goes to; under emulation kinds are of instructions."""
    for profile in () if slower.is_counted else measured.profiled:
        is_same = replace(profile.setting, threads=slower.setting.threads) == slower.setting
        if profile.model == slower.model and is_same:
            most = max(profile.operators, key=lambda operator: operator.share)
            return f" ({most.share:.0%} of the time in {most.name})".replace("%", " %") if most.share else ""
    return ""


def _successor(slower: Slower, measured: Measured) -> Iterator[str]:
    """What the same file costs on the interpreter that followed."""
    heir = SUCCESSORS.get(slower.setting.runtime)
    if heir is None:
        return
    setting = Setting(runtime=heir, kernels=slower.setting.kernels, threads=slower.setting.threads)
    before, after = _run(measured, slower.model, slower.setting), _run(measured, slower.model, setting)
    if before is None or after is None:
        yield f"its successor {heir} was not measured"
    elif slower.is_counted:
        share = _number(_cost(after) / _cost(before))
        yield f"its successor {heir} took {share} times the instructions with the same file"
    else:
        factor = _number(_cost(before) / _cost(after))
        yield f"its successor {heir} was {factor} times as fast with the same file"


def _number(factor: float) -> str:
    """Two digits that tell: 0.21, 1.07, 2.1, 16, 130."""
    return f"{factor:.2f}" if factor < 1.095 else f"{factor:.1f}" if factor < 9.95 else f"{factor:.0f}"


def _cost(of: Timed | Counted) -> float:
    return median(of.rounds_ms) if isinstance(of, Timed) else median(of.instructions)


def _run(measured: Measured, model: str, setting: Setting) -> Timed | Counted | None:
    return _time(measured, model, setting) or _count(measured, model, setting)


def _time(measured: Measured, model: str, setting: Setting) -> Timed | None:
    return next((of for of in measured.timed if (of.model, of.setting) == (model, setting)), None)


def _count(measured: Measured, model: str, setting: Setting) -> Counted | None:
    return next((of for of in measured.counted if (of.model, of.setting) == (model, setting)), None)
