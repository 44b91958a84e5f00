"""What targets answer: raw rounds, counts and outputs; every other figure is derived of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol.plan import BenchmarkPlan, Setting
from dermpack.progress import Track


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTime:
    """One kind of operator in one inference; where a delegate took it, the delegate's name for it."""

    name: str
    count: int
    share: float  # of the time, or under emulation of the instructions
    is_delegated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedModel:
    """One model under one setting; several models were interleaved, turn by turn."""

    model: str
    setting: Setting
    load_ms: float
    first_ms: float  # the first inference pages the weights in
    warm_up_rounds: int
    rounds_ms: tuple[float, ...]  # in the order of the clock
    turns: int = 1  # the rounds in so many equal parts, between which the other models had theirs
    peak_bytes: int | None  # of a process that ran this model alone
    delegated: str  # "all", "some of 66 operators", "none": what XNNPACK took


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPass:
    """What a tool that keeps its rounds to itself says of one process: no raw rounds, no p90."""

    load_ms: float
    first_ms: float
    warm_up_rounds: int
    rounds: int
    mean_ms: float
    deviation_ms: float
    min_ms: float
    max_ms: float
    p5_ms: float | None  # None: older builds of the tool tell no percentiles
    median_ms: float | None
    p95_ms: float | None
    footprint_bytes: int | None  # what the tool says it grew by: approximate, no peak


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarizedModel:
    """One model under one setting, timed by benchmark_model on a phone."""

    model: str
    setting: Setting
    passes: tuple[ToolPass, ...]  # by the clock; the n-th passes of all models ran side by side
    delegated: str  # "all", "some of 66 operators", "none"; "" where the tool did not say


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedModel:
    """Instructions, of an emulated processor; milliseconds are never told of one."""

    model: str
    setting: Setting
    instructions: tuple[int, ...]  # of each counted inference, in order
    delegated: str  # as of Timed


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnsweredPictures:
    """The raw outputs for the scored pictures, as the model gave them: [n, k] in its own type."""

    model: str
    setting: Setting
    outputs: NDArray[np.generic]
    scale: float  # 0: the numbers are what they are
    zero_point: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedModel:
    """A model that does not run under a setting."""

    model: str
    setting: Setting
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledModel:
    """Where the time of one inference goes."""

    model: str
    setting: Setting
    operators: tuple[OperatorTime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMedians:
    """From a picture file to its label, step by step: the median of so many rounds each."""

    model: str
    setting: Setting
    rounds: int
    decode_ms: float  # read, decode, turn upright
    resize_ms: float  # crop and resize
    copy_ms: float  # make the model's input of it
    invoke_ms: float
    whole_ms: float  # all of it, and the label


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetMeasurement:
    """Everything that one target answered."""

    target: str  # host, ssh:pi@raspberry, adb:SERIAL, qemu:cortex-a72
    is_emulated: bool
    environment: Mapping[str, str]  # device, soc, cores, features, governor, temperature_before, …; by name
    timed: tuple[TimedModel, ...] = ()
    summarized: tuple[SummarizedModel, ...] = ()
    counted: tuple[CountedModel, ...] = ()
    answered: tuple[AnsweredPictures, ...] = ()
    profiled: tuple[ProfiledModel, ...] = ()
    steps: tuple[StepMedians, ...] = ()
    refused: tuple[RefusedModel, ...] = ()
    notes: Sequence[str] = ()


class Target(Protocol):
    """A place where models run."""

    @property
    def name(self) -> str: ...

    def measure(self, plan: BenchmarkPlan, *, track: Track) -> TargetMeasurement:
        """Ask the whole plan; what does not run there is Refused, what cannot be reached is an error."""
        ...
