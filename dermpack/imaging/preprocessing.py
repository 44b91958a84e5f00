"""Turn a picture file into the square that a model gets: decode, crop, resize with one exact algorithm."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits

# Where a child process decodes, only `Policy` is used, and importing Pillow and numpy would take 0.1 s.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

MARGIN = 2  # a reduced decode stays at least twice as large as the target, so that our filter does the work


class Policy(Enum):
    """How a picture becomes a square; the value is the name in contracts, its number is the version.

    Both begin alike: a JPEG is decoded at the smallest DCT scale (1, 1/2, 1/4, 1/8) that keeps the short side
    at least `MARGIN` times the target; then EXIF orientation, RGB, and the steps below.
    """

    # Crop to side = min(w, h) at ((w - side) // 2, (h - side) // 2), then resize.
    CENTRE_SQUARE = "centre-square-1"
    # Resize both sides independently: nothing is cropped, but the proportions change.
    WHOLE = "whole-1"


def prepare(
    source: Path | bytes,
    size: int,
    *,
    policy: Policy = Policy.CENTRE_SQUARE,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> NDArray[np.uint8]:
    """Decode a picture and make it a square of RGB pixels: uint8 [size, size, 3].

    The pixels of `decode(source, at_least=MARGIN * size)`, resized by `resize_image`, are the same.
    """
    import numpy as np

    return np.array(prepare_image(source, size, policy=policy, limits=limits))


def prepare_image(source: Path | bytes, size: int, *, policy: Policy, limits: DecodingLimits) -> Image.Image:
    """Prepare like `prepare`, but return Pillow's image."""
    from dermpack.imaging.decoding import decode_image

    image, _ = decode_image(source, limits=limits, at_least=MARGIN * size)
    return resize_image(image, size, policy=policy)


def resize_image(image: Image.Image, size: int, *, policy: Policy) -> Image.Image:
    """Return an RGB picture as a square of this size; a port of these lines gives the same bits.

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
    A pass with n = m changes nothing. Pillow's BILINEAR is this algorithm in C and does the work here; the
    tests compare it with these lines.
    """
    from PIL import Image

    if policy is Policy.CENTRE_SQUARE:
        # Crop before resizing: with Pillow's `box`, the filter would reach over the edge of the square.
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        if image.size != (side, side):
            image = image.crop((left, top, left + side, top + side))
    # Two calls, because a single call of Pillow 13 starts with the cheaper of the two passes.
    across = image.resize((size, image.height), Image.Resampling.BILINEAR)
    return across.resize((size, size), Image.Resampling.BILINEAR)
