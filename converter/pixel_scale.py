"""Turn the bytes of prepared pictures into the numbers that a network takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dermpack.contract import ColorOrder, PictureLayout

PIXEL_MIDDLE = 127.5  # mean and std of our own networks: pixel x becomes x / 127.5 - 1
LARGEST_PIXEL = 255
REVERSED = slice(None, None, -1)
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelScale:
    """A pixel x becomes (x - mean) / std, with a mean and a std for each channel in the order of `color`.

    The defaults are those of our own networks: [-1, 1], RGB, NHWC.
    """

    mean: Triple = (PIXEL_MIDDLE,) * 3
    std: Triple = (PIXEL_MIDDLE,) * 3
    color: ColorOrder = ColorOrder.RGB
    layout: PictureLayout = PictureLayout.NHWC

    def apply(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return pictures, RGB uint8 [n, height, width, 3], as the network takes them."""
        ordered = pictures[..., REVERSED] if self.color is ColorOrder.BGR else pictures
        # x / std - mean / std: for the defaults exactly x / 127.5 - 1, as the trainer computes it.
        std = np.asarray(self.std, np.float32)
        offset = np.divide(self.mean, self.std).astype(np.float32)
        values = np.asarray(np.float32(ordered) / std - offset, np.float32)
        return np.ascontiguousarray(values.transpose(0, 3, 1, 2)) if self.is_nchw else values

    def shape(self, size: int) -> tuple[int, int, int, int]:
        """Return the shape of the network's input for one picture."""
        return (1, 3, size, size) if self.is_nchw else (1, size, size, 3)

    @property
    def is_nchw(self) -> bool:
        """Whether the channels come before height and width."""
        return self.layout is PictureLayout.NCHW

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest number that a pixel can become."""
        ends = [
            (end - mean) / std
            for mean, std in zip(self.mean, self.std, strict=True)
            for end in (0, LARGEST_PIXEL)
        ]
        return min(ends), max(ends)

    @property
    def is_uniform(self) -> bool:
        """Whether all channels have one mean and one std, so that a raw byte can be one int8 step."""
        return len(set(self.mean)) == len(set(self.std)) == 1


UNIT_SCALE = PixelScale()
