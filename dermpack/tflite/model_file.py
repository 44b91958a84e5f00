"""Define the records of a .tflite file: its tensors, operators and metadata, and how an app feeds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from math import prod

BITS = {  # of an element, by type; strings and handles have no fixed size
    **{"float64": 64, "float32": 32, "float16": 16, "bfloat16": 16, "float8_e4m3fn": 8, "float8_e5m2": 8},
    **{"int64": 64, "int32": 32, "int16": 16, "int8": 8, "int4": 4, "int2": 2, "bool": 8},
    **{"uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "uint4": 4, "complex64": 64, "complex128": 128},
}
FLOATS = frozenset(("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"))
INPUT_NAME, OUTPUT_NAME = "image", "probability"  # in the metadata of our files
QUANTIZED_TYPES = frozenset(("int8", "uint8", "int16", "int4", "float16", "bfloat16"))
OWN_AUTHOR = "dermpack"  # in the metadata of the files that dermpack writes
METADATA_KIND, UNUSED_KIND = "metadata", "unused"
LABELS_FILE, CALIBRATION_FILE = "labels.txt", "score_calibration.txt"
STEP_ERROR = 1e-4  # of a scale, relative
ZERO_POINT_ERROR = 0.52  # a zero point is a whole number: 127 or 128 for the middle, 127.5
LOWEST = {"uint8": 0, "int8": -128}  # the number of a black pixel in an input that takes raw bytes
USUAL_PIXELS = ((127.5, 127.5), (0.0, 255.0), (0.0, 1.0))  # mean and std: -1..1, 0..1, 0..255


class FileKind(Enum):
    """What a conversion of a file can start from; the value describes it."""

    FLOAT = "a float file: dermpack convert can quantize it"
    QUANTIZED = "a quantized file: dermpack convert keeps it as it is"
    OWN = "made by dermpack: convert its run or its original again to change it"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor. Real value = scale · (number - zero point); without scales, the number itself."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # as in numpy: int8
    scales: tuple[float, ...] = ()  # none, one, or one per channel
    zero_points: tuple[int, ...] = ()
    is_dynamic: bool = False  # whether a dimension is known only at run time
    constant_bytes: int = 0  # stored in the file; 0 for a tensor that is computed

    @property
    def is_per_channel(self) -> bool:
        """Whether each channel has its own scale."""
        return len(self.scales) > 1

    @property
    def is_float(self) -> bool:
        """Whether the type is a floating-point type."""
        return self.dtype in FLOATS

    @property
    def is_picture(self) -> bool:
        """Whether the shape is that of RGB pictures."""
        return len(self.shape) == 4 and self.shape[-1] == 3

    @property
    def limits(self) -> tuple[float, float] | None:
        """The lowest and the highest value that a quantized tensor can have; None for other tensors."""
        if self.dtype not in ("int8", "uint8", "int16") or len(self.scales) != 1:
            return None
        bits, zero_point = BITS[self.dtype], self.zero_points[0] if self.zero_points else 0
        least = 0 if self.dtype == "uint8" else -(1 << bits - 1)
        return (least - zero_point) * self.scales[0], (least + (1 << bits) - 1 - zero_point) * self.scales[0]

    @property
    def size_bytes(self) -> int:
        """The bytes that an app copies in or out: (1, 224, 224, 3) of uint8 → 150528."""
        return (prod(self.shape) * BITS.get(self.dtype, 0) + 7) // 8

    @property
    def parameters(self) -> int:
        """How many numbers the file stores for it."""
        bits = BITS.get(self.dtype)
        return self.constant_bytes * 8 // bits if bits else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorInfo:
    """One kind of operator. An older interpreter may lack this version of it."""

    name: str
    version: int
    custom: bool
    count: int  # how many times the graph contains it

    @property
    def is_flex(self) -> bool:
        """Whether it needs the kernels of full TensorFlow."""
        return self.custom and self.name.startswith("Flex")


class Transformation(IntEnum):
    """What is applied to a score before its sigmoid; the value is the number in the file."""

    IDENTITY = 0
    LOG = 1
    INVERSE_LOGISTIC = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Sigmoid:
    """score → scale / (1 + exp(-(slope · g(score) + offset)))."""

    scale: float
    slope: float
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreCalibration:
    """A sigmoid for each label, and the transformation g before it."""

    transformation: Transformation
    sigmoids: tuple[Sigmoid, ...]
    default_score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The metadata of a classifier; pixel x becomes (x - mean) / std before it is quantized."""

    name: str
    description: str = ""
    version: str = ""
    author: str = ""
    licence: str = ""
    labels: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()  # one number, or one per channel; empty if the file has none
    std: tuple[float, ...] = ()
    lowest: tuple[float, ...] = ()  # of the normalised pixels
    highest: tuple[float, ...] = ()
    score_threshold: float | None = None
    calibration: ScoreCalibration | None = None
    files: tuple[str, ...] = ()  # names of associated files; set by reading, ignored by writing
    min_parser_version: str = ""  # likewise


