"""Turn prepared pixels into the numbers of a model's input, and the numbers of an output into real values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.contract import (
    PIXEL_MIDDLE,
    ColorOrder,
    InputRecord,
    OutputRecord,
    PictureInput,
    PictureLayout,
    TensorType,
)
from dermpack.inference.interpreter_host import DescribedTensor

LOWEST, HIGHEST = -1.0, 1.0  # the inputs of our models for the pixels 0 and 255
# Real values of the pixels 0 and 255 for which the 8-bit input equals the pixel.
PIXEL_RANGES = ((LOWEST, HIGHEST), (0.0, 1.0), (0.0, 255.0))
RANGE_ERROR = 0.02  # of the range, since the zero point for 127.5 is rounded to 127 or 128
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input or output; a scale of 0 means that its numbers are not quantized."""

    shape: tuple[int, ...]
    number: TensorType
    scale: float
    zero_point: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type as numpy names it."""
        return np.dtype(self.number.value)

    @property
    def length(self) -> int:
        return int(np.prod(self.shape))


def parse_tensor(described: DescribedTensor) -> Tensor:
    """Return the tensor that the interpreter describes; raise ValueError for a type that no app can use."""
    return Tensor(
        shape=described.shape,
        number=TensorType(described.dtype),
        scale=described.scale,
        zero_point=described.zero_point,
    )


def declared_tensor(record: InputRecord | OutputRecord) -> Tensor:
    """Return the tensor that a contract declares."""
    return Tensor(
        shape=record.shape,
        number=record.dtype,
        scale=record.scale or 0.0,
        zero_point=record.zero_point or 0,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PictureFeed:
    """The input numbers of each of the 256 values of a pixel: [256], or [3, 256] if channels differ."""

    table: NDArray[Any]
    color: ColorOrder = ColorOrder.RGB
    layout: PictureLayout = PictureLayout.NHWC

    def __call__(self, pixels: Pixels) -> NDArray[Any]:
        """Return the input numbers of pictures, uint8 RGB [n, height, width, 3]."""
        if self.color is ColorOrder.BGR:
            pixels = pixels[..., ::-1]
        if self.table.ndim == 1:
            numbers = self.table.take(pixels)  # three times as fast as indexing
        else:
            numbers = np.stack([row.take(pixels[..., channel]) for channel, row in enumerate(self.table)], -1)
        if self.layout is PictureLayout.NCHW:
            numbers = numbers.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(numbers)


def build_feed(tensor: Tensor, picture: PictureInput | None) -> PictureFeed:
    """Return how to feed an input; without a contract, a float input takes -1 to 1."""
    if picture is None:
        return PictureFeed(table=build_input_table(tensor))
    if len(set(picture.mean)) == len(set(picture.std)) == 1:
        table = _normalized_table(tensor, picture.mean[0], picture.std[0])
    else:
        rows = zip(picture.mean, picture.std, strict=True)
        table = np.stack([_normalized_table(tensor, mean, std) for mean, std in rows])
    return PictureFeed(table=table, color=picture.color, layout=picture.layout)


def build_input_table(tensor: Tensor) -> NDArray[Any]:
    """Return the input number for each of the 256 values of a pixel: float32 → -1 … 1, 8-bit → the pixel.

    An 8-bit input whose scale and zero point define another range gets quantized values of -1 … 1.
    """
    # Converters scale 8-bit inputs so that most of them are the pixels themselves, for int8 minus 128.
    if tensor.number is not TensorType.FLOAT32 and any(_is_range(tensor, *ends) for ends in PIXEL_RANGES):
        return _raw_table(tensor)
    return _normalized_table(tensor, PIXEL_MIDDLE[0], PIXEL_MIDDLE[0])


def _normalized_table(tensor: Tensor, mean: float, std: float) -> NDArray[Any]:
    """Return the input numbers of a normalisation, (pixel - mean) / std."""
    real = (np.arange(256) - mean) / std
    if tensor.number is TensorType.FLOAT32:
        return real.astype(np.float32)
    if _is_range(tensor, float(real[0]), float(real[-1])):
        return _raw_table(tensor)
    return quantize(real, tensor)


def _raw_table(tensor: Tensor) -> NDArray[Any]:
    lowest = np.iinfo(tensor.dtype).min
    return (np.arange(256) + lowest).astype(tensor.dtype)


def _is_range(tensor: Tensor, low: float, high: float) -> bool:
    """Return whether the numbers of an 8-bit input stand for these real values of the pixels 0 and 255."""
    limits = np.iinfo(tensor.dtype)
    ends = [(number - tensor.zero_point) * tensor.scale for number in (limits.min, limits.max)]
    return tensor.scale == 0 or max(abs(ends[0] - low), abs(ends[1] - high)) <= RANGE_ERROR * (high - low)


def quantize(values: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    """Return the numbers of real values, to the nearest step: 0.5 at scale 1/256 and zero point 0 → 128."""
    if tensor.scale == 0:
        return np.asarray(values, tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(np.asarray(values, np.float64) / tensor.scale) + tensor.zero_point
    return np.asarray(np.clip(steps, limits.min, limits.max), dtype=tensor.dtype)


def dequantize(outputs: NDArray[Any], tensor: Tensor) -> Floats:
    """Return the real values of outputs: 128 at scale 1/256 and zero point 0 → 0.5."""
    values = outputs.astype(np.float64)
    return values if tensor.scale == 0 else (values - tensor.zero_point) * tensor.scale
