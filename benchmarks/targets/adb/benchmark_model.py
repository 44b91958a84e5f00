"""What the native benchmark_model is asked on its command line, and what its answer means."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.protocol.plan import Setting, Timing
from benchmarks.protocol.results import OperatorTime, ToolPass
from dermpack.inference import Kernels

RUNTIME = "benchmark_model"  # as a Setting names it
LOG_LEVEL = re.compile(r"^(?:INFO|WARN|WARNING|ERROR|VERBOSE): ")  # newer builds write it before each line
FIGURE = re.compile(r"(\w+)=(\d[\d.]*(?:e[+-]?\d+)?)")
LOADED = re.compile(r"timings in us: .*?\bInit: (\d[\d.e+]*)")
# Older builds call it "peak", and mean the same: what the process grew by since it started.
FOOTPRINT = re.compile(r"^(?:Memory footprint delta|Peak memory footprint).*\boverall=(\d[\d.e+-]*)")
REPLACED = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \(TfLiteXNNPackDelegate\)")
DELEGATED = {"completely executed": "all", "will not be executed": "none", "partially executed": "some"}
PROFILED, BY_TYPE = "Operator-wise Profiling Info for Regular Benchmark Runs", "Summary by node type"
PROFILE = Timing(warm_up_seconds=0.0, rounds=10, seconds=0.0, most_seconds=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutput:
    """What one process of the tool said."""

    figures: ToolPass
    delegated: str


def timing_arguments(graph: str, *, setting: Setting, timing: Timing) -> tuple[str, ...]:
    """One model, timed: `--use_xnnpack=false` is said aloud, for unasked the tool applies XNNPACK."""
    return (
        f"--graph={graph}",
        f"--num_threads={setting.threads}",
        f"--use_xnnpack={'true' if setting.kernels is Kernels.XNNPACK else 'false'}",
        "--warmup_runs=1",
        f"--warmup_min_secs={timing.warm_up_seconds:g}",
        f"--num_runs={timing.rounds}",
        f"--min_secs={timing.seconds:g}",
        f"--max_secs={timing.most_seconds:g}",
    )


def profile_arguments(graph: str, *, setting: Setting) -> tuple[str, ...]:
    """In a process of its own: looking at the operators slows them down."""
    return (*timing_arguments(graph, setting=setting, timing=PROFILE), "--enable_op_profiling=true")


def read_timing(text: str, *, kernels: Kernels) -> ToolOutput | None:
    """The figures of a process that timed a model; None where they are not all there."""
    lines = _lines(text)
    try:
        warm_up, run = (_figures(line) for line in lines if line.startswith("count="))
        load_us = next(_finite(match[1]) for match in map(LOADED.search, lines) if match)
        figures = _pass(warm_up, run, load_us=load_us, footprint_bytes=_footprint_bytes(lines))
    except (KeyError, StopIteration, ValueError):
        return None
    return ToolOutput(figures=figures, delegated=_delegated(lines) if kernels is Kernels.XNNPACK else "none")


def read_profile(text: str) -> tuple[OperatorTime, ...]:
    """The table by kind of operator; empty where there is none."""
    _, _, after = text.partition(PROFILED)
    _, _, table = after.partition(BY_TYPE)
    rows = (line.strip().split("\t") for line in table.splitlines()[2:])
    operators = []
    for row in rows:
        operator = _operator([cell.strip() for cell in row])
        if operator is None:
            break
        operators.append(operator)
    return tuple(operators)


def complaint(text: str) -> str:
    """Why the tool gave up: its first line of error, else its last line."""
    errors = [line for line in text.splitlines() if line.lower().startswith(("error", "fatal"))]
    lines = errors[:1] or [line for line in text.splitlines() if line.strip()][-1:]
    return LOG_LEVEL.sub("", lines[0])[:300] if lines else "it said nothing"


def _lines(text: str) -> list[str]:
    return [LOG_LEVEL.sub("", line.strip()) for line in text.splitlines()]


def _figures(line: str) -> Mapping[str, float]:
    return {name: _finite(number) for name, number in FIGURE.findall(line)}


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _pass(
    warm_up: Mapping[str, float], run: Mapping[str, float], *, load_us: float, footprint_bytes: int | None
) -> ToolPass:
    """Where all rounds took the same time, or there was one, the tool says only `curr`."""
    if not {"avg", "min", "max", "std"} & run.keys():
        run = {**run, **dict.fromkeys(("avg", "min", "max"), run["curr"]), "std": 0.0}
    return ToolPass(
        load_ms=load_us / 1e3,
        first_ms=warm_up.get("first", warm_up["curr"]) / 1e3,
        warm_up_rounds=int(warm_up["count"]),
        rounds=int(run["count"]),
        mean_ms=run["avg"] / 1e3,
        deviation_ms=run["std"] / 1e3,
        min_ms=run["min"] / 1e3,
        max_ms=run["max"] / 1e3,
        p5_ms=run["p5"] / 1e3 if "p5" in run else None,
        median_ms=run["median"] / 1e3 if "median" in run else None,
        p95_ms=run["p95"] / 1e3 if "p95" in run else None,
        footprint_bytes=footprint_bytes,
    )


def _footprint_bytes(lines: list[str]) -> int | None:
    found = next((match for match in map(FOOTPRINT.search, lines) if match), None)
    return round(_finite(found[1]) * (1 << 20)) if found else None


def _delegated(lines: list[str]) -> str:
    """What XNNPACK took, as far as this build says it."""
    replaced = next((match for match in map(REPLACED.search, lines) if match), None)
    if replaced:
        return "all" if replaced[1] == replaced[2] else f"{replaced[1]} of {replaced[2]} operators"
    said = (line for line in lines if "XNNPACK delegate" in line)
    return next((what for line in said for sign, what in DELEGATED.items() if sign in line), "")


def _operator(cells: list[str]) -> OperatorTime | None:
    """A row: kind, count, milliseconds, share in per cent, and more that is not kept."""
    try:
        name, count, _, share = cells[:4]
        operator = OperatorTime(
            name=name[:80],
            count=int(count),
            share=_finite(share.removesuffix("%")) / 100,
            is_delegated="delegate" in name.lower(),
        )
    except ValueError:
        return None
    return operator