def temperature_calibration(labels: int, temperature: float) -> ScoreCalibration:
    """Return the sigmoids that apply a temperature: exact for two labels, and order-preserving for more."""
    sigmoid = Sigmoid(scale=1.0, slope=1 / temperature, offset=0.0)
    return ScoreCalibration(transformation=Transformation.INVERSE_LOGISTIC, sigmoids=(sigmoid,) * labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteShare:
    """How many bytes of the file are of one kind: a type of constants, metadata, unused."""

    kind: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSignature:
    """The names of inputs and outputs, which do not depend on the order of the tensors."""

    key: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFile:
    """Everything but the numbers; inputs and outputs are those of the first subgraph."""

    size_bytes: int
    description: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: tuple[OperatorInfo, ...]
    tensors: tuple[TensorInfo, ...]  # of all subgraphs
    subgraphs: int
    min_runtime_version: str  # empty if the file has none
    metadata: Metadata | None
    shares: tuple[ByteShare, ...]  # sorted by kind
    signatures: tuple[ModelSignature, ...] = ()  # of the first subgraph
    output_operator: str = ""  # that computes the first output: SOFTMAX, FULLY_CONNECTED …
    # What the last softmax reads; if that is a sum with a mean, the mean comes before it.
    logits: tuple[TensorInfo, ...] = ()

    @property
    def kind(self) -> FileKind:
        """What a conversion of the file can start from."""
        if self.metadata is not None and self.metadata.author == OWN_AUTHOR:
            return FileKind.OWN
        return FileKind.QUANTIZED if self.is_quantized else FileKind.FLOAT

    @property
    def is_quantized(self) -> bool:
        """Whether a tensor has fewer bits than a float32."""
        return any(tensor.scales or tensor.dtype in QUANTIZED_TYPES for tensor in self.tensors)

    @property
    def parameters(self) -> int:
        """How many numbers the file stores: weights, biases, and some shapes."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def computed(self) -> tuple[TensorInfo, ...]:
        """The tensors that are not stored: inputs, outputs and everything between them."""
        return tuple(tensor for tensor in self.tensors if not tensor.constant_bytes)

    def dtypes(self) -> dict[str, int]:
        """Return how many tensors have each type."""
        counts = Counter(tensor.dtype for tensor in self.tensors)
        return dict(sorted(counts.items()))


def takes_raw_bytes(tensor: TensorInfo, metadata: Metadata | None = None) -> bool:
    """Return whether the numbers of an 8-bit input are the pixels, for int8 less 128.

    That is so if quantizing (x - mean) / std gives x again: with scale 1/255 and zero point 0 for 0..1, or
    scale 1/127.5 around the middle for -1..1. Mean and std are the usual ones, or those of the metadata.
    """
    if tensor.dtype not in LOWEST or len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        return False
    (scale,), (zero_point,) = tensor.scales, tensor.zero_points
    pairs = list(USUAL_PIXELS)
    if metadata is not None and len(set(metadata.mean)) == len(set(metadata.std)) == 1:
        pairs.append((metadata.mean[0], metadata.std[0]))
    return any(
        abs(scale * std - 1) < STEP_ERROR
        and abs(zero_point - mean - LOWEST[tensor.dtype]) <= ZERO_POINT_ERROR
        for mean, std in pairs
    )


def describe_input(tensor: TensorInfo, metadata: Metadata | None) -> str:
    """Return what an app must copy into the input: "150528 bytes: the pixels as they are, …"."""
    is_planar = len(tensor.shape) == 4 and tensor.shape[1] == 3  # NCHW
    if not tensor.is_picture and not is_planar:
        return f"{tensor.size_bytes} bytes of {tensor.dtype}; not an RGB picture"
    if takes_raw_bytes(tensor, metadata):
        value = "the pixels as they are" if tensor.dtype == "uint8" else "each pixel less 128"
    elif tensor.dtype in LOWEST and tensor.scales:
        value = f"round({_real_value(metadata)} / {tensor.scales[0]:.6g}) + {tensor.zero_points[0]}"
    elif tensor.dtype in LOWEST:
        value = f"{tensor.dtype} without a scale in the file"
    else:
        value = _real_value(metadata)
    order = "row by row" if tensor.is_picture else "channel by channel"
    return f"{tensor.size_bytes} bytes: {value}, RGB, {order}"


def _real_value(metadata: Metadata | None) -> str:
    """Return the formula for the real value of pixel x."""
    if metadata is None or not metadata.mean or not metadata.std:
        return "a real value for pixel x that the file does not define (often x / 127.5 - 1)"
    if len(metadata.mean) == len(metadata.std) == 1:
        return f"(x - {metadata.mean[0]:g}) / {metadata.std[0]:g} of each pixel x"
    mean, std = ([f"{number:g}" for number in numbers] for numbers in (metadata.mean, metadata.std))
    return f"(x - [{', '.join(mean)}]) / [{', '.join(std)}] of each pixel x, by channel"
