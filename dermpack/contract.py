"""The contract of a .tflite (model.json): what to feed, what comes out, and what was fitted and measured.

Runs and reports share the records of what was fitted and measured. Fitting is in dermpack.metrics; the checks
here apply to every record, fitted now or read from a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from dermpack.errors import TableError
from dermpack.storage.codec import check, check_sha256, check_share, decode, encode
from dermpack.storage.files import format_json, read_json

CONTRACT_FILE = "model.json"
SCHEMA = 1
TASK = "image-classification"
MAX_SIDE = 4096
MAX_MODEL_BYTES = 512 << 20
MAX_LABELS = 10_000
MAX_LABEL_CHARACTERS = 200
AGAIN = "Convert the run again."
RUNTIMES = ("tflite-runtime", "ai-edge-litert")  # the older one first
EQUAL = 1e-9  # shares that differ by less are equal: JSON may round the last digit
COLDEST, HOTTEST = 0.05, 20.0  # a validation split without mistakes has no finite optimal temperature
NEAR_BOUND = 1.2  # the slope of such a split vanishes before the search reaches the bound
LARGEST_FLOOR = 1 / 512  # half a step of an 8-bit output, which rounds small probabilities to 0


class TensorType(Enum):
    """The number types of inputs and outputs that an app can feed and read."""

    UINT8 = "uint8"
    INT8 = "int8"
    FLOAT32 = "float32"

    @property
    def size_bytes(self) -> int:
        return 4 if self is TensorType.FLOAT32 else 1


class Activation(Enum):
    """The function that turned the last layer into probabilities; a sigmoid is one output for two labels."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One picture: a pixel x is fed as (x - mean) / std, in 8 bits as that / scale + zero_point."""

    width: int
    height: int
    channels: int = 3
    dtype: TensorType
    scale: float | None  # None for float32
    zero_point: int | None
    mean: float = 127.5
    std: float = 127.5
    color: str = "RGB"
    layout: str = "NHWC"
    policy: str  # how a picture becomes a square: a value of preprocessing.Policy
    size_bytes: int  # of the input tensor

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            check(0 < getattr(self, name) <= MAX_SIDE, name, getattr(self, name), f"1 to {MAX_SIDE}")
        for name, only in {"channels": 3, "color": "RGB", "layout": "NHWC"}.items():
            check(getattr(self, name) == only, name, getattr(self, name), str(only))
        check(self.std > 0, "std", self.std, "above 0")
        check(bool(self.policy), "policy", self.policy, "a resize policy")
        _check_quantization(self.dtype, self.scale, self.zero_point)
        size_bytes = self.width * self.height * self.channels * self.dtype.size_bytes
        check(self.size_bytes == size_bytes, "size_bytes", self.size_bytes, str(size_bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One number per label: probability = scale · (number - zero_point), then the temperature is applied."""

    dtype: TensorType
    scale: float | None
    zero_point: int | None
    activation: Activation
    temperature: Temperature | None

    def __post_init__(self) -> None:
        _check_quantization(self.dtype, self.scale, self.zero_point)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationRecord:
    """How the trained network was converted to this file."""

    name: str  # int8, float16 …
    method: str  # ptq, qat, selective; "none" where nothing was measured
    float_layers: tuple[str, ...] = ()  # excluded by selective quantization
    versions: Mapping[str, str] = field(default_factory=dict)  # of the converter's libraries

    def __post_init__(self) -> None:
        check(bool(self.name), "name", self.name, "a recipe")
        check(bool(self.method), "method", self.method, "a method")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredOperator:
    """An operator that an interpreter must support to run the file."""

    name: str
    version: int

    def __post_init__(self) -> None:
        check(bool(self.name), "name", self.name, "an operator")
        check(self.version > 0, "version", self.version, "above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parents:
    """The sha256 of what the file was made from: training.json, its weights, manifest.csv."""

    run: str
    weights: str
    dataset: str

    def __post_init__(self) -> None:
        for name in ("run", "weights", "dataset"):
            check_sha256(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The content of model.json; nothing in it depends on the machine, the folder or the time."""

    schema: int = SCHEMA
    task: str = TASK
    name: str
    version: str
    labels: tuple[str, ...]
    input: Input
    output: Output
    thresholds: tuple[OperatingPoint, ...]
    abstention: Abstention | None
    recipe: QuantizationRecord
    calibration: Calibration | None
    operators: tuple[RequiredOperator, ...]
    runtimes: Runtimes
    accuracy: tuple[Accuracy, ...]
    size_bytes: int
    sha256: str  # of model.tflite
    parents: Parents
    license: str
    intended_use: str

    def __post_init__(self) -> None:
        check(self.schema == SCHEMA, "schema", self.schema, str(SCHEMA))
        check(self.task == TASK, "task", self.task, TASK)
        check_labels("labels", self.labels)
        is_possible = 0 < self.size_bytes <= MAX_MODEL_BYTES
        check(is_possible, "size_bytes", self.size_bytes, f"1 to {MAX_MODEL_BYTES}")
        check_sha256("sha256", self.sha256)
        # Labels are the link between the parts of a contract.
        per_label = self.calibration.per_label if self.calibration else {}
        used = [("thresholds", point.label) for point in self.thresholds]
        used += [("calibration.per_label", label) for label in per_label]
        for name, label in used:
            check(label in self.labels, f"each label of {name}", label, "one of the labels")
        if self.output.activation is Activation.SIGMOID and len(self.labels) != 2:
            raise ValueError(f"labels must be a list of 2 labels for a sigmoid, not of {len(self.labels)}")


def read_contract(path: Path) -> Contract:
    """Return the contract in a file after checking all of it, or raise TableError."""
    return parse_contract(read_json(path), where=path)


def parse_contract(record: Mapping[str, Any], *, where: object) -> Contract:
    """Return the contract that a JSON object describes; the TableError names the invalid key."""
    # Checked first, because a contract of another schema would fail at its first unknown key.
    if record.get("schema") != SCHEMA:
        what = f"not a contract with schema {SCHEMA}"
        raise TableError(where, what, AGAIN, code="unsupported-schema")
    try:
        return decode(Contract, record)
    except ValueError as error:
        raise TableError(where, f"invalid contract ({error})", AGAIN, code="invalid-contract") from error


def format_contract(contract: Contract) -> str:
    """Return the text of model.json."""
    return format_json(encode(contract))


def check_labels(name: str, labels: Sequence[str]) -> None:
    """Check that labels can be the lines of a file inside the model: printable, unique, two at least."""
    if not 2 <= len(labels) <= MAX_LABELS:
        raise ValueError(f"{name} must be a list of 2 to {MAX_LABELS} labels, not of {len(labels)}")
    expected = f"a single printable line of at most {MAX_LABEL_CHARACTERS} characters"
    for label in labels:
        is_line = bool(label.strip()) and label.isprintable() and len(label) <= MAX_LABEL_CHARACTERS
        check(is_line, f"each of {name}", label[:80], expected)
    if len(set(labels)) < len(labels):
        raise ValueError(f"{name} must not contain a label twice")


def _check_quantization(dtype: TensorType, scale: float | None, zero_point: int | None) -> None:
    """Check that scale and zero point fit the type: neither for float32, both for 8 bits."""
    if dtype is TensorType.FLOAT32:
        check(scale is None and zero_point is None, "scale", scale, "null for float32")
        return
    lowest = 0 if dtype is TensorType.UINT8 else -128
    check(scale is not None and scale > 0, "scale", scale, "a number above 0")
    is_in_range = zero_point is not None and lowest <= zero_point <= lowest + 255
    check(is_in_range, "zero_point", zero_point, f"{lowest} to {lowest + 255}")


# --- What was fitted and measured ---


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
