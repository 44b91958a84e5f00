"""The values of report.json: every figure that a page shows, and the raw rounds it was derived from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.protocol.plan import Setting, Timing
from benchmarks.protocol.results import OperatorTime, ToolPass
from benchmarks.statistics.drift import Drift
from dermpack.dataset.manifest import Split
from dermpack.inference import Kernels
from dermpack.metrics.intervals import Interval
from dermpack.metrics.summary import Figure

SCHEMA = 1
KIND = "benchmark"  # an evaluation's report.json has none


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOnTarget:
    """A target and how the model was run there."""

    target: str
    runtime: str
    kernels: Kernels
    threads: int

    @property
    def setting(self) -> Setting:
        return Setting(runtime=self.runtime, kernels=self.kernels, threads=self.threads)

    def __str__(self) -> str:
        return f"{self.target}, {self.setting}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredAnswer:
    """What a model said of all pictures; settings that gave the same bytes share one.

    `predicted` has a position in the data's classes for each picture; where the outputs could not be
    scored, `unscored` says why and the figures are missing.
    """

    model: str
    outputs_sha256: str
    dtype: str
    scale: float
    where: tuple[SettingOnTarget, ...]
    unscored: str | None = None
    predicted: tuple[int, ...] | None = None
    accuracy: Figure | None = None
    balanced_accuracy: Figure | None = None
    mean_confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FigurePair:
    """A figure of the first model, the same figure here, and here minus first with its 95 % interval."""

    first: float
    here: float
    difference: float
    ci95: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChange:
    """What became of one label's recall."""

    label: str
    n: int
    recall: FigurePair


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFlip:
    """A picture that got another label than from the first model."""

    picture: str
    truth: str
    first: str
    here: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyDrop:
    """A model against the first one, on the same pictures, target and setting."""

    model: str
    first: str
    where: tuple[SettingOnTarget, ...]  # the settings in which both gave these very outputs
    accuracy: FigurePair
    balanced_accuracy: FigurePair
    only_first: int  # pictures that only the first model gets right
    only_here: int
    mcnemar_p: float
    top1_agreement: float
    mean_confidence_drift: float  # of the absolute changes of the top probability
    max_confidence_drift: float
    per_class: tuple[LabelChange, ...]
    flips: tuple[LabelFlip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAgreement:
    """The outputs of the same file in two places; `steps`: distance of integers → how many differ by it."""

    model: str
    first: SettingOnTarget
    where: tuple[SettingOnTarget, ...]
    outputs: int
    differing: int
    most: float | None  # in real values; None where an output is no number
    n: int
    other_labels: int
    steps: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Which file was measured."""

    name: str
    sha256: str
    size_bytes: int
    side_pixels: int  # of its input
    recipe: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredData:
    """Which pictures were answered; `truth` and `group` are numbers, one a picture."""

    sha256: str  # of the dataset's manifest
    source: str
    split: Split
    n: int
    groups: int
    labels: tuple[str, ...]
    pictures: tuple[str, ...]
    truth: tuple[int, ...]
    group: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """A target, and what is known of it."""

    target: str
    is_emulated: bool
    environment: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """One model under one setting; what a tool keeps to itself is missing."""

    load_ms: float
    first_ms: float
    warm_up_rounds: int
    rounds: int
    min_ms: float
    max_ms: float
    mean_ms: float
    deviation_ms: float
    p5_ms: float | None = None
    median_ms: float | None = None
    median_ci95_ms: Interval | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    drift: Drift | None = None
    peak_bytes: int | None = None
    turns: int | None = None  # with the other models: equal parts of the rounds
    rounds_ms: tuple[float, ...] | None = None  # in the order of the clock
    passes: tuple[ToolPass, ...] | None = None  # of a tool that keeps its rounds to itself


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """From a picture file to its label: the median of each step."""

    rounds: int
    decode_ms: float
    resize_ms: float
    copy_ms: float
    invoke_ms: float
    whole_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One model under one setting on one target; in JSON the times stand beside the other keys."""

    model: str
    where: SettingOnTarget
    refused: str | None = None
    delegated: str | None = None  # what XNNPACK took: "all", "64 of 67 operators", "none"
    times: Times | None = None  # never of an emulated processor
    steps: StepTimes | None = None  # likewise
    instructions_per_inference: int | None = None
    instructions: tuple[int, ...] | None = None
    operators: tuple[OperatorTime, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedUp:
    """A model against the first one, timed in turns under one setting."""

    model: str
    first: str
    where: SettingOnTarget
    times_as_fast: float  # the first one's median by this one's
    ci95: Interval | None
    is_told: bool  # whether a difference could be shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A whole report."""

    dermpack: str  # the version that wrote it
    seed: int  # of every interval
    timing: Timing
    models: tuple[ModelFacts, ...]
    data: ScoredData | None
    targets: tuple[TargetFacts, ...]
    results: tuple[Result, ...]
    answers: tuple[ScoredAnswer, ...]
    paces: tuple[SpeedUp, ...]
    drops: tuple[AccuracyDrop, ...]
    agreements: tuple[OutputAgreement, ...]
