"""Red lesions: eczema-like, psoriasis-like, acne-like, vascular."""

from __future__ import annotations

import numpy as np

from dermpack.synthetic.field import Field, fractal, ridges, smooth, step
from dermpack.synthetic.shape import Spot, blob, dots, scattered, site
from dermpack.synthetic.strokes import bow, drawn
from dermpack.synthetic.surface import Colour, Surface

SCALE: Colour = (0.93, 0.90, 0.87)
CRUST: Colour = (0.72, 0.52, 0.30)
PUS: Colour = (0.95, 0.88, 0.66)
COMEDO: Colour = (0.20, 0.15, 0.13)


def eczema(rng: np.random.Generator, skin: Surface) -> Surface:
    """A patch without a border: mottled red, small papules, fine flakes, scratches."""
    side = skin.side
    shape = blob(
        rng, side, site(rng, smallest=0.34, largest=0.62), irregular=0.55, soft=rng.uniform(0.3, 0.9)
    )
    mottled = shape * step(fractal(rng, side, 7, octaves=4), -0.9, 0.5)
    papules = shape * step(smooth(rng, side, rng.uniform(24, 36)), 0.12, 0.75)
    flakes = _flakes(rng, side, rng.uniform(50, 75)) * mottled
    red = skin.stained(mottled * _much(rng, 0.4, 0.85), _blood(rng))
    rough = red.stained(papules * _much(rng, 0.4, 0.8), _blood(rng)).raised(papules * _much(rng, 0.18, 0.36))
    dry = rough.covered(flakes * _much(rng, 0.18, 0.5), SCALE).raised(flakes / 14)
    return _scratched(rng, _crusted(rng, dry, papules))


def psoriasis(rng: np.random.Generator, skin: Surface) -> Surface:
    """Plaques with a clear border, raised, even red, under large silvery scales."""
    side = skin.side
    soft = rng.uniform(0.08, 0.25)
    shape = blob(rng, side, site(rng, smallest=0.28, largest=0.52), irregular=0.28, soft=soft)
    if rng.random() < 0.5:
        more = scattered(rng, int(rng.integers(1, 5)), spread=0.65, smallest=0.06, largest=0.16)
        shape = np.maximum(shape, dots(more, side, soft=0.3))
    grain = fractal(rng, side, int(rng.integers(9, 16)), octaves=3)
    plates = step(grain, rng.uniform(-0.5, 0.0), 0.8) * step(shape, 0.4, 1)
    plates = plates * step(smooth(rng, side, rng.uniform(30, 55)), -0.8, 0.4)
    cracks = ridges(smooth(rng, side, rng.uniform(12, 20)), 0.12) * plates
    raised = skin.stained(shape * _much(rng, 0.4, 0.95), _blood(rng)).raised(shape * _much(rng, 0.15, 0.4))
    scaly = raised.covered(plates * _much(rng, 0.2, 0.6), SCALE).raised(plates * _much(rng, 0.1, 0.35))
    return scaly.stained(cracks / 2, (0.80, 0.66, 0.62)).raised(-cracks / 8)


def acne(rng: np.random.Generator, skin: Surface) -> Surface:
    """Single papules with a red halo, some with pus; black pores between."""
    side = skin.side
    spots = scattered(rng, int(rng.integers(5, 20)), spread=0.75, smallest=0.05, largest=0.13)
    halo = dots(spots, side, soft=1.0)
    cores = [Spot(x=spot.x, y=spot.y, radius=spot.radius * 0.55) for spot in spots]
    core = dots(cores, side, soft=0.9)
    ripe = dots([spot for spot in cores if rng.random() < 0.35], side, soft=0.8)
    pores = dots(
        scattered(rng, int(rng.integers(0, 25)), spread=0.8, smallest=0.010, largest=0.022), side, soft=0.6
    )
    red = skin.stained(halo * _much(rng, 0.4, 0.9), _blood(rng)).stained(
        core * _much(rng, 0.2, 0.6), _blood(rng)
    )
    swollen = red.raised(core * _much(rng, 0.3, 0.8) + halo * np.float32(0.25))
    return swollen.covered(step(ripe, 0.35, 0.9) * np.float32(0.75), PUS).covered(
        pores * np.float32(0.6), COMEDO
    )


def flushed(rng: np.random.Generator, skin: Surface) -> Surface:
    """A red patch and nothing more, as after a slap or in the sun."""
    soft = rng.uniform(0.4, 1.1)
    shape = blob(rng, skin.side, site(rng, smallest=0.34, largest=0.66), irregular=0.3, soft=soft)
    return skin.stained(shape * _much(rng, 0.4, 1.0), _blood(rng))


def vascular(rng: np.random.Generator, skin: Surface) -> Surface:
    """Lakes of blood under smooth skin: round, dark red to blue, close together."""
    side = skin.side
    ground = site(rng, smallest=0.16, largest=0.36)
    near = scattered(rng, int(rng.integers(3, 12)), spread=1, smallest=0.3, largest=0.75)
    lakes = [_within(ground, spot) for spot in near]
    deep = dots(lakes, side, soft=rng.uniform(0.25, 0.8))
    wide = blob(rng, side, ground, irregular=0.25, soft=0.7)
    blue = float(rng.uniform(0, 0.35))
    dark = (0.80 - 0.45 * blue, 0.30 + 0.15 * blue, 0.36 + 0.45 * blue)
    red = skin.stained(wide * _much(rng, 0.2, 0.8), _blood(rng)).stained(deep * _much(rng, 0.5, 0.95), dark)
    return red.raised(deep * _much(rng, 0.2, 0.8))


def _within(ground: Spot, spot: Spot) -> Spot:
    return Spot(
        x=ground.x + spot.x * ground.radius,
        y=ground.y + spot.y * ground.radius,
        radius=spot.radius * ground.radius,
    )


def _much(rng: np.random.Generator, least: float, most: float) -> np.float32:
    return np.float32(rng.uniform(least, most))


def _blood(rng: np.random.Generator) -> Colour:
    """How blood tints the skin above it; the same for every red class."""
    strength = float(rng.uniform(0.8, 1.2))
    return 1 - 0.05 * strength, 1 - 0.33 * strength, 1 - 0.32 * strength


def _flakes(rng: np.random.Generator, side: int, cells: float) -> Field:
    return step(smooth(rng, side, cells), rng.uniform(0.1, 0.4), 0.8)


def _crusted(rng: np.random.Generator, surface: Surface, where: Field) -> Surface:
    if rng.random() < 0.6:
        return surface
    crusts = step(smooth(rng, surface.side, 14), 0.35, 0.7) * where
    return surface.covered(crusts * np.float32(0.6), CRUST).raised(crusts / 4)


def _scratched(rng: np.random.Generator, surface: Surface) -> Surface:
    if rng.random() < 0.5:
        return surface
    dx, dy = rng.normal(0, 0.22, 2)
    lines = []
    for _ in range(int(rng.integers(2, 7))):
        x, y = rng.uniform(-0.35, 0.35, 2)
        lines.append(bow((x, y), (x + dx / 2 + 0.03, y + dy / 2), (x + dx, y + dy)))
    cuts = drawn(lines, side=surface.side, width=0.012)
    return surface.stained(cuts * _much(rng, 0.4, 0.9), (0.75, 0.45, 0.42)).raised(-cuts / 8)
