"""Build the command line of TensorFlow's native benchmark_model, and parse its output."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from benchmarks.protocol.plan import Setting, Timing
from benchmarks.protocol.results import OperatorTime, ToolPass
from dermpack.inference import Kernels

RUNTIME = "benchmark_model"  # in a Setting
LOG_LEVEL = re.compile(r"^(?:INFO|WARN|WARNING|ERROR|VERBOSE): ")  # newer builds write it before each line
FIGURE = re.compile(r"(\w+)=(\d[\d.]*(?:e[+-]?\d+)?)")
LOADED = re.compile(r"timings in us: .*?\bInit: (\d[\d.e+]*)")
# Older builds call it "peak" but mean the same: the growth of the process since its start.
FOOTPRINT = re.compile(r"^(?:Memory footprint delta|Peak memory footprint).*\boverall=(\d[\d.e+-]*)")
REPLACED = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \(TfLiteXNNPackDelegate\)")
DELEGATED = {"completely executed": "all", "will not be executed": "none", "partially executed": "some"}
PROFILED, BY_TYPE = "Operator-wise Profiling Info for Regular Benchmark Runs", "Summary by node type"
PROFILE = Timing(warm_up_seconds=0.0, rounds=10, seconds=0.0, most_seconds=30.0)


def timing_arguments(graph: str, *, setting: Setting, timing: Timing) -> tuple[str, ...]:
    """Return the arguments that time one model."""
    return (
        f"--graph={graph}",
        f"--num_threads={setting.threads}",
        # Without the option, the tool would apply XNNPACK.
        f"--use_xnnpack={'true' if setting.kernels is Kernels.XNNPACK else 'false'}",
        "--warmup_runs=1",
        f"--warmup_min_secs={timing.warm_up_seconds:g}",
        f"--num_runs={timing.rounds}",
        f"--min_secs={timing.seconds:g}",
        f"--max_secs={timing.most_seconds:g}",
    )


def profile_arguments(graph: str, *, setting: Setting) -> tuple[str, ...]:
    """Return the arguments that profile one model, in a separate process: profiling slows operators down."""
    return (*timing_arguments(graph, setting=setting, timing=PROFILE), "--enable_op_profiling=true")


def read_timing(text: str, *, kernels: Kernels) -> tuple[ToolPass, str] | None:
    """Return the figures of a process that timed a model, and what XNNPACK took; None if some are missing."""
    lines = [LOG_LEVEL.sub("", line.strip()) for line in text.splitlines()]
    footprint = next((match for match in map(FOOTPRINT.search, lines) if match), None)
    try:
        # One "count=" line is of the warm-up, the next of the rounds.
        warm_up, run = (
            {name: _parse_finite(number) for name, number in FIGURE.findall(line)}
            for line in lines
            if line.startswith("count=")
        )
        load_us = next(_parse_finite(match[1]) for match in map(LOADED.search, lines) if match)
        footprint_bytes = round(_parse_finite(footprint[1]) * (1 << 20)) if footprint else None
        figures = _tool_pass(warm_up, run, load_us=load_us, footprint_bytes=footprint_bytes)
    except (KeyError, StopIteration, ValueError):
        return None
    return figures, _read_delegated(lines) if kernels is Kernels.XNNPACK else "none"


def _tool_pass(
    warm_up: Mapping[str, float], run: Mapping[str, float], *, load_us: float, footprint_bytes: int | None
) -> ToolPass:
    # If all rounds took the same time, or there was only one, the tool prints only "curr".
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


def _read_delegated(lines: list[str]) -> str:
    """Return how many operators XNNPACK took, if this build of the tool prints it."""
    replaced = next((match for match in map(REPLACED.search, lines) if match), None)
    if replaced:
        return "all" if replaced[1] == replaced[2] else f"{replaced[1]} of {replaced[2]} operators"
    xnnpack = (line for line in lines if "XNNPACK delegate" in line)
    return next((what for line in xnnpack for words, what in DELEGATED.items() if words in line), "")


def read_profile(text: str) -> tuple[OperatorTime, ...]:
    """Return the rows of the table by kind of operator; empty if there is no table."""
    _, _, after = text.partition(PROFILED)
    _, _, table = after.partition(BY_TYPE)
    operators = []
    for row in table.splitlines()[2:]:
        # Kind, count, milliseconds, share in per cent, and more; any other line ends the table.
        try:
            name, count, _, share = [cell.strip() for cell in row.strip().split("\t")][:4]
            number, fraction = int(count), _parse_finite(share.removesuffix("%")) / 100
        except ValueError:
            break
        is_delegated = "delegate" in name.lower()
        operators.append(
            OperatorTime(name=name[:80], count=number, share=fraction, is_delegated=is_delegated)
        )
    return tuple(operators)


def read_error(text: str) -> str:
    """Return the reason for a failure: the tool's first line of error, else its last line."""
    errors = [line for line in text.splitlines() if line.lower().startswith(("error", "fatal"))]
    lines = errors[:1] or [line for line in text.splitlines() if line.strip()][-1:]
    return LOG_LEVEL.sub("", lines[0])[:300] if lines else "no message"


def _parse_finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
