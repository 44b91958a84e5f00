"""Paint on a patch of skin: random fields, shapes, strokes, colour and relief.

Only plain arithmetic (no sine, no exponential) is used, so that results differ little between machines. Every
function draws its random numbers in a fixed order: the same generator gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

Field = npt.NDArray[np.float32]  # [side, side], or [3, side, side] for a colour
Colour = tuple[float, float, float]  # red, green, blue; 1 is white for a paint, "unchanged" for a tint
Point = tuple[float, float]  # x, y; a patch reaches from -1 to 1
OVERSAMPLING = 2  # lines are drawn at twice the size and averaged down, which gives soft edges
CURVE_SEGMENTS = 8
HAIR_PAINTS: tuple[Colour, ...] = (
    (0.10, 0.07, 0.06),
    (0.20, 0.13, 0.09),
    (0.42, 0.30, 0.19),
    (0.62, 0.60, 0.58),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A patch of skin: its colour in flat light, and the relief that light from the side shades."""

    colour: Field  # [3, side, side], 0 to 1: operations on whole planes are faster than on pixels
    height: Field  # [side, side]; 1 is a thick crust

    @property
    def side(self) -> int:
        return self.height.shape[0]

    def stained(self, amount: Field, tint: Colour) -> Surface:
        """Multiply by the tint where `amount` is 1: pigment and blood darken the skin below them."""
        loss = 1 - planes(tint)
        return replace(self, colour=self.colour * (1 - amount * loss))

    def covered(self, amount: Field, paint: Colour) -> Surface:
        """Mix with the paint where `amount` is 1: scale, crust and hair hide the skin below them."""
        return replace(self, colour=self.colour + (planes(paint) - self.colour) * amount)

    def raised(self, amount: Field) -> Surface:
        """Add `amount` to the height."""
        return replace(self, height=self.height + amount)

    def shaded(self, *, light: tuple[float, float]) -> Field:
        """Return the colour under light from the direction (x, y).

        Slopes that face the light are brighter, the others are darker.
        """
        across = np.zeros_like(self.height)
        down = np.zeros_like(self.height)
        across[:, 1:] = self.height[:, 1:] - self.height[:, :-1]
        down[1:] = self.height[1:] - self.height[:-1]
        scale = np.float32(self.side / 100)  # the relief looks the same at every size
        shade = np.clip((across * np.float32(light[0]) + down * np.float32(light[1])) * scale, -0.45, 0.45)
        lit: Field = self.colour * (1 + shade)
        return lit


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A round area of a patch, which is 2 wide."""

    x: float
    y: float
    radius: float

    def within(self, area: Spot) -> Spot:
        """Return this spot in the coordinates of a larger one: radius 0.5 is half as large as the area."""
        return Spot(
            x=area.x + self.x * area.radius,
            y=area.y + self.y * area.radius,
            radius=self.radius * area.radius,
        )


# Fields


def smooth(rng: np.random.Generator, side: int, cells: float, *, stretch: float = 1.0) -> Field:
    """Return noise of about -1 to 1 with grains of side/cells pixels; `stretch` makes the grains long."""
    rows, columns = (min(side, max(2, round(count))) for count in (cells, cells / stretch))
    return _enlarge(rng.random((rows, columns), dtype=np.float32) * 2 - 1, side)


def fractal(rng: np.random.Generator, side: int, cells: int, *, octaves: int) -> Field:
    """Return noise of several octaves; each grain is half as coarse and half as strong as the one before."""
    field = rng.random((cells, cells), dtype=np.float32) * 2 - 1
    for octave in range(1, octaves):
        finer = cells << octave
        if finer >= side:
            break
        grain = rng.random((finer, finer), dtype=np.float32) * 2 - 1
        field = _enlarge(field, finer) + grain / np.float32(1 << octave)
    return _enlarge(field, side)


def step(field: Field, low: float, high: float) -> Field:
    """Return 0 below `low`, 1 above `high` and a smooth S between them: step(0.5, 0, 1) → 0.5."""
    t = np.clip((field - np.float32(low)) / np.float32(high - low), 0, 1)
    return t * t * (3 - 2 * t)


def ridges(field: Field, width: float) -> Field:
    """Return 1 along the zero line of the field, falling to 0 at the distance `width`."""
    return np.maximum(1 - np.abs(field) / np.float32(width), 0)


def axes(side: int) -> tuple[Field, Field]:
    """Return x along the columns and y along the rows, both from -1 to 1."""
    line = np.linspace(-1, 1, side, dtype=np.float32)
    return line[np.newaxis, :], line[:, np.newaxis]


def planes(colour: Colour) -> Field:
    """Return one number per plane, [3, 1, 1], which broadcasts over [3, side, side]."""
    return np.asarray(colour, dtype=np.float32)[:, np.newaxis, np.newaxis]


def strength(rng: np.random.Generator, least: float, most: float) -> np.float32:
    """Draw the strength of a stain, a cover or a relief."""
    return np.float32(rng.uniform(least, most))


# Shapes


def place_spot(rng: np.random.Generator, *, smallest: float, largest: float) -> Spot:
    """Draw a spot near the middle, where every photograph of the patch shows it."""
    x, y = rng.uniform(-0.14, 0.14, 2)
    return Spot(x=float(x), y=float(y), radius=float(rng.uniform(smallest, largest)))


def scatter_spots(
    rng: np.random.Generator, count: int, *, spread: float, smallest: float, largest: float
) -> list[Spot]:
    """Draw `count` spots around the middle."""
    centres = rng.uniform(-spread, spread, (count, 2))
    radii = rng.uniform(smallest, largest, count)
    return [Spot(x=float(x), y=float(y), radius=float(r)) for (x, y), r in zip(centres, radii, strict=True)]


def depth(rng: np.random.Generator, side: int, spot: Spot, *, irregular: float) -> Field:
    """Return 1 in the middle of a spot, 0 at its border and negative values outside.

    `irregular` is the amplitude of the waves of the border.
    """
    x, y = axes(side)
    # A sheared and stretched circle: few lesions are round.
    shear, longer = rng.uniform(-0.3, 0.3), rng.uniform(0.8, 1.25)
    dx, dy = (x - spot.x) * np.float32(longer), y - spot.y
    dx = dx + dy * np.float32(shear)
    distance = np.sqrt(dx * dx + dy * dy) / np.float32(spot.radius)
    waves = fractal(rng, side, 5, octaves=4) * np.float32(irregular)
    inside: Field = 1 - distance + waves
    return inside


def blob(rng: np.random.Generator, side: int, spot: Spot, *, irregular: float, soft: float) -> Field:
    """Return 1 inside and 0 outside of an irregular spot; its border is `soft` wide (in radii)."""
    return step(depth(rng, side, spot, irregular=irregular), -soft / 2, soft / 2)


def dots(spots: list[Spot], side: int, *, soft: float) -> Field:
    """Return 1 inside and 0 outside of many small round spots."""
    field = np.zeros((side, side), dtype=np.float32)
    x, y = axes(side)
    for spot in spots:
        # Only the pixels near a spot are computed.
        columns, rows = _window(spot.x, spot.radius, side), _window(spot.y, spot.radius, side)
        dx, dy = x[:, columns] - np.float32(spot.x), y[rows] - np.float32(spot.y)
        inside = 1 - np.sqrt(dx * dx + dy * dy) / np.float32(spot.radius)
        field[rows, columns] = np.maximum(field[rows, columns], step(inside, 0, soft))
    return field


# Strokes


def draw_lines(lines: list[list[Point]], *, side: int, width: float) -> Field:
    """Return the share of each pixel that the lines cover; the width is in units of the patch."""
    large = side * OVERSAMPLING
    canvas = Image.new("L", (large, large))
    draw = ImageDraw.Draw(canvas)
    pixels = max(1, round(width * large / 2))
    for line in lines:
        draw.line([((x + 1) * large / 2, (y + 1) * large / 2) for x, y in line], fill=255, width=pixels)
    cover = np.asarray(canvas.reduce(OVERSAMPLING), dtype=np.float32)
    return cover / np.float32(255)


def curve(start: Point, bend: Point, end: Point) -> list[Point]:
    """Return a quadratic Bézier curve from start to end that leans towards `bend`."""
    line = []
    for segment in range(CURVE_SEGMENTS + 1):
        t = segment / CURVE_SEGMENTS
        a, b, c = (1 - t) * (1 - t), 2 * t * (1 - t), t * t
        line.append((a * start[0] + b * bend[0] + c * end[0], a * start[1] + b * bend[1] + c * end[1]))
    return line


def add_hair(rng: np.random.Generator, surface: Surface) -> Surface:
    """Add hair that grows in one direction, or none. Hair is independent of the class."""
    if rng.random() < 0.4:
        return surface
    count = int(rng.uniform(2, 9) ** 1.7)
    direction = rng.uniform(-1, 1, 2)
    lines = []
    for _ in range(count):
        x, y = rng.uniform(-1.1, 1.1, 2)
        dx, dy = rng.normal(direction, 0.28) * rng.uniform(0.3, 0.9)
        lean_x, lean_y = rng.normal(0, 0.09, 2)
        lines.append(curve((x, y), (x + dx / 2 + lean_x, y + dy / 2 + lean_y), (x + dx, y + dy)))
    cover = draw_lines(lines, side=surface.side, width=rng.uniform(0.004, 0.010))
    shadow = np.roll(cover, max(1, surface.side // 120), axis=(0, 1)) * np.float32(0.5)
    paint = HAIR_PAINTS[rng.integers(len(HAIR_PAINTS))]
    return surface.stained(shadow, (0.75, 0.72, 0.70)).covered(cover * np.float32(0.85), paint)


def _enlarge(grid: Field, side: int) -> Field:
    picture = Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32)


def _window(middle: float, radius: float, side: int) -> slice:
    """Return the rows or columns that a spot touches."""
    first, last = ((edge + 1) / 2 * (side - 1) for edge in (middle - radius, middle + radius))
    return slice(max(0, int(first)), max(0, int(last) + 2))
