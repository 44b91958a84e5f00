"""Crop and resize to a square, by one exact integer algorithm."""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray
from PIL import Image


class Policy(Enum):
    """How a picture becomes a square; the value is the name kept in contracts, its number the version.

    Both begin alike: a JPEG is decoded at the smallest DCT scale (1, 1/2, 1/4, 1/8) that keeps the short
    side at least `MARGIN` times the target; then EXIF orientation, RGB, and the steps named below.
    """

    CENTRE_SQUARE = (
        "centre-square-1"  # crop to side = min(w, h) at ((w - side) // 2, (h - side) // 2); resize
    )
    WHOLE = "whole-1"  # resize both sides on their own: nothing is lost, proportions are


FILTER = Image.Resampling.BILINEAR
MARGIN = 2  # how much larger than the target a reduced decode must stay, so that our filter does the work


def resize(pixels: NDArray[np.uint8], size: int, *, policy: Policy) -> NDArray[np.uint8]:
    """Make a [h, w, 3] picture [size, size, 3], bit for bit as any port of these lines does.

    Two passes, along the rows first and down the columns second, each rounding to uint8. A pass from `n` to
    `m` samples; fractions are IEEE doubles, computed in the order written; `int()` cuts towards zero:

        scale = n / m;  reach = max(scale, 1.0);  slope = 1.0 / reach
        for each output i:
            centre = (i + 0.5) * scale
            first = max(int(centre - reach + 0.5), 0)
            last = min(int(centre + reach + 0.5), n)                      # exclusive
            w[x] = max(1.0 - abs((x - centre + 0.5) * slope), 0.0)        for x from first to last - 1
            total = w[first] + w[first + 1] + …                           # in this order
            k[x] = int(0.5 + w[x] / total * 2**22)
            out[i] = min((2**21 + sum(in[x] * k[x])) >> 22, 255)          # int32 is wide enough

    Example: 2 samples to 1 is k = 2**21, 2**21, so 10 and 13 become (2**21 + 23 * 2**21) >> 22 → 12.
    A pass with n = m changes nothing. Pillow's BILINEAR is this algorithm, in C: it does the work here, and
    the tests hold it against these lines.
    """
    return np.array(resize_image(Image.fromarray(pixels), size, policy=policy))


def resize_image(image: Image.Image, size: int, *, policy: Policy) -> Image.Image:
    """`resize` on an RGB image that Pillow holds already."""
    if policy is Policy.CENTRE_SQUARE:
        image = _centre_square(image)
    across = image.resize((size, image.height), FILTER)
    return across.resize(
        (size, size), FILTER
    )  # in two calls: left alone, Pillow 13 takes the cheaper pass first


def _centre_square(image: Image.Image) -> Image.Image:
    """Crop first: Pillow's `box` would let the filter reach over the edge of the square."""
    side = min(image.size)
    if image.size == (side, side):
        return image
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
