"""Record what a target measured: raw rounds, counts and outputs, from which every other figure is derived."""

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
    """One kind of operator in one inference, by the delegate's name if a delegate runs it."""

    name: str
    count: int
    share: float  # of the time, or under emulation of the instructions
    is_delegated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelResult:
    """What is known of one model under one setting on a target."""

    model: str
    setting: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedModel(ModelResult):
    """The latencies of one model under one setting; the models take turns."""

    load_ms: float
    first_ms: float  # the first inference pages the weights in
    warm_up_rounds: int
    rounds_ms: tuple[float, ...]  # in chronological order
    turns: int = 1  # the rounds are this many equal parts, between which the other models ran
    peak_bytes: int | None  # of a process that ran this model alone
    delegated: str  # "all", "some of 66 operators", "none": what XNNPACK took


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPass:
    """The summary of one benchmark_model process, which prints neither its rounds nor a 90th percentile."""

    load_ms: float
    first_ms: float
    warm_up_rounds: int
    rounds: int
    mean_ms: float
    deviation_ms: float
    min_ms: float
    max_ms: float
    p5_ms: float | None  # None: older builds of the tool print no percentiles
    median_ms: float | None
    p95_ms: float | None
    footprint_bytes: int | None  # by how much the process grew; an approximation, not a peak


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarizedModel(ModelResult):
    """One model under one setting, timed by benchmark_model on a phone."""

    passes: tuple[ToolPass, ...]  # chronological; the n-th passes of all models ran next to each other
    delegated: str  # "all", "some of 66 operators", "none"; "" if the tool did not print it


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedModel(ModelResult):
    """The instructions of one model on an emulated processor, for which no time is ever reported."""

    instructions: tuple[int, ...]  # of each counted inference, in order
    delegated: str  # as in TimedModel


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AnsweredPictures(ModelResult):
    """The raw outputs for the scored pictures: [n, k] in the model's own type."""

    outputs: NDArray[np.generic]
    scale: float  # 0: not quantized
    zero_point: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedModel(ModelResult):
    """A model that does not run under a setting."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledModel(ModelResult):
    """How the time of one inference is divided among the operators."""

    operators: tuple[OperatorTime, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """The steps from a picture file to its label, each the median of the rounds."""

    rounds: int
    decode_ms: float  # read, decode, orient
    resize_ms: float  # crop and resize
    copy_ms: float  # fill the model's input
    invoke_ms: float
    whole_ms: float  # all of it, including the label


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMedians(StepTimes):
    """The steps of one model under one setting."""

    model: str
    setting: Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetMeasurement:
    """Everything that was measured on one target."""

    target: str  # host, ssh:pi@raspberry, adb:SERIAL, qemu:cortex-a72
    is_emulated: bool
    environment: Mapping[str, str]  # device, soc, cores, features, governor, temperature_before, …
    timed: tuple[TimedModel, ...] = ()
    summarized: tuple[SummarizedModel, ...] = ()
    counted: tuple[CountedModel, ...] = ()
    answered: tuple[AnsweredPictures, ...] = ()
    profiled: tuple[ProfiledModel, ...] = ()
    steps: tuple[StepMedians, ...] = ()
    refused: tuple[RefusedModel, ...] = ()
    notes: Sequence[str] = ()


class Target(Protocol):
    """A machine on which models run."""

    @property
    def name(self) -> str: ...

    def measure(self, plan: BenchmarkPlan, *, track: Track) -> TargetMeasurement:
        """Measure the whole plan; record models that do not run, and raise if the machine is unreachable."""
        ...
