"""Thin curved lines: hair, scratches, fine vessels."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from dermpack.synthetic.field import Field
from dermpack.synthetic.surface import Colour, Surface

Point = tuple[float, float]
OVERSAMPLING = 2  # lines are drawn twice as large and averaged down: soft edges
PIECES = 8
HAIR_PAINTS: tuple[Colour, ...] = (
    (0.10, 0.07, 0.06),
    (0.20, 0.13, 0.09),
    (0.42, 0.30, 0.19),
    (0.62, 0.60, 0.58),
)


def haired(rng: np.random.Generator, surface: Surface) -> Surface:
    """Hair that grows in one direction, or none; tells nothing of what lies below it."""
    if rng.random() < 0.4:
        return surface
    count = int(rng.uniform(2, 9) ** 1.7)
    lines = [_hair(rng, direction) for direction in [_direction(rng)] for _ in range(count)]
    cover = drawn(lines, side=surface.side, width=rng.uniform(0.004, 0.010))
    shadow = np.roll(cover, max(1, surface.side // 120), axis=(0, 1)) * np.float32(0.5)
    paint = HAIR_PAINTS[rng.integers(len(HAIR_PAINTS))]
    return surface.stained(shadow, (0.75, 0.72, 0.70)).covered(cover * np.float32(0.85), paint)


def drawn(lines: list[list[Point]], *, side: int, width: float) -> Field:
    """How much of each pixel the lines cover; points and width in units where the patch is 2 wide."""
    large = side * OVERSAMPLING
    canvas = Image.new("L", (large, large))
    draw = ImageDraw.Draw(canvas)
    pixels = max(1, round(width * large / 2))
    for line in lines:
        draw.line([((x + 1) * large / 2, (y + 1) * large / 2) for x, y in line], fill=255, width=pixels)
    cover = np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float32)
    return cover / np.float32(255)


def bow(start: Point, bend: Point, end: Point) -> list[Point]:
    """A curve from start to end that leans towards `bend`."""
    line = []
    for piece in range(PIECES + 1):
        t = piece / PIECES
        a, b, c = (1 - t) * (1 - t), 2 * t * (1 - t), t * t
        line.append((a * start[0] + b * bend[0] + c * end[0], a * start[1] + b * bend[1] + c * end[1]))
    return line


def _direction(rng: np.random.Generator) -> Point:
    x, y = rng.uniform(-1, 1, 2)
    return float(x), float(y)


def _hair(rng: np.random.Generator, direction: Point) -> list[Point]:
    x, y = rng.uniform(-1.1, 1.1, 2)
    dx, dy = rng.normal(direction, 0.28) * rng.uniform(0.3, 0.9)
    lean_x, lean_y = rng.normal(0, 0.09, 2)
    return bow((x, y), (x + dx / 2 + lean_x, y + dy / 2 + lean_y), (x + dx, y + dy))
