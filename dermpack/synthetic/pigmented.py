"""Moles and growths: nevus, melanoma-like, bcc-like."""

from __future__ import annotations

import numpy as np

from dermpack.synthetic.field import Field, fractal, ridges, smooth, step
from dermpack.synthetic.shape import Spot, blob, depth, dots, scattered, site
from dermpack.synthetic.strokes import Point, bow, drawn
from dermpack.synthetic.surface import Colour, Surface

BROWN: Colour = (0.58, 0.42, 0.34)
BLACK: Colour = (0.30, 0.24, 0.22)
BLUE_GREY: Colour = (0.62, 0.64, 0.72)
VEIL: Colour = (0.80, 0.76, 0.76)
PEARL: Colour = (0.93, 0.76, 0.72)
CRUST: Colour = (0.45, 0.26, 0.18)
VESSEL: Colour = (0.78, 0.38, 0.38)


def nevus(rng: np.random.Generator, skin: Surface) -> Surface:
    """One or a few moles: round, even, clearly bordered."""
    side = skin.side
    shape = blob(
        rng, side, site(rng, smallest=0.13, largest=0.32), irregular=0.12, soft=rng.uniform(0.15, 0.5)
    )
    if rng.random() < 0.35:
        more = scattered(rng, int(rng.integers(1, 4)), spread=0.65, smallest=0.05, largest=0.10)
        shape = np.maximum(shape, dots(more, side, soft=0.5))
    brown = skin.stained(shape * _much(rng, 0.5, 1.0), BROWN).raised(shape * _much(rng, 0.1, 0.9))
    net = ridges(smooth(rng, side, rng.uniform(22, 34)), 0.4) * shape
    return brown.stained(net * _much(rng, 0.1, 0.4), BROWN)


def melanoma(rng: np.random.Generator, skin: Surface) -> Surface:
    """A large mark of many colours with a ragged, uneven border."""
    side = skin.side
    spot = site(rng, smallest=0.22, largest=0.42)
    inside = depth(rng, side, spot, irregular=rng.uniform(0.35, 0.7))
    shape = step(inside, -0.05, rng.uniform(0.1, 0.3))
    parts = [step(fractal(rng, side, 4, octaves=4), 0.0, 0.5) * shape for _ in range(3)]
    brown = skin.stained(shape * _much(rng, 0.5, 0.95), BROWN).raised(shape * _much(rng, 0.1, 0.5))
    dark = brown.stained(parts[0] * _much(rng, 0.4, 0.95), BLACK).stained(
        parts[1] * _much(rng, 0, 0.8), BLUE_GREY
    )
    veiled = dark.covered(parts[2] * _much(rng, 0.0, 0.35), VEIL)
    around = scattered(rng, int(rng.integers(0, 14)), spread=1.1, smallest=0.03, largest=0.10)
    globules = dots([_moved(spot, each) for each in around], side, soft=0.6)
    return veiled.stained(globules * np.float32(0.7), BLACK)


def bcc(rng: np.random.Generator, skin: Surface) -> Surface:
    """A pearly knot with a rolled rim, tree-like vessels, and often a crust in its middle."""
    side = skin.side
    spot = site(rng, smallest=0.22, largest=0.42)
    inside = depth(rng, side, spot, irregular=0.15)
    shape, rim = step(inside, -0.1, 0.35), step(inside, -0.05, 0.25) * (1 - step(inside, 0.25, 0.7))
    pearl = skin.covered(shape * _much(rng, 0.1, 0.45), PEARL).raised(rim * _much(rng, 0.4, 0.9) + shape / 2)
    trees = drawn(_trees(rng, spot), side=side, width=0.009) * step(inside, -0.15, 0.1)
    vessels = pearl.stained(trees * _much(rng, 0.4, 0.9), VESSEL)
    return _ulcerated(rng, vessels, inside)


def _ulcerated(rng: np.random.Generator, surface: Surface, inside: Field) -> Surface:
    if rng.random() < 0.4:
        return surface
    rough = fractal(rng, surface.side, 12, octaves=3)
    crust = step(inside + rough / 4, rng.uniform(0.45, 0.65), 0.9)
    return surface.covered(crust * _much(rng, 0.5, 0.85), CRUST).raised(crust * (rough - 1) / 4)


def _trees(rng: np.random.Generator, spot: Spot) -> list[list[Point]]:
    """Vessels that come in from the rim and fork once or twice."""
    lines = []
    for _ in range(int(rng.integers(3, 7))):
        dx, dy = rng.normal(0, 0.7, 2) * spot.radius
        start, fork = (spot.x + dx * 1.5, spot.y + dy * 1.5), (spot.x + dx * 0.8, spot.y + dy * 0.8)
        lines.append(bow(start, (fork[0] + dy / 4, fork[1] - dx / 4), fork))
        for _ in range(int(rng.integers(1, 4))):
            ex, ey = rng.normal(0, 0.4, 2) * spot.radius
            lines.append(bow(fork, (fork[0] + ey / 3, fork[1] - ex / 3), (fork[0] + ex, fork[1] + ey)))
    return lines


def _moved(ground: Spot, spot: Spot) -> Spot:
    return Spot(
        x=ground.x + spot.x * ground.radius,
        y=ground.y + spot.y * ground.radius,
        radius=spot.radius * ground.radius,
    )


def _much(rng: np.random.Generator, least: float, most: float) -> np.float32:
    return np.float32(rng.uniform(least, most))
