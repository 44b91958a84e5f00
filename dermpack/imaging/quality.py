"""Measure whether a prepared picture is blurred, too dark or overexposed, in whole numbers alone.

The Java client computes the same numbers, so that an app and this program answer alike. All three are
measured on the square that the network gets, uint8 [size, size, 3], from the luma of each pixel:

    luma = (77 * red + 150 * green + 29 * blue) >> 8                        # 0 to 255

- sharpness: the mean of the squared Laplacian, 4 * centre - left - right - above - below, over all pixels but
  the outermost. Blur removes what differs between neighbours. Example: one pixel that is 10 brighter than all
  others of a 5 × 5 square → (40² + 4 · 10²) // 9 = 222.
- brightness: the least luma that at least 95 % of the pixels do not exceed. A dark picture has no bright
  part; dark skin on a lighter ground, or in good light, has one.
- white: the share of the pixels with a luma of 250 or more, in whole percent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from dermpack.contract import QualityGates

RED, GREEN, BLUE, LUMA_BITS = 77, 150, 29, 8  # weights of ITU-R BT.601 in 256ths
BRIGHT_PERCENT = 95
WHITE_LUMA = 250
# Chosen on dermoscopic pictures and on clinical photographs of all skin types, at 96 to 224 px, against
# blurred, darker and brighter copies: docs/unknown-pictures.md has the shares that each of them refuses.
LEAST_SHARPNESS, LEAST_BRIGHTNESS, MOST_WHITE_PERCENT = 8, 70, 25


class QualityFault(Enum):
    """Why a picture should be taken again; the value is the wording in answers."""

    DARK = "too dark"
    OVEREXPOSED = "overexposed"
    BLURRED = "too blurred"


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureQuality:
    """The three measures of a prepared picture."""

    sharpness: int
    brightness: int
    white_percent: int

    def find_fault(self, gates: QualityGates) -> QualityFault | None:
        """Return the first fault; a dark or a white picture has few edges, so blur comes last."""
        if self.brightness < gates.least_brightness:
            return QualityFault.DARK
        if self.white_percent > gates.most_white_percent:
            return QualityFault.OVEREXPOSED
        return QualityFault.BLURRED if self.sharpness < gates.least_sharpness else None


def measure_quality(pixels: NDArray[np.uint8]) -> PictureQuality:
    """Return the measures of a prepared picture, uint8 [size, size, 3] with a size of at least 3."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    luma = (RED * red + GREEN * green + BLUE * blue) >> LUMA_BITS
    middle = 4 * luma[1:-1, 1:-1] - luma[1:-1, :-2] - luma[1:-1, 2:] - luma[:-2, 1:-1] - luma[2:, 1:-1]
    counts = np.bincount(luma.ravel(), minlength=256)
    # The first luma whose running count reaches 95 % of the pixels, compared without a division.
    reached = 100 * np.cumsum(counts) >= BRIGHT_PERCENT * luma.size
    return PictureQuality(
        sharpness=int(np.square(middle, dtype=np.int64).sum()) // middle.size,
        brightness=int(np.argmax(reached)),
        white_percent=100 * int(counts[WHITE_LUMA:].sum()) // luma.size,
    )


def choose_gates(rows: Iterable[NDArray[np.uint8]], *, split: str) -> QualityGates:
    """Return the limits, with the share of these prepared pictures that they accept."""
    gates = QualityGates(
        least_sharpness=LEAST_SHARPNESS,
        least_brightness=LEAST_BRIGHTNESS,
        most_white_percent=MOST_WHITE_PERCENT,
        accepted=0.0,
        n=1,
        split=split,
    )
    passed = [measure_quality(pixels).find_fault(gates) is None for pixels in rows]
    return replace(gates, accepted=sum(passed) / len(passed), n=len(passed))
