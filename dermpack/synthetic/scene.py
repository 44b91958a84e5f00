"""Single pictures, in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dermpack.synthetic.case import case, group_of, patch, stream
from dermpack.synthetic.view import photograph

Pixels = npt.NDArray[np.uint8]  # [size, size, 3]


def render(number: int, *, classes: int = 2, size: int = 224, seed: int = 0) -> Pixels:
    """Picture `number` of the demo pictures: uint8 [size, size, 3], the same for the same numbers."""
    group, at = group_of(number)
    return views(group, (at,), classes=classes, size=size, seed=seed)[0]


def views(group: int, numbers: tuple[int, ...], *, classes: int, size: int, seed: int) -> tuple[Pixels, ...]:
    """Several photographs of one lesion; the patch is painted once."""
    surface = patch(case(group, classes=classes, seed=seed), classes=classes, size=size, seed=seed)
    return tuple(photograph(stream(seed, classes, group, 2, at), surface, size) for at in numbers)
