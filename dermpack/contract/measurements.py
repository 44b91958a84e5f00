"""What was measured of a model: records as they stand in its contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dermpack.contract.value_checks import check, check_sha256, check_share

RUNTIMES = ("tflite-runtime", "ai-edge-litert")  # the older one first
SAME = 1e-9  # of shares: what JSON may lose


@dataclass(frozen=True, slots=True, kw_only=True)
class TemperatureRecord:
    """Divide log-probabilities by `value` and normalise; a probability below `floor` is taken for it."""

    value: float
    floor: float
    n: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float

    def __post_init__(self) -> None:
        check(self.value > 0, "value", self.value, "above 0")
        check(0 < self.floor < 1, "floor", self.floor, "between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPointRecord:
    """A picture is called `label` where the label's probability is `threshold` or more."""

    label: str
    threshold: float
    wanted_sensitivity: float
    sensitivity: float
    specificity: float | None
    positives: int
    n: int

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)
        check_share("sensitivity", self.sensitivity)
        least = self.wanted_sensitivity
        wanted = f"at least the wanted sensitivity of {least:g}"
        check(self.sensitivity >= least - 1e-6, "sensitivity", self.sensitivity, wanted)
        check(0 <= self.positives <= self.n, "positives", self.positives, f"0 to {self.n}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveragePointRecord:
    """Of all pictures, `coverage` have `threshold` or more confidence; `accuracy` of these are right."""

    threshold: float
    coverage: float
    accuracy: float

    def __post_init__(self) -> None:
        for name in ("threshold", "coverage", "accuracy"):
            check_share(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class AbstentionRecord:
    """The model answers where confidence is `threshold` or more; the curve shows other choices."""

    threshold: float
    coverage: float
    accuracy: float
    n: int
    curve: tuple[CoveragePointRecord, ...] = ()

    def __post_init__(self) -> None:
        for name in ("threshold", "coverage", "accuracy"):
            check_share(name, getattr(self, name))
        for point in sorted(self.curve, key=lambda point: abs(point.coverage - self.coverage)):
            self._check_beside(point)  # the nearest first: it says most

    def _check_beside(self, point: CoveragePointRecord) -> None:
        """More answers come from a lower threshold; where as many are answered, the two are one choice."""
        where = f"the curve at coverage {point.coverage:.1%}"
        more = point.coverage - self.coverage
        if abs(more) <= SAME:
            for name in ("threshold", "accuracy"):
                mine, its = getattr(self, name), getattr(point, name)
                check(abs(mine - its) <= SAME, name, mine, f"{its:.4g}, as in {where}")
        else:
            apart = (self.threshold - point.threshold) * more
            side = "above" if more > 0 else "below"
            check(
                apart > 0,
                "threshold",
                self.threshold,
                f"{side} {point.threshold:.4g}, the threshold of {where}",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The pictures that the ranges of integers were measured on; sha256 is of their list."""

    method: str
    split: str
    n: int
    seed: int
    sha256: str
    per_label: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self.split != "test", "split", self.split, "another split than the test split")
        check(self.n > 0, "n", self.n, "above 0")
        check_sha256("sha256", self.sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeResult:
    """One interpreter that this very file was run on, and how that went."""

    runtime: str
    version: str
    delegate: str  # "none", "xnnpack" …
    works: bool
    result: str  # one line: what was compared and how far apart it was, or why it does not work

    def __post_init__(self) -> None:
        check(self.runtime in RUNTIMES, "runtime", self.runtime, f"one of {', '.join(RUNTIMES)}")
        check(bool(self.version), "version", self.version, "a version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtimes:
    """All that were tried; `oldest` is the oldest that works, "" where none does."""

    tried: tuple[RuntimeResult, ...]
    oldest: str

    def __post_init__(self) -> None:
        check(self.oldest == oldest_of(self.tried), "oldest", self.oldest, repr(oldest_of(self.tried)))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFigure:
    """One figure of the float model and of this file on the same pictures: file minus float."""

    metric: str
    of_float: float
    of_file: float
    difference: float
    ci95: tuple[float, float] | None  # paired; None where it cannot be had

    def __post_init__(self) -> None:
        check(
            self.ci95 is None or self.ci95[0] <= self.ci95[1],
            "ci95",
            self.ci95,
            "the lower bound, then the upper bound",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """What this file scores on one split; agreement is the share of pictures with the float model's label."""

    split: str
    n: int
    agreement: float
    figures: tuple[ComparedFigure, ...]

    def __post_init__(self) -> None:
        check(self.n > 0, "n", self.n, "above 0")
        check_share("agreement", self.agreement)


def runtimes_of(tried: tuple[RuntimeResult, ...]) -> Runtimes:
    """What a contract says of the interpreters that were tried."""
    return Runtimes(tried=tried, oldest=oldest_of(tried))


def oldest_of(tried: tuple[RuntimeResult, ...]) -> str:
    """The oldest on which all that was tried works: "tflite-runtime 2.14.0"."""
    broken = {_age(result) for result in tried if not result.works}
    working = sorted({_age(result) for result in tried} - broken)
    return f"{RUNTIMES[working[0][0]]} {working[0][2]}" if working else ""


def _age(result: RuntimeResult) -> tuple[int, tuple[int, ...], str]:
    numbers = tuple(int(part) for part in result.version.split(".") if part.isdecimal())
    return RUNTIMES.index(result.runtime), numbers, result.version
