"""The contract: all that an app developer must know about a .tflite, in the file model.json next to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from dermpack.contract.measurements import (
    Abstention,
    Accuracy,
    Calibration,
    OperatingPoint,
    Runtimes,
    Temperature,
)
from dermpack.errors import TableError
from dermpack.storage.codec import check, check_sha256, decode, encode
from dermpack.storage.files import format_json, read_json

CONTRACT_FILE = "model.json"
SCHEMA = 1
TASK = "image-classification"
MAX_SIDE = 4096
MAX_MODEL_BYTES = 512 << 20
MAX_LABELS = 10_000
MAX_LABEL_CHARACTERS = 200
AGAIN = "Convert the run again."


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
    policy: str  # how a picture becomes a square: a value of dermpack.imaging.Policy
    size_bytes: int  # of the input tensor

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            check(0 < getattr(self, name) <= MAX_SIDE, name, getattr(self, name), f"1 to {MAX_SIDE}")
        check(self.channels == 3, "channels", self.channels, "3")
        check(self.color == "RGB", "color", self.color, "RGB")
        check(self.layout == "NHWC", "layout", self.layout, "NHWC")
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
        self._check_known("thresholds", [point.label for point in self.thresholds])
        self._check_known("calibration.per_label", self.calibration.per_label if self.calibration else ())
        if self.output.activation is Activation.SIGMOID and len(self.labels) != 2:
            raise ValueError(f"labels must be a list of 2 labels for a sigmoid, not of {len(self.labels)}")

    def _check_known(self, name: str, labels: Iterable[str]) -> None:
        for label in labels:
            check(label in self.labels, f"each label of {name}", label, "one of the labels")


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
    return format_json(contract_record(contract))


def contract_record(contract: Contract) -> dict[str, Any]:
    """Return the JSON object of model.json."""
    record: dict[str, Any] = encode(contract)
    return record


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
