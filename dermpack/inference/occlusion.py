"""Find where an answer comes from by covering parts of the picture: slow, and independent of any map.

Each place of a grid is covered in turn with the mean colour of the picture, and the model answers again. What
the label's log-odds lose is the evidence of the place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float64]
GRID = 7  # places across and down, as in the evidence map of a picture of 224 px
REACH = 1.0  # the patch is two places wide: half a place more on each side shows what lies across a border
FLOOR = 1 / 512  # an 8-bit probability has no smaller step


def occlusion_map(
    classify: Callable[[Pixels], Floats], pixels: Pixels, label: int, *, rows: int = GRID, columns: int = GRID
) -> Floats:
    """Return [rows, columns]: how much the log-odds of the label fall if the place is covered.

    `classify` returns the probabilities of prepared pictures; `pixels` are uint8 [side, side, 3].
    """
    covered = np.repeat(pixels[None], rows * columns, axis=0)
    mean = np.rint(pixels.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
    height, width = pixels.shape[0] / rows, pixels.shape[1] / columns
    for place in range(rows * columns):
        row, column = divmod(place, columns)
        top, left = max(row + 0.5 - REACH, 0), max(column + 0.5 - REACH, 0)
        down = slice(round(top * height), round((row + 0.5 + REACH) * height))
        across = slice(round(left * width), round((column + 0.5 + REACH) * width))
        covered[place, down, across] = mean
    probabilities = classify(np.concatenate([pixels[None], covered]))[:, label]
    odds = np.log(np.maximum(probabilities, FLOOR)) - np.log(np.maximum(1 - probabilities, FLOOR))
    lost: Floats = (odds[0] - odds[1:]).reshape(rows, columns)
    return lost
