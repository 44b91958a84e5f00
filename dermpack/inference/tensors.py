"""Convert pixels to the numbers of a model's input, and its outputs to probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LOWEST, HIGHEST = -1.0, 1.0  # the inputs of our models for the pixels 0 and 255
# Real values of the pixels 0 and 255 for which the 8-bit input equals the pixel.
PIXEL_RANGES = ((LOWEST, HIGHEST), (0.0, 1.0), (0.0, 255.0))
RANGE_ERROR = 0.02  # of the range, since the zero point for 127.5 is rounded to 127 or 128


class IoNumber(Enum):
    """The number types of inputs and outputs that an app can feed and read."""

    FLOAT32 = "float32"
    UINT8 = "uint8"
    INT8 = "int8"

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input or output; a scale of 0 means that its numbers are not quantized."""

    shape: tuple[int, ...]
    number: IoNumber
    scale: float
    zero_point: int

    @property
    def length(self) -> int:
        return int(np.prod(self.shape))


def parse_tensor(described: dict[str, Any]) -> Tensor:
    """Return the tensor that the interpreter describes; raise ValueError for a type that no app can use."""
    return Tensor(
        shape=tuple(int(side) for side in described["shape"]),
        number=IoNumber(described["dtype"]),
        scale=float(described["scale"]),
        zero_point=int(described["zero_point"]),
    )


def build_input_table(tensor: Tensor) -> NDArray[Any]:
    """Return the input number for each of the 256 values of a pixel: float32 → -1 … 1, 8-bit → the pixel.

    An 8-bit input whose scale and zero point define another range gets quantized values of -1 … 1.
    """
    pixels = np.arange(256)
    real = LOWEST + (HIGHEST - LOWEST) * pixels / 255
    if tensor.number is IoNumber.FLOAT32:
        return real.astype(np.float32)
    # Converters scale 8-bit inputs so that most of them are the pixels themselves, for int8 minus 128.
    limits = np.iinfo(tensor.number.dtype)
    ends = [(number - tensor.zero_point) * tensor.scale for number in (limits.min, limits.max)]
    takes_pixels = any(
        max(abs(ends[0] - low), abs(ends[1] - high)) <= RANGE_ERROR * (high - low)
        for low, high in PIXEL_RANGES
    )
    if tensor.scale == 0 or takes_pixels:
        return (pixels + limits.min).astype(tensor.number.dtype)
    # Any other 8-bit input is quantized with its scale and zero point.
    steps = np.rint(real / tensor.scale) + tensor.zero_point
    return np.asarray(np.clip(steps, limits.min, limits.max), dtype=tensor.number.dtype)


def dequantize(outputs: NDArray[Any], tensor: Tensor) -> Floats:
    """Return the real values of outputs: 128 at scale 1/256 and zero point 0 → 0.5."""
    values = outputs.astype(np.float64)
    return values if tensor.scale == 0 else (values - tensor.zero_point) * tensor.scale


def soften(probabilities: Floats, temperature: float, *, floor: float = 0.0) -> Floats:
    """Raise probabilities to the floor, divide their logarithms by the temperature, and normalise."""
    if temperature == 1.0 and floor == 0.0:
        return probabilities  # not a bit may change without a temperature
    # p ** (1 / T) is exp(log(p) / T). Dividing by the largest first keeps the powers from underflowing.
    raised = np.maximum(probabilities, floor)
    powers = (raised / raised.max(axis=1, keepdims=True)) ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def expand_single_output(probabilities: Floats, labels: Sequence[str]) -> Floats:
    """Return both probabilities of a sigmoid: its single output is the probability of the second label."""
    if probabilities.shape[1] == 1 and len(labels) == 2:
        return np.concatenate([1 - probabilities, probabilities], axis=1)
    return probabilities
