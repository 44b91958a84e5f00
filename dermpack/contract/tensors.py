"""Define the inputs and outputs of a file: what an app feeds to each tensor, and what each one means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Literal

from dermpack.contract.measured import Temperature
from dermpack.storage.codec import check, check_share

MAX_SIDE = 4096
MAX_DIMENSIONS = 8
MAX_NAME_CHARACTERS = 200
PIXEL_MIDDLE = (127.5, 127.5, 127.5)  # mean and std of our own networks, which take -1 to 1
# A float map has no steps of its own: its mean equals the logit to the last digits of a float32.
FLOAT_STEP = 1e-3


class TensorType(Enum):
    """The number types of inputs and outputs that an app can feed and read."""

    UINT8 = "uint8"
    INT8 = "int8"
    FLOAT32 = "float32"

    @property
    def size_bytes(self) -> int:
        return 4 if self is TensorType.FLOAT32 else 1


class Activation(Enum):
    """The function that turns the last layer into probabilities; a sigmoid is one output for two labels."""

    SOFTMAX = "softmax"
    SIGMOID = "sigmoid"


class ColorOrder(Enum):
    """The order of the channels of a pixel."""

    RGB = "RGB"
    BGR = "BGR"


class PictureLayout(Enum):
    """The order of the dimensions: N pictures, height, width, channels."""

    NHWC = "NHWC"
    NCHW = "NCHW"


# --- Inputs ---


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureInput:
    """One picture: a pixel x is fed as (x - mean) / std, in 8 bits as that / scale + zero_point."""

    role: Literal["picture"] = "picture"
    shape: tuple[int, ...]
    dtype: TensorType
    scale: float | None  # None for float32
    zero_point: int | None
    size_bytes: int  # of the input tensor
    width: int
    height: int
    channels: int = 3
    # One number for each channel, in the order of `color`.
    mean: tuple[float, float, float] = PIXEL_MIDDLE
    std: tuple[float, float, float] = PIXEL_MIDDLE
    color: ColorOrder = ColorOrder.RGB
    layout: PictureLayout = PictureLayout.NHWC
    policy: str  # how a picture becomes a square: a value of preprocessing.Policy

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            check(0 < getattr(self, name) <= MAX_SIDE, name, getattr(self, name), f"1 to {MAX_SIDE}")
        check(self.channels == 3, "channels", self.channels, "3")
        check(min(self.std) > 0, "std", self.std, "above 0")
        check(bool(self.policy), "policy", self.policy, "a resize policy")
        sides = (self.height, self.width)
        shape = (1, *sides, 3) if self.layout is PictureLayout.NHWC else (1, 3, *sides)
        check(self.shape == shape, "shape", list(self.shape), str(list(shape)))
        check_quantization(self.dtype, self.scale, self.zero_point)
        size_bytes = prod(shape) * self.dtype.size_bytes
        check(self.size_bytes == size_bytes, "size_bytes", self.size_bytes, str(size_bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericColumn:
    """Two slots: (value - mean) / std and 0.0, or for a missing value 0.0 and 1.0."""

    kind: Literal["numeric"] = "numeric"
    name: str
    mean: float
    std: float
    minimum: float  # a value outside of the range is an error, not an outlier
    maximum: float

    def __post_init__(self) -> None:
        _check_name("name", self.name)
        check(self.std > 0, "std", self.std, "above 0")
        check(self.minimum < self.maximum, "minimum", self.minimum, f"below maximum ({self.maximum:g})")

    @property
    def slots(self) -> int:
        return 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoricalColumn:
    """One slot for each category and one, the last, for an unknown or missing value; a single one is 1.0."""

    kind: Literal["categorical"] = "categorical"
    name: str
    categories: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_name("name", self.name)
        for category in self.categories:
            _check_name("categories", category)
        is_list = bool(self.categories) and len(set(self.categories)) == len(self.categories)
        check(is_list, "categories", list(self.categories)[:8], "a list of different texts")

    @property
    def slots(self) -> int:
        return len(self.categories) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataInput:
    """What is known besides the picture: the slots of all columns, one after the other."""

    role: Literal["metadata"] = "metadata"
    shape: tuple[int, ...]
    dtype: TensorType
    scale: float | None
    zero_point: int | None
    columns: tuple[NumericColumn | CategoricalColumn, ...]

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        is_list = bool(names) and len(set(names)) == len(names)
        check(is_list, "columns", names[:8], "a list of columns with different names")
        shape = (1, sum(column.slots for column in self.columns))
        check(self.shape == shape, "shape", list(self.shape), str(list(shape)))
        check_quantization(self.dtype, self.scale, self.zero_point)


# --- Outputs ---


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilitiesOutput:
    """One number per label: probability = scale · (number - zero_point), then the temperature is applied.

    If the activation is not `applied` in the file, the app applies it to the dequantized numbers.
    """

    role: Literal["probabilities"] = "probabilities"
    shape: tuple[int, ...]
    dtype: TensorType
    scale: float | None
    zero_point: int | None
    activation: Activation
    applied: bool = True
    temperature: Temperature | None

    def __post_init__(self) -> None:
        _check_output(self)

    @property
    def numbers(self) -> int:
        """How many numbers the tensor has: one per label, or a single one for a sigmoid."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceOutput:
    """Where the answer comes from: the mean of a label's map over all positions is the label's logit.

    [1, height, width, labels]. With metadata, the label's metadata evidence is added to the mean.
    """

    role: Literal["evidence"] = "evidence"
    shape: tuple[int, ...]
    dtype: TensorType
    scale: float | None
    zero_point: int | None
    tolerance_steps: float  # the greatest difference between that sum and the logit, in steps of the map

    def __post_init__(self) -> None:
        _check_output(self)
        check(len(self.shape) == 4, "shape", list(self.shape), "4 dimensions")
        check(self.tolerance_steps >= 0, "tolerance_steps", self.tolerance_steps, "0 or more")

    @property
    def step(self) -> float:
        """The size of a step of the map, in logits."""
        return self.scale if self.scale is not None else FLOAT_STEP


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataEvidenceOutput:
    """The share of the metadata in each logit: [1, labels]."""

    role: Literal["metadata_evidence"] = "metadata_evidence"
    shape: tuple[int, ...]
    dtype: TensorType
    scale: float | None
    zero_point: int | None

    def __post_init__(self) -> None:
        _check_output(self)


