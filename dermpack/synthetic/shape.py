"""Where a lesion is: blobs with a border of any sharpness, and groups of round spots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dermpack.synthetic.field import Field, axes, fractal, step


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A round place in a patch that is 2 wide."""

    x: float
    y: float
    radius: float


def site(rng: np.random.Generator, *, smallest: float, largest: float) -> Spot:
    """Somewhere near the middle, so that every view of the patch shows it."""
    x, y = rng.uniform(-0.14, 0.14, 2)
    return Spot(x=float(x), y=float(y), radius=float(rng.uniform(smallest, largest)))


def scattered(
    rng: np.random.Generator, count: int, *, spread: float, smallest: float, largest: float
) -> list[Spot]:
    """So many spots round about the middle."""
    places = rng.uniform(-spread, spread, (count, 2))
    radii = rng.uniform(smallest, largest, count)
    return [Spot(x=float(x), y=float(y), radius=float(r)) for (x, y), r in zip(places, radii, strict=True)]


def depth(rng: np.random.Generator, side: int, spot: Spot, *, irregular: float) -> Field:
    """1 in the middle, 0 at the border, negative outside; the border waves as `irregular` says."""
    x, y = axes(side)
    shear, longer = rng.uniform(-0.3, 0.3), rng.uniform(0.8, 1.25)
    dx, dy = (x - spot.x) * np.float32(longer), y - spot.y
    dx = dx + dy * np.float32(shear)
    distance = np.sqrt(dx * dx + dy * dy) / np.float32(spot.radius)
    waves = fractal(rng, side, 5, octaves=4) * np.float32(irregular)
    inside: Field = 1 - distance + waves
    return inside


def blob(rng: np.random.Generator, side: int, spot: Spot, *, irregular: float, soft: float) -> Field:
    """1 inside and 0 outside; the border is `soft` wide (in radii)."""
    return step(depth(rng, side, spot, irregular=irregular), -soft / 2, soft / 2)


def dots(spots: list[Spot], side: int, *, soft: float) -> Field:
    """The same for many small round spots; each touches only the pixels near it."""
    field = np.zeros((side, side), dtype=np.float32)
    x, y = axes(side)
    for spot in spots:
        columns, rows = _window(spot.x, spot.radius, side), _window(spot.y, spot.radius, side)
        dx, dy = x[:, columns] - np.float32(spot.x), y[rows] - np.float32(spot.y)
        inside = 1 - np.sqrt(dx * dx + dy * dy) / np.float32(spot.radius)
        field[rows, columns] = np.maximum(field[rows, columns], step(inside, 0, soft))
    return field


def _window(middle: float, radius: float, side: int) -> slice:
    first, last = ((at + 1) / 2 * (side - 1) for at in (middle - radius, middle + radius))
    return slice(max(0, int(first)), max(0, int(last) + 2))
