"""Random fields: the grain that every surface is made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Field = npt.NDArray[np.float32]  # [side, side], or [3, side, side] for a colour

# Plain arithmetic (no sine, no exponential), so that little can differ between machines.


def smooth(rng: np.random.Generator, side: int, cells: float, *, stretch: float = 1.0) -> Field:
    """Noise within about -1 to 1 whose grains have side/cells pixels; `stretch` makes them long."""
    rows, columns = (min(side, max(2, round(n))) for n in (cells, cells / stretch))
    grid = rng.random((rows, columns), dtype=np.float32) * 2 - 1
    return enlarged(grid, side)


def fractal(rng: np.random.Generator, side: int, cells: int, *, octaves: int) -> Field:
    """Noise of several grains, each half as coarse and half as strong as the one before."""
    field = rng.random((cells, cells), dtype=np.float32) * 2 - 1
    for octave in range(1, octaves):
        finer = cells << octave
        if finer >= side:
            break
        grain = rng.random((finer, finer), dtype=np.float32) * 2 - 1
        field = enlarged(field, finer) + grain / np.float32(1 << octave)
    return enlarged(field, side)


def enlarged(grid: Field, side: int) -> Field:
    picture = Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


def step(field: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, a smooth S between: step(0.5, 0, 1) → 0.5."""
    t = np.clip((field - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def ridges(field: Field, width: float) -> Field:
    """1 along the zero line of the field, 0 farther from it than `width`."""
    return np.maximum(1 - np.abs(field) / np.float32(width), 0)


def axes(side: int) -> tuple[Field, Field]:
    """x along the columns and y along the rows, both from -1 to 1."""
    line = np.linspace(-1, 1, side, dtype=np.float32)
    return line[np.newaxis, :], line[:, np.newaxis]


def slopes(height: Field) -> tuple[Field, Field]:
    """How much the height grows from pixel to pixel, along x and along y."""
    across = np.zeros_like(height)
    down = np.zeros_like(height)
    across[:, 1:] = height[:, 1:] - height[:, :-1]
    down[1:] = height[1:] - height[:-1]
    return across, down