class FamiliarityKind(Enum):
    """How the distance to the training pictures is computed."""

    MAHALANOBIS = "mahalanobis"  # of the pooled features


@dataclass(frozen=True, slots=True, kw_only=True)
class FamiliarityOutput:
    """A distance: a picture above the threshold is unlike the pictures that the model was trained on."""

    role: Literal["familiarity"] = "familiarity"
    shape: tuple[int, ...]
    dtype: TensorType
    scale: float | None
    zero_point: int | None
    kind: FamiliarityKind
    threshold: float  # of the dequantized number
    accepted: float  # share of the pictures of `split` at or below the threshold
    n: int
    split: str

    def __post_init__(self) -> None:
        _check_output(self)
        check(self.shape == (1, 1), "shape", list(self.shape), "[1, 1]")
        check_share("accepted", self.accepted)
        check(self.n > 0, "n", self.n, "above 0")


InputRecord = PictureInput | MetadataInput
OutputRecord = ProbabilitiesOutput | EvidenceOutput | MetadataEvidenceOutput | FamiliarityOutput


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityGates:
    """Limits of the measures of a prepared picture; `accepted` of the pictures of `split` pass."""

    least_sharpness: int  # mean squared Laplacian
    least_brightness: int  # the luma that 95 % of the pixels do not exceed
    most_white_percent: int  # of the pixels
    accepted: float
    n: int
    split: str

    def __post_init__(self) -> None:
        check(self.least_sharpness >= 0, "least_sharpness", self.least_sharpness, "0 or more")
        check(0 <= self.least_brightness <= 255, "least_brightness", self.least_brightness, "0 to 255")
        check(0 <= self.most_white_percent <= 100, "most_white_percent", self.most_white_percent, "0 to 100")
        check_share("accepted", self.accepted)
        check(self.n > 0, "n", self.n, "above 0")


# --- Checks ---


def check_labels_of_outputs(outputs: Mapping[str, OutputRecord], labels: int) -> None:
    """Check that each output has as many numbers as there are labels, where it has one per label."""
    for name, output in outputs.items():
        if isinstance(output, ProbabilitiesOutput):
            expected = 1 if output.activation is Activation.SIGMOID else labels
            check(output.numbers == expected, f"{name}.shape", list(output.shape), f"{expected} numbers")
        elif isinstance(output, EvidenceOutput | MetadataEvidenceOutput):
            is_fitting = output.shape[-1] == labels
            check(is_fitting, f"{name}.shape", list(output.shape), f"{labels} labels as the last dimension")


def check_names(kind: str, names: Mapping[str, object]) -> None:
    """Check the names of tensors."""
    for name in names:
        _check_name(kind, name)


def _check_output(output: OutputRecord) -> None:
    shape = output.shape
    is_shape = 0 < len(shape) <= MAX_DIMENSIONS and shape[0] == 1 and min(shape) > 0
    check(is_shape, "shape", list(shape), "positive dimensions, the first of them 1")
    check_quantization(output.dtype, output.scale, output.zero_point)


def _check_name(field: str, name: str) -> None:
    is_name = bool(name.strip()) and name.isprintable() and len(name) <= MAX_NAME_CHARACTERS
    check(is_name, field, name[:80], f"a printable line of at most {MAX_NAME_CHARACTERS} characters")


def check_quantization(dtype: TensorType, scale: float | None, zero_point: int | None) -> None:
    """Check that scale and zero point fit the type: neither for float32, both for 8 bits."""
    if dtype is TensorType.FLOAT32:
        check(scale is None and zero_point is None, "scale", scale, "null for float32")
        return
    lowest = 0 if dtype is TensorType.UINT8 else -128
    check(scale is not None and scale > 0, "scale", scale, "a number above 0")
    is_in_range = zero_point is not None and lowest <= zero_point <= lowest + 255
    check(is_in_range, "zero_point", zero_point, f"{lowest} to {lowest + 255}")
