"""Define what was fitted and measured: temperature, thresholds, calibration, runtimes, accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dermpack.storage.codec import check, check_sha256, check_share

RUNTIMES = ("tflite-runtime", "ai-edge-litert")  # the older one first
EQUAL = 1e-9  # shares that differ by less are equal: JSON may round the last digit
COLDEST, HOTTEST = 0.05, 20.0  # a validation split without mistakes has no finite optimal temperature
NEAR_BOUND = 1.2  # the slope of such a split vanishes before the search reaches the bound
LARGEST_FLOOR = 1 / 512  # half a step of an 8-bit output, which rounds small probabilities to 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """Calibration: raise probabilities to at least `floor`, divide their logarithms by `value`, normalise."""

    value: float
    floor: float
    n: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float

    def __post_init__(self) -> None:
        temperatures = f"a temperature of {COLDEST:g} to {HOTTEST:g}"
        check(COLDEST <= self.value <= HOTTEST, "value", self.value, temperatures)
        check(0 < self.floor <= LARGEST_FLOOR, "floor", self.floor, f"above 0 and at most {LARGEST_FLOOR:g}")

    @property
    def is_bound(self) -> bool:
        """Whether the optimum is at the end of the range that was searched, or beyond it."""
        return not COLDEST * NEAR_BOUND < self.value < HOTTEST / NEAR_BOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A picture is flagged with `label` if the probability of the label is at least `threshold`."""

    label: str
    threshold: float
    wanted_sensitivity: float
    sensitivity: float  # reached on the pictures that the threshold was fitted on
    specificity: float | None  # None if all of these pictures have the label
    positives: int
    n: int

    def __post_init__(self) -> None:
        check_share("threshold", self.threshold)
        check_share("sensitivity", self.sensitivity)
        least = self.wanted_sensitivity
        expected = f"at least the wanted sensitivity of {least:g}"
        check(self.sensitivity >= least - 1e-6, "sensitivity", self.sensitivity, expected)
        check(0 <= self.positives <= self.n, "positives", self.positives, f"0 to {self.n}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoveragePoint:
    """A share `coverage` of all pictures has a confidence of at least `threshold`; `accuracy` is theirs."""

    threshold: float
    coverage: float
    accuracy: float

    def __post_init__(self) -> None:
        for name in ("threshold", "coverage", "accuracy"):
            check_share(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Abstention:
    """The model answers if its confidence is at least `threshold`; the curve shows other choices."""

    threshold: float
    coverage: float
    accuracy: float
    n: int
    curve: tuple[CoveragePoint, ...] = ()

    def __post_init__(self) -> None:
        for name in ("threshold", "coverage", "accuracy"):
            check_share(name, getattr(self, name))
        # More coverage goes with a lower threshold, and equal coverage with equal figures. The nearest point
        # first: its contradiction is the easiest to understand.
        for point in sorted(self.curve, key=lambda point: abs(point.coverage - self.coverage)):
            where, more = f"the curve at coverage {point.coverage:.1%}", point.coverage - self.coverage
            if abs(more) > EQUAL:
                expected = (
                    f"{'above' if more > 0 else 'below'} {point.threshold:.4g}, the threshold of {where}"
                )
                check((self.threshold - point.threshold) * more > 0, "threshold", self.threshold, expected)
                continue
            for name in ("threshold", "accuracy"):
                own, other = getattr(self, name), getattr(point, name)
                check(abs(own - other) <= EQUAL, name, own, f"{other:.4g}, as in {where}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The pictures on which the ranges of integers were measured; `sha256` is that of their list."""

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
    """The result of running this file on one interpreter."""

    runtime: str
    version: str
    delegate: str  # "none", "xnnpack" …
    works: bool
    result: str  # one line: what was compared and the largest difference, or why it does not work

    def __post_init__(self) -> None:
        check(self.runtime in RUNTIMES, "runtime", self.runtime, f"one of {', '.join(RUNTIMES)}")
        check(bool(self.version), "version", self.version, "a version")


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtimes:
    """All interpreters that were tried; `oldest` is the oldest that works, or "" if none does."""

    tried: tuple[RuntimeResult, ...]
    oldest: str

    def __post_init__(self) -> None:
        oldest = _find_oldest(self.tried)
        check(self.oldest == oldest, "oldest", self.oldest, repr(oldest))


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedFigure:
    """One figure of the float model and of this file on the same pictures: file minus float."""

    metric: str
    of_float: float
    of_file: float
    difference: float
    ci95: tuple[float, float] | None  # paired; None if there are too few groups

    def __post_init__(self) -> None:
        is_ordered = self.ci95 is None or self.ci95[0] <= self.ci95[1]
        check(is_ordered, "ci95", self.ci95, "the lower bound, then the upper bound")


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """The figures of this file on one split; `agreement` is its share of labels equal to the float model."""

    split: str
    n: int
    agreement: float
    figures: tuple[ComparedFigure, ...]

    def __post_init__(self) -> None:
        check(self.n > 0, "n", self.n, "above 0")
        check_share("agreement", self.agreement)


def summarize_runtimes(tried: tuple[RuntimeResult, ...]) -> Runtimes:
    """Return the record of all interpreters that were tried, with the oldest that works."""
    return Runtimes(tried=tried, oldest=_find_oldest(tried))


def _find_oldest(tried: tuple[RuntimeResult, ...]) -> str:
    """Return the oldest interpreter on which everything works: "tflite-runtime 2.14.0"."""

    def age(result: RuntimeResult) -> tuple[int, tuple[int, ...], str]:
        numbers = tuple(int(part) for part in result.version.split(".") if part.isdecimal())
        return RUNTIMES.index(result.runtime), numbers, result.version

    # An interpreter is tried once per delegate: one failure excludes its version.
    broken = {age(result) for result in tried if not result.works}
    working = sorted({age(result) for result in tried} - broken)
    return f"{RUNTIMES[working[0][0]]} {working[0][2]}" if working else ""
