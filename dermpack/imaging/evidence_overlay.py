"""Draw an evidence map over the square at the model's input: warm for the label, cold against it."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FOR, AGAINST = (214, 69, 10), (24, 90, 188)  # orange and blue, which colour-blind people can distinguish
STRONGEST = 0.6  # opacity of the greatest evidence
LEAST_SIDE = 224  # pixels of each half: a smaller picture is enlarged
Pixels = NDArray[np.uint8]


def draw_overlay(pixels: Pixels, evidence: NDArray[np.float64]) -> bytes:
    """Return a PNG: the prepared picture, uint8 [side, side, 3], and to its right the same under the map.

    The map, [height, width] of one label, is enlarged smoothly; its greatest absolute value is most opaque.
    """
    side = max(LEAST_SIDE, pixels.shape[0])
    picture = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR), np.float64)
    greatest = max(float(np.abs(evidence).max()), 1e-12)
    small = Image.fromarray((evidence / greatest).astype(np.float32))
    share = np.clip(np.asarray(small.resize((side, side), Image.Resampling.BICUBIC), np.float64), -1, 1)
    colour = np.where(share[..., None] > 0, np.array(FOR, np.float64), np.array(AGAINST, np.float64))
    opacity = STRONGEST * np.abs(share)[..., None]
    covered = picture * (1 - opacity) + colour * opacity
    both = np.concatenate([picture, covered], axis=1)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(both).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
