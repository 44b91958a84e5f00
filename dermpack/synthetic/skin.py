"""Healthy skin of any tone, with the marks that everybody has."""

from __future__ import annotations

import numpy as np

from dermpack.synthetic.field import Field, fractal, ridges, smooth, step
from dermpack.synthetic.surface import Colour, Surface, planes

TONES = ("I", "II", "III", "IV", "V", "VI")  # Fitzpatrick
TONE_COLOURS: tuple[Colour, ...] = (
    (0.93, 0.78, 0.71),
    (0.89, 0.71, 0.61),
    (0.82, 0.62, 0.51),
    (0.70, 0.50, 0.39),
    (0.54, 0.37, 0.28),
    (0.38, 0.26, 0.20),
)
BLOOD: Colour = (0.97, 0.80, 0.78)
PIGMENT: Colour = (0.72, 0.58, 0.50)


def skin(rng: np.random.Generator, side: int, *, tone: int) -> Surface:
    """A bare patch; `tone` counts from 0 (type I) to 5 (type VI)."""
    bare = Surface(colour=_complexion(rng, side, tone), height=_relief(rng, side))
    flushed = bare.stained(step(fractal(rng, side, 3, octaves=3), -0.4, 1.2), _flush(rng))
    creased = _creased(rng, flushed)
    return _freckled(rng, _pored(rng, creased))


def _complexion(rng: np.random.Generator, side: int, tone: int) -> Field:
    base = planes(TONE_COLOURS[tone])
    personal = base * (1 + rng.uniform(-0.05, 0.05, (3, 1, 1)).astype(np.float32))
    blotches = fractal(rng, side, 4, octaves=5) * np.float32(rng.uniform(0.015, 0.045))
    colour: Field = personal * (1 + blotches * planes((0.6, 1.0, 1.1)))
    return colour


def _relief(rng: np.random.Generator, side: int) -> Field:
    """The net of fine furrows, and a grain below it."""
    cells = rng.uniform(32, 58)
    net = ridges(smooth(rng, side, cells, stretch=1.5), 0.35) + ridges(smooth(rng, side, cells), 0.3)
    grain = smooth(rng, side, side)
    return np.float32(rng.uniform(-0.07, -0.015)) * net + grain * np.float32(0.02)


def _flush(rng: np.random.Generator) -> Colour:
    """Some people are red without being ill."""
    strength = float(rng.uniform(0, 1)) ** 2
    red, green, blue = (1 - strength * (1 - part) for part in BLOOD)
    return red, green, blue


def _creased(rng: np.random.Generator, surface: Surface) -> Surface:
    if rng.random() < 0.45:
        return surface
    long = smooth(rng, surface.side, rng.uniform(7, 14), stretch=5)
    lines = ridges(long if rng.random() < 0.5 else long.T, 0.09) * np.float32(rng.uniform(0.3, 1.0))
    return surface.stained(lines * np.float32(0.5), (0.86, 0.80, 0.78)).raised(lines * np.float32(-0.22))


def _pored(rng: np.random.Generator, surface: Surface) -> Surface:
    if rng.random() < 0.35:
        return surface
    pores = step(smooth(rng, surface.side, rng.uniform(45, 70)), 0.62, 0.95)
    return surface.stained(pores * np.float32(rng.uniform(0.2, 0.6)), (0.80, 0.74, 0.70)).raised(-pores / 12)


def _freckled(rng: np.random.Generator, surface: Surface) -> Surface:
    if rng.random() < 0.6:
        return surface
    where = step(smooth(rng, surface.side, 3), -0.2, 0.6)
    freckles = step(smooth(rng, surface.side, rng.uniform(18, 34)), 0.55, 0.85) * where
    return surface.stained(freckles * np.float32(rng.uniform(0.3, 0.8)), PIGMENT)
