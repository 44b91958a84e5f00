"""Turn pixels into a model's inputs, and its outputs into probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LOWEST, HIGHEST = -1.0, 1.0  # what our models take: pixel 0 and pixel 255
# Real values of pixel 0 and pixel 255 for which an 8-bit input is the pixel itself.
PIXEL_RANGES = ((LOWEST, HIGHEST), (0.0, 1.0), (0.0, 255.0))
RANGE_ERROR = 0.02  # of the range: a zero point of 127 or 128 stands for 127.5


class IoNumber(Enum):
    """The types of inputs and outputs that an app can feed and read."""

    FLOAT32 = "float32"
    UINT8 = "uint8"
    INT8 = "int8"

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input or output; a scale of 0 means that its numbers are what they are."""

    shape: tuple[int, ...]
    number: IoNumber
    scale: float
    zero_point: int

    @property
    def length(self) -> int:
        return int(np.prod(self.shape))


def tensor_from(described: dict[str, Any]) -> Tensor:
    """What the interpreter says of a tensor; ValueError where no app could use it."""
    shape = tuple(int(side) for side in described["shape"])
    return Tensor(
        shape=shape,
        number=IoNumber(described["dtype"]),
        scale=float(described["scale"]),
        zero_point=int(described["zero_point"]),
    )


def input_table(tensor: Tensor) -> NDArray[Any]:
    """What each of the 256 values of a pixel is fed as: float32 → -1 … 1, raw 8-bit → itself."""
    pixels = np.arange(256)
    real = LOWEST + (HIGHEST - LOWEST) * pixels / 255
    if tensor.number is IoNumber.FLOAT32:
        return real.astype(np.float32)
    limits = np.iinfo(tensor.number.dtype)
    if tensor.scale == 0 or _is_pixels(tensor, limits.min, limits.max):
        return (pixels + limits.min).astype(tensor.number.dtype)
    steps = np.rint(real / tensor.scale) + tensor.zero_point
    return np.asarray(np.clip(steps, limits.min, limits.max), dtype=tensor.number.dtype)


def dequantize(outputs: NDArray[Any], tensor: Tensor) -> Floats:
    """Real values of the outputs: 128 at scale 1/256 and zero point 0 → 0.5."""
    values = outputs.astype(np.float64)
    return values if tensor.scale == 0 else (values - tensor.zero_point) * tensor.scale


def soften(probabilities: Floats, temperature: float, *, floor: float = 0.0) -> Floats:
    """Divide log-probabilities by the temperature and normalise; what is below the floor is taken for it.

    A temperature of 1 without a floor changes no bit.
    """
    if temperature == 1.0 and floor == 0.0:
        return probabilities
    raised = np.maximum(probabilities, floor)
    powers = (raised / raised.max(axis=1, keepdims=True)) ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def two_sided(probabilities: Floats, labels: Sequence[str]) -> Floats:
    """A single output for two labels is the second one's probability."""
    if probabilities.shape[1] == 1 and len(labels) == 2:
        return np.concatenate([1 - probabilities, probabilities], axis=1)
    return probabilities


def _is_pixels(tensor: Tensor, lowest: int, highest: int) -> bool:
    ends = [(step - tensor.zero_point) * tensor.scale for step in (lowest, highest)]
    return any(
        max(abs(ends[0] - low), abs(ends[1] - high)) <= RANGE_ERROR * (high - low)
        for low, high in PIXEL_RANGES
    )
