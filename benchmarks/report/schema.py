"""The values of report.json: all figures of a report and its raw rounds, and functions to find one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.protocol.plan import Setting, Timing
from benchmarks.protocol.results import OperatorTime, ToolPass
from benchmarks.statistics.latency import Drift
from dermpack.dataset.manifest import Split
from dermpack.inference import Kernels
from dermpack.metrics.intervals import Interval
from dermpack.metrics.summary import Figure

SCHEMA = 1
KIND = "benchmark"  # the report.json of an evaluation has no kind


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
    """The outputs of a model for all pictures; settings with the same bytes share one answer.

    `predicted` is an index into the data's labels for each picture. If the outputs could not be scored,
    `unscored` is the reason and the figures are missing.
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
    """The change of one label's recall."""

    label: str
    n: int
    recall: FigurePair


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFlip:
    """A picture with another label than from the first model."""

    picture: str
    truth: str
    first: str
    here: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyDrop:
    """A model against the first one, on the same pictures, target and setting."""

    model: str
    first: str
    where: tuple[SettingOnTarget, ...]  # the settings in which both gave exactly these outputs
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
    most: float | None  # in real values; None if an output is not a number
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
    """The pictures of the benchmark; `truth` and `group` have one number per picture."""

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
    """A target and its properties."""

    target: str
    is_emulated: bool
    environment: Mapping[str, str]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The times of one model under one setting; what a tool does not report is missing."""

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
    turns: int | None = None  # equal parts of the rounds, between which the other models ran
    rounds_ms: tuple[float, ...] | None = None  # in chronological order
    passes: tuple[ToolPass, ...] | None = None  # of a tool that does not report its rounds


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """The median of each step from a picture file to its label."""

    rounds: int
    decode_ms: float
    resize_ms: float
    copy_ms: float
    invoke_ms: float
    whole_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One model under one setting on one target; in JSON the times are merged into its keys."""

    model: str
    where: SettingOnTarget
    refused: str | None = None
    delegated: str | None = None  # what XNNPACK runs: "all", "64 of 67 operators", "none"
    times: Times | None = None  # None for an emulated processor
    steps: StepTimes | None = None  # None for an emulated processor
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
    is_told: bool  # whether the difference is significant


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


def is_measured(result: Result) -> bool:
    """Return whether the cost is known: a median, or a number of instructions."""
    return result.instructions_per_inference is not None or median_ms(result) is not None


def median_ms(result: Result | None) -> float | None:
    """Return the median, or the mean of a tool that reports no median."""
    if result is None or result.times is None:
        return None
    return result.times.mean_ms if result.times.median_ms is None else result.times.median_ms


def cost(result: Result) -> float:
    """Return milliseconds, or instructions under emulation."""
    instructions = result.instructions_per_inference
    return float(instructions) if instructions is not None else median_ms(result) or 0.0


def results_on(record: Record, target: str) -> tuple[Result, ...]:
    """Return the results of one target."""
    return tuple(result for result in record.results if result.where.target == target)


def find_result(record: Record, model: str, where: SettingOnTarget) -> Result | None:
    """Return the result of a model in a place, if there is one."""
    results = (result for result in record.results if result.model == model and result.where == where)
    return next(results, None)


def measured_settings(record: Record, target: str) -> list[Setting]:
    """Return the settings with a known cost, in their order."""
    measured = (result for result in results_on(record, target) if is_measured(result))
    return list(dict.fromkeys(result.where.setting for result in measured))


def place_on(target: str, setting: Setting) -> SettingOnTarget:
    """Return the place of a setting on a target."""
    return SettingOnTarget(
        target=target, runtime=setting.runtime, kernels=setting.kernels, threads=setting.threads
    )


def primary_places(record: Record) -> list[SettingOnTarget]:
    """Return the setting that represents each target: the first one under which most models ran."""
    places = []
    for target in record.targets:
        counts = Counter(result.where for result in results_on(record, target.target) if is_measured(result))
        if counts:
            places.append(max(counts, key=lambda where: counts[where]))
    return places


def find_baseline(record: Record, where: SettingOnTarget) -> Result | None:
    """Return the result of the first model under the setting, if it ran there."""
    result = find_result(record, record.models[0].name, where)
    return result if result and is_measured(result) else None


def find_answer(record: Record, model: str, where: SettingOnTarget) -> ScoredAnswer | None:
    """Return a model's answer in a place; the number of threads does not change it."""
    wanted = (where.target, where.runtime, where.kernels)
    for answer in record.answers:
        places = ((place.target, place.runtime, place.kernels) for place in answer.where)
        if answer.model == model and wanted in places:
            return answer
    return None


def find_target(record: Record, target: str) -> TargetFacts:
    """Return the facts of a target."""
    return next(facts for facts in record.targets if facts.target == target)
