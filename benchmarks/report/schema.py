"""The values of report.json: all figures of a report and its raw rounds, and functions to find one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from benchmarks.protocol.plan import Setting, Timing
from benchmarks.protocol.results import OperatorTime, StepTimes
from benchmarks.statistics.latency import Times
from dermpack.dataset.manifest import Split
from dermpack.metrics.intervals import Interval
from dermpack.metrics.summary import Figure

SCHEMA = 1
KIND = "benchmark"  # the report.json of an evaluation has no kind


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingOnTarget(Setting):
    """A target and how the model was run there."""

    target: str

    @classmethod
    def of(cls, target: str, setting: Setting) -> SettingOnTarget:
        return cls(target=target, **{field.name: getattr(setting, field.name) for field in fields(setting)})

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

    @property
    def median_ms(self) -> float | None:
        """The median, or the mean of a tool that reports no median."""
        if self.times is None:
            return None
        return self.times.mean_ms if self.times.median_ms is None else self.times.median_ms

    @property
    def cost(self) -> float | None:
        """Instructions under emulation, or milliseconds; None if the model was not measured here."""
        instructions = self.instructions_per_inference
        return self.median_ms if instructions is None else float(instructions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedUp:
    """A model against the first one, timed in turns under one setting."""

    model: str
    first: str
    where: SettingOnTarget
    times_as_fast: float  # the first one's median by this one's
    ci95: Interval | None
    is_told: bool  # whether the interval excludes 1


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

    @property
    def has_emulated(self) -> bool:
        return any(place.is_emulated for place in self.targets)

    def results_on(self, target: str) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.where.target == target)

    def find_result(self, model: str, where: SettingOnTarget) -> Result | None:
        results = (result for result in self.results if (result.model, result.where) == (model, where))
        return next(results, None)

    def find_baseline(self, where: SettingOnTarget) -> Result | None:
        """Return the result of the first model under the setting, if it ran there."""
        result = self.find_result(self.models[0].name, where)
        return result if result and result.cost is not None else None

    def find_speed_up(self, model: str, where: SettingOnTarget) -> SpeedUp | None:
        return next((pace for pace in self.paces if (pace.model, pace.where) == (model, where)), None)

    def find_answer(self, model: str, where: SettingOnTarget) -> ScoredAnswer | None:
        """Return a model's answer in a place; the number of threads does not change it."""
        wanted = replace(where, threads=0)
        for answer in self.answers:
            if answer.model == model and wanted in [replace(place, threads=0) for place in answer.where]:
                return answer
        return None

    def find_target(self, target: str) -> TargetFacts:
        return next(facts for facts in self.targets if facts.target == target)

    def measured_places(self, target: str) -> Counter[SettingOnTarget]:
        """Return the places with a known cost, in their order, and for how many models it is known."""
        return Counter(result.where for result in self.results_on(target) if result.cost is not None)

    def primary_places(self) -> list[SettingOnTarget]:
        """Return the place that represents each target: the first one in which most models ran."""
        counts = [self.measured_places(target.target) for target in self.targets]
        return [max(places, key=places.__getitem__) for places in counts if places]
