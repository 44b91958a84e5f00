"""From a file to the square that a model sees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dermpack.imaging.decoding import decode_image
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits
from dermpack.imaging.resizing import MARGIN, Policy, resize_image


def prepare(
    source: Path | bytes,
    size: int,
    *,
    policy: Policy = Policy.CENTRE_SQUARE,
    limits: DecodingLimits = DEFAULT_LIMITS,
) -> NDArray[np.uint8]:
    """Decode, orient, RGB, square, resize: uint8 [size, size, 3].

    The same bits as `resize(decode(source, at_least=MARGIN * size).pixels, size, policy=policy)`, without
    copying the large picture.
    """
    image, _ = decode_image(source, limits=limits, at_least=MARGIN * size)
    return np.array(resize_image(image, size, policy=policy))
