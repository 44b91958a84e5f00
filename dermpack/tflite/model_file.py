"""What a .tflite says of itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import prod

from dermpack.tflite.metadata import Metadata

BITS = {  # an element, by type; text and handles have no fixed size
    **{"float64": 64, "float32": 32, "float16": 16, "bfloat16": 16, "float8_e4m3fn": 8, "float8_e5m2": 8},
    **{"int64": 64, "int32": 32, "int16": 16, "int8": 8, "int4": 4, "int2": 2, "bool": 8},
    **{"uint64": 64, "uint32": 32, "uint16": 16, "uint8": 8, "uint4": 4, "complex64": 64, "complex128": 128},
}
FLOATS = frozenset(("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"))
METADATA_KIND, UNUSED_KIND = "metadata", "unused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorInfo:
    """One tensor; real value = scale · (number - zero point), without scales the number itself."""

    name: str
    shape: tuple[int, ...]
    dtype: str  # as numpy names it: int8
    scales: tuple[float, ...] = ()  # none, one, or one a channel
    zero_points: tuple[int, ...] = ()
    axis: int = 0  # of the channels
    is_dynamic: bool = False  # a side is known only when it runs
    constant_bytes: int = 0  # stored in the file; 0 for what is computed

    @property
    def is_per_channel(self) -> bool:
        return len(self.scales) > 1

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    @property
    def size_bytes(self) -> int:
        """What an app has to hand over or receive: (1, 224, 224, 3) of uint8 → 150528."""
        return (prod(self.shape) * BITS.get(self.dtype, 0) + 7) // 8

    @property
    def parameters(self) -> int:
        """How many numbers are stored for it."""
        bits = BITS.get(self.dtype)
        return self.constant_bytes * 8 // bits if bits else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorInfo:
    """One kind of operator: an older interpreter may lack this version of it."""

    name: str
    version: int
    custom: bool
    count: int  # how often the graph has it

    @property
    def is_flex(self) -> bool:
        """Whether it needs all of TensorFlow on the phone."""
        return self.custom and self.name.startswith("Flex")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteShare:
    """How many bytes of the file hold one kind of thing: a type of constants, metadata, unused."""

    kind: str
    size_bytes: int


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
    min_runtime_version: str  # empty where the file does not say
    metadata: Metadata | None
    shares: tuple[ByteShare, ...]  # sorted by kind

    @property
    def parameters(self) -> int:
        """How many numbers are stored: weights, biases, and the odd shape."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def computed(self) -> tuple[TensorInfo, ...]:
        """What is not stored: inputs, outputs and everything between."""
        return tuple(tensor for tensor in self.tensors if not tensor.constant_bytes)

    def dtypes(self) -> dict[str, int]:
        """Type → how many tensors have it."""
        counted = Counter(tensor.dtype for tensor in self.tensors)
        return dict(sorted(counted.items()))
