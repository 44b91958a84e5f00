"""Choose how models are run in a place: what a plan asks for, of what the place has."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.protocol.plan import BenchmarkPlan, Setting
from dermpack.errors import InputError

INSTALL = "Run there: pip install ai-edge-litert"


def settings_of(
    plan: BenchmarkPlan, *, where: str, runtimes: Sequence[str], cores: int, install: str = INSTALL
) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
    """Every combination that the place can run, and in words what was left out."""
    asked = tuple(plan.runtimes) or tuple(runtimes)
    present = [runtime for runtime in asked if runtime in runtimes]
    threads = [of for of in plan.threads if of <= cores]
    if not present:
        missing = " and ".join(asked) or "an interpreter for .tflite files"
        raise InputError(where, f"not installed: {missing}", install, code="runtime-not-installed")
    if not threads:
        counts = ", ".join(map(str, plan.threads))
        what = f"the machine has {_cores(cores)}, fewer than the threads ({counts})"
        raise InputError(where, what, "Choose fewer --threads.", code="invalid-option")
    notes = [
        f"{runtime} is not installed there and was left out" for runtime in asked if runtime not in present
    ]
    notes += [f"{of} threads were left out: it has {_cores(cores)}" for of in plan.threads if of > cores]
    settings = tuple(
        Setting(runtime=runtime, kernels=kernels, threads=of)
        for runtime in present
        for kernels in plan.kernels
        for of in threads
    )
    return settings, tuple(notes)


def _cores(cores: int) -> str:
    return "1 core" if cores == 1 else f"{cores} cores"
