"""The times of one model under one setting, from raw rounds or from what a tool says of them."""

from __future__ import annotations

from dataclasses import fields
from statistics import median

from benchmarks.protocol.results import StepMedians, SummarizedModel, TimedModel
from benchmarks.report.schema import StepTimes, Times
from benchmarks.statistics.latency import latency_of

DECIMALS = 4  # of a millisecond: a clock tells no more


def times_of_rounds(timed: TimedModel, *, seed: int) -> Times:
    """What is derived is derived of the rounds that are kept."""
    rounds_ms = tuple(round(of, DECIMALS) for of in timed.rounds_ms)
    latency = latency_of(rounds_ms, turns=timed.turns, seed=seed)
    return Times(
        load_ms=timed.load_ms,
        first_ms=timed.first_ms,
        warm_up_rounds=timed.warm_up_rounds,
        peak_bytes=timed.peak_bytes,
        turns=timed.turns,
        rounds_ms=rounds_ms,
        **{of.name: getattr(latency, of.name) for of in fields(latency)},
    )


def times_of_passes(tool: SummarizedModel) -> Times:
    """Percentiles of all passes are not known: the middle pass stands for them."""
    passes = tool.passes
    rounds = sum(of.rounds for of in passes)
    return Times(
        load_ms=median(of.load_ms for of in passes),
        first_ms=median(of.first_ms for of in passes),
        warm_up_rounds=sum(of.warm_up_rounds for of in passes),
        rounds=rounds,
        min_ms=min(of.min_ms for of in passes),
        max_ms=max(of.max_ms for of in passes),
        mean_ms=sum(of.mean_ms * of.rounds for of in passes) / rounds,
        deviation_ms=median(of.deviation_ms for of in passes),
        p5_ms=_middle([of.p5_ms for of in passes]),
        median_ms=_middle([of.median_ms for of in passes]),
        p95_ms=_middle([of.p95_ms for of in passes]),
        passes=passes,
    )


def step_times_of(steps: StepMedians) -> StepTimes:
    return StepTimes(**{of.name: getattr(steps, of.name) for of in fields(StepTimes)})


def _middle(told: list[float | None]) -> float | None:
    known = [of for of in told if of is not None]
    return median(known) if known and len(known) == len(told) else None
