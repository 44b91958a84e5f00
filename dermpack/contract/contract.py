"""All that an app developer must know of a .tflite: the sidecar beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from dermpack.contract.measurements import (
    AbstentionRecord,
    Accuracy,
    Calibration,
    OperatingPointRecord,
    Runtimes,
    TemperatureRecord,
)
from dermpack.contract.value_checks import check, check_labels, check_sha256

SCHEMA = 1
TASK = "image-classification"
MAX_SIDE = 4096
MAX_MODEL_BYTES = 512 << 20


class TensorType(Enum):
    """What an app can feed and read."""

    UINT8 = "uint8"
    INT8 = "int8"
    FLOAT32 = "float32"

    @property
    def size_bytes(self) -> int:
        return 4 if self is TensorType.FLOAT32 else 1


class Activation(Enum):
    """What made probabilities of the network's last numbers; a sigmoid is one output for two labels."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One picture. A pixel x means (x - mean) / std; 8 bits hold that / scale + zero_point, rounded."""

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
    policy: str  # how a picture becomes a square, by the name in dermpack.imaging.Policy
    size_bytes: int  # what an app hands over

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            check(0 < getattr(self, name) <= MAX_SIDE, name, getattr(self, name), f"1 to {MAX_SIDE}")
        check(self.channels == 3, "channels", self.channels, "3")
        check(self.color == "RGB", "color", self.color, "RGB")
        check(self.layout == "NHWC", "layout", self.layout, "NHWC")
        check(self.std > 0, "std", self.std, "above 0")
        check(bool(self.policy), "policy", self.policy, "a resize policy")
        _check_steps(self.dtype, self.scale, self.zero_point)
        size_bytes = self.width * self.height * self.channels * self.dtype.size_bytes
        check(self.size_bytes == size_bytes, "size_bytes", self.size_bytes, str(size_bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A number a label, in their order; probability = scale · (number - zero_point), then the temperature."""

    dtype: TensorType
    scale: float | None
    zero_point: int | None
    activation: Activation
    temperature: TemperatureRecord | None

    def __post_init__(self) -> None:
        _check_steps(self.dtype, self.scale, self.zero_point)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationRecord:
    """How the file was made of the trained network."""

    name: str  # int8, float16 …
    method: str  # ptq, qat, selective; "none" where nothing was measured
    float_layers: tuple[str, ...] = ()  # left alone by selective quantization
    versions: Mapping[str, str] = field(default_factory=dict)  # of the libraries that made it

    def __post_init__(self) -> None:
        check(bool(self.name), "name", self.name, "a recipe")
        check(bool(self.method), "method", self.method, "a method")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredOperator:
    """What an interpreter must know to run the file."""

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
    """model.json; nothing in it depends on the place or the hour."""

    schema: int = SCHEMA
    task: str = TASK
    name: str
    version: str
    labels: tuple[str, ...]
    input: Input
    output: Output
    thresholds: tuple[OperatingPointRecord, ...]
    abstention: AbstentionRecord | None
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
        check(
            0 < self.size_bytes <= MAX_MODEL_BYTES, "size_bytes", self.size_bytes, f"1 to {MAX_MODEL_BYTES}"
        )
        check_sha256("sha256", self.sha256)
        self._check_known("thresholds", [point.label for point in self.thresholds])
        self._check_known("calibration.per_label", self.calibration.per_label if self.calibration else ())
        two = self.output.activation is not Activation.SIGMOID or len(self.labels) == 2
        if not two:
            raise ValueError(f"labels must be a list of 2 labels for a sigmoid, not of {len(self.labels)}")

    def _check_known(self, name: str, labels: Mapping[str, int] | list[str] | tuple[()]) -> None:
        for label in labels:
            check(label in self.labels, f"each label of {name}", label, "one of the labels")


def _check_steps(dtype: TensorType, scale: float | None, zero_point: int | None) -> None:
    if dtype is TensorType.FLOAT32:
        check(scale is None and zero_point is None, "scale", scale, "null for float32")
        return
    lowest = 0 if dtype is TensorType.UINT8 else -128
    check(scale is not None and scale > 0, "scale", scale, "a number above 0")
    inside = zero_point is not None and lowest <= zero_point <= lowest + 255
    check(inside, "zero_point", zero_point, f"{lowest} to {lowest + 255}")
