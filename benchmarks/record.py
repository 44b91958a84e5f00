"""The values of report.json: every figure that a page shows, and the raw rounds it was derived from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.plan import Setting
from dermpack.runtime import Kernels
from dermpack.scores.intervals import Interval
from dermpack.scores.summary import Figure

SCHEMA = 1
KIND = "benchmark"  # an evaluation's report.json has none


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
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
class Answer:
    """What a model said of all pictures; settings that gave the same bytes share one.

    `predicted` has a position in the data's classes for each picture; where the outputs could not be
    scored, `unscored` says why and the figures are missing.
    """

    model: str
    outputs_sha256: str
    dtype: str
    scale: float
    where: tuple[Where, ...]
    unscored: str | None = None
    predicted: tuple[int, ...] | None = None
    accuracy: Figure | None = None
    balanced_accuracy: Figure | None = None
    mean_confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
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
    recall: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A picture that got another label than from the first model."""

    picture: str
    truth: str
    first: str
    here: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """A model against the first one, on the same pictures, target and setting."""

    model: str
    first: str
    where: tuple[Where, ...]  # the settings in which both gave these very outputs
    accuracy: Change
    balanced_accuracy: Change
    only_first: int  # pictures that only the first model gets right
    only_here: int
    mcnemar_p: float
    top1_agreement: float
    mean_confidence_drift: float  # of the absolute changes of the top probability
    max_confidence_drift: float
    per_class: tuple[LabelChange, ...]
    flips: tuple[Flip, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The outputs of the same file in two places; `steps`: distance of integers → how many differ by it."""

    model: str
    first: Where
    where: tuple[Where, ...]
    outputs: int
    differing: int
    most: float  # in real values
    n: int
    other_labels: int
    steps: Mapping[str, int] | None = None
