"""Paint healthy skin of any tone, and on it a lesion of one kind.

The kinds resemble their namesakes, and have no medical meaning. Kinds of different classes share colours
and relief on purpose, so that a network has to learn shapes rather than the mean colour.
"""

from __future__ import annotations

import numpy as np

from dermpack.synthetic.painting import (
    Colour,
    Field,
    Spot,
    Surface,
    blob,
    curve,
    depth,
    dots,
    draw_lines,
    fractal,
    place_spot,
    planes,
    ridges,
    scatter_spots,
    smooth,
    step,
    strength,
)

TONES = ("I", "II", "III", "IV", "V", "VI")  # Fitzpatrick
TONE_COLOURS: tuple[Colour, ...] = (
    (0.93, 0.78, 0.71),
    (0.89, 0.71, 0.61),
    (0.82, 0.62, 0.51),
    (0.70, 0.50, 0.39),
    (0.54, 0.37, 0.28),
    (0.38, 0.26, 0.20),
)
FLUSH: Colour = (0.97, 0.80, 0.78)
FRECKLE: Colour = (0.72, 0.58, 0.50)
# Red lesions
SCALE: Colour = (0.93, 0.90, 0.87)
SERUM_CRUST: Colour = (0.72, 0.52, 0.30)
PUS: Colour = (0.95, 0.88, 0.66)
COMEDO: Colour = (0.20, 0.15, 0.13)
# Moles and growths
BROWN: Colour = (0.58, 0.42, 0.34)
BLACK: Colour = (0.30, 0.24, 0.22)
BLUE_GREY: Colour = (0.62, 0.64, 0.72)
VEIL: Colour = (0.80, 0.76, 0.76)
PEARL: Colour = (0.93, 0.76, 0.72)
BLOOD_CRUST: Colour = (0.45, 0.26, 0.18)
VESSEL: Colour = (0.78, 0.38, 0.38)


def paint_skin(rng: np.random.Generator, side: int, *, tone: int) -> Surface:
    """Return a patch of healthy skin; `tone` counts from 0 (type I) to 5 (type VI)."""
    # Complexion: the tone, a personal shade of it, and blotches.
    personal = planes(TONE_COLOURS[tone]) * (1 + rng.uniform(-0.05, 0.05, (3, 1, 1)).astype(np.float32))
    blotches = fractal(rng, side, 4, octaves=5) * np.float32(rng.uniform(0.015, 0.045))
    complexion: Field = personal * (1 + blotches * planes((0.6, 1.0, 1.1)))
    # Relief: the net of fine furrows, and a grain below it.
    cells = rng.uniform(32, 58)
    net = ridges(smooth(rng, side, cells, stretch=1.5), 0.35) + ridges(smooth(rng, side, cells), 0.3)
    grain = smooth(rng, side, side)
    relief: Field = np.float32(rng.uniform(-0.07, -0.015)) * net + grain * np.float32(0.02)
    bare = Surface(colour=complexion, height=relief)
    # Redness without a disease, in all classes.
    area = step(fractal(rng, side, 3, octaves=3), -0.4, 1.2)
    redness = float(rng.uniform(0, 1)) ** 2
    red, green, blue = (1 - redness * (1 - share) for share in FLUSH)
    surface = bare.stained(area, (red, green, blue))
    # Creases, pores and freckles, which only some people have.
    if rng.random() >= 0.45:
        long = smooth(rng, side, rng.uniform(7, 14), stretch=5)
        lines = ridges(long if rng.random() < 0.5 else long.T, 0.09) * strength(rng, 0.3, 1.0)
        surface = surface.stained(lines * np.float32(0.5), (0.86, 0.80, 0.78))
        surface = surface.raised(lines * np.float32(-0.22))
    if rng.random() >= 0.35:
        pores = step(smooth(rng, side, rng.uniform(45, 70)), 0.62, 0.95)
        surface = surface.stained(pores * strength(rng, 0.2, 0.6), (0.80, 0.74, 0.70)).raised(-pores / 12)
    if rng.random() >= 0.6:
        area = step(smooth(rng, side, 3), -0.2, 0.6)
        freckles = step(smooth(rng, side, rng.uniform(18, 34)), 0.55, 0.85) * area
        surface = surface.stained(freckles * strength(rng, 0.3, 0.8), FRECKLE)
    return surface


def paint_nothing(rng: np.random.Generator, surface: Surface) -> Surface:  # noqa: ARG001 - a painter
    """Leave the skin healthy."""
    return surface


def paint_flush(rng: np.random.Generator, skin: Surface) -> Surface:
    """Paint a red patch without any structure, as after sunburn."""
    soft = rng.uniform(0.4, 1.1)
    shape = blob(rng, skin.side, place_spot(rng, smallest=0.34, largest=0.66), irregular=0.3, soft=soft)
    return skin.stained(shape * strength(rng, 0.4, 1.0), _blood(rng))


def paint_eczema(rng: np.random.Generator, skin: Surface) -> Surface:
    """Paint a patch without a border: mottled red, small papules, fine flakes, scratches."""
    side = skin.side
    spot = place_spot(rng, smallest=0.34, largest=0.62)
    shape = blob(rng, side, spot, irregular=0.55, soft=rng.uniform(0.3, 0.9))
    mottled = shape * step(fractal(rng, side, 7, octaves=4), -0.9, 0.5)
    papules = shape * step(smooth(rng, side, rng.uniform(24, 36)), 0.12, 0.75)
    flakes = step(smooth(rng, side, rng.uniform(50, 75)), rng.uniform(0.1, 0.4), 0.8) * mottled
    red = skin.stained(mottled * strength(rng, 0.4, 0.85), _blood(rng))
    rough = red.stained(papules * strength(rng, 0.4, 0.8), _blood(rng))
    rough = rough.raised(papules * strength(rng, 0.18, 0.36))
    dry = rough.covered(flakes * strength(rng, 0.18, 0.5), SCALE).raised(flakes / 14)
    if rng.random() >= 0.6:
        crusts = step(smooth(rng, side, 14), 0.35, 0.7) * papules
        dry = dry.covered(crusts * np.float32(0.6), SERUM_CRUST).raised(crusts / 4)
    if rng.random() < 0.5:
        return dry
    # Parallel scratches, as by the nails of one hand.
    dx, dy = rng.normal(0, 0.22, 2)
    lines = []
    for _ in range(int(rng.integers(2, 7))):
        x, y = rng.uniform(-0.35, 0.35, 2)
        lines.append(curve((x, y), (x + dx / 2 + 0.03, y + dy / 2), (x + dx, y + dy)))
    cuts = draw_lines(lines, side=side, width=0.012)
    return dry.stained(cuts * strength(rng, 0.4, 0.9), (0.75, 0.45, 0.42)).raised(-cuts / 8)


def paint_psoriasis(rng: np.random.Generator, skin: Surface) -> Surface:
    """Paint raised, evenly red plaques with a clear border, under large silvery scales."""
    side = skin.side
    soft = rng.uniform(0.08, 0.25)
    shape = blob(rng, side, place_spot(rng, smallest=0.28, largest=0.52), irregular=0.28, soft=soft)
    if rng.random() < 0.5:
        more = scatter_spots(rng, int(rng.integers(1, 5)), spread=0.65, smallest=0.06, largest=0.16)
        shape = np.maximum(shape, dots(more, side, soft=0.3))
    grain = fractal(rng, side, int(rng.integers(9, 16)), octaves=3)
    plates = step(grain, rng.uniform(-0.5, 0.0), 0.8) * step(shape, 0.4, 1)
    plates = plates * step(smooth(rng, side, rng.uniform(30, 55)), -0.8, 0.4)
    cracks = ridges(smooth(rng, side, rng.uniform(12, 20)), 0.12) * plates
    raised = skin.stained(shape * strength(rng, 0.4, 0.95), _blood(rng))
    raised = raised.raised(shape * strength(rng, 0.15, 0.4))
    scaly = raised.covered(plates * strength(rng, 0.2, 0.6), SCALE).raised(plates * strength(rng, 0.1, 0.35))
    return scaly.stained(cracks / 2, (0.80, 0.66, 0.62)).raised(-cracks / 8)


def paint_acne(rng: np.random.Generator, skin: Surface) -> Surface:
    """Paint single papules with a red halo, some with pus, and black pores between them."""
    side = skin.side
    spots = scatter_spots(rng, int(rng.integers(5, 20)), spread=0.75, smallest=0.05, largest=0.13)
    halo = dots(spots, side, soft=1.0)
    cores = [Spot(x=spot.x, y=spot.y, radius=spot.radius * 0.55) for spot in spots]
    core = dots(cores, side, soft=0.9)
    ripe = dots([spot for spot in cores if rng.random() < 0.35], side, soft=0.8)
    black = scatter_spots(rng, int(rng.integers(0, 25)), spread=0.8, smallest=0.010, largest=0.022)
    pores = dots(black, side, soft=0.6)
    red = skin.stained(halo * strength(rng, 0.4, 0.9), _blood(rng))
    red = red.stained(core * strength(rng, 0.2, 0.6), _blood(rng))
    swollen = red.raised(core * strength(rng, 0.3, 0.8) + halo * np.float32(0.25))
    festered = swollen.covered(step(ripe, 0.35, 0.9) * np.float32(0.75), PUS)
    return festered.covered(pores * np.float32(0.6), COMEDO)


def paint_vascular(rng: np.random.Generator, skin: Surface) -> Surface:
    """Paint lakes of blood under smooth skin: round, dark red to blue, close together."""
    side = skin.side
    area = place_spot(rng, smallest=0.16, largest=0.36)
    near = scatter_spots(rng, int(rng.integers(3, 12)), spread=1, smallest=0.3, largest=0.75)
    deep = dots([spot.within(area) for spot in near], side, soft=rng.uniform(0.25, 0.8))
    wide = blob(rng, side, area, irregular=0.25, soft=0.7)
    blue = float(rng.uniform(0, 0.35))
    dark = (0.80 - 0.45 * blue, 0.30 + 0.15 * blue, 0.36 + 0.45 * blue)
    red = skin.stained(wide * strength(rng, 0.2, 0.8), _blood(rng))
    red = red.stained(deep * strength(rng, 0.5, 0.95), dark)
    return red.raised(deep * strength(rng, 0.2, 0.8))


def paint_nevus(rng: np.random.Generator, skin: Surface) -> Surface:
    """Paint one or a few moles: round, even, clearly bordered."""
    side = skin.side
    spot = place_spot(rng, smallest=0.13, largest=0.32)
    shape = blob(rng, side, spot, irregular=0.12, soft=rng.uniform(0.15, 0.5))
    if rng.random() < 0.35:
        more = scatter_spots(rng, int(rng.integers(1, 4)), spread=0.65, smallest=0.05, largest=0.10)
        shape = np.maximum(shape, dots(more, side, soft=0.5))
    brown = skin.stained(shape * strength(rng, 0.5, 1.0), BROWN).raised(shape * strength(rng, 0.1, 0.9))
    net = ridges(smooth(rng, side, rng.uniform(22, 34)), 0.4) * shape
    return brown.stained(net * strength(rng, 0.1, 0.4), BROWN)


def paint_melanoma(rng: np.random.Generator, skin: Surface) -> Surface:
    """Paint a large mark of many colours with a ragged, uneven border."""
    side = skin.side
    spot = place_spot(rng, smallest=0.22, largest=0.42)
    inside = depth(rng, side, spot, irregular=rng.uniform(0.35, 0.7))
    shape = step(inside, -0.05, rng.uniform(0.1, 0.3))
    # Three overlapping parts in black, blue-grey and white, none of them centred.
    parts = [step(fractal(rng, side, 4, octaves=4), 0.0, 0.5) * shape for _ in range(3)]
    brown = skin.stained(shape * strength(rng, 0.5, 0.95), BROWN).raised(shape * strength(rng, 0.1, 0.5))
    dark = brown.stained(parts[0] * strength(rng, 0.4, 0.95), BLACK)
    dark = dark.stained(parts[1] * strength(rng, 0, 0.8), BLUE_GREY)
    veiled = dark.covered(parts[2] * strength(rng, 0.0, 0.35), VEIL)
    around = scatter_spots(rng, int(rng.integers(0, 14)), spread=1.1, smallest=0.03, largest=0.10)
    globules = dots([globule.within(spot) for globule in around], side, soft=0.6)
    return veiled.stained(globules * np.float32(0.7), BLACK)


def paint_bcc(rng: np.random.Generator, skin: Surface) -> Surface:
    """Paint a pearly knot with a rolled rim, tree-like vessels, and often a crust in its middle."""
    side = skin.side
    spot = place_spot(rng, smallest=0.22, largest=0.42)
    inside = depth(rng, side, spot, irregular=0.15)
    shape, rim = step(inside, -0.1, 0.35), step(inside, -0.05, 0.25) * (1 - step(inside, 0.25, 0.7))
    pearl = skin.covered(shape * strength(rng, 0.1, 0.45), PEARL)
    pearl = pearl.raised(rim * strength(rng, 0.4, 0.9) + shape / 2)
    # Vessels that enter at the rim and fork once or twice.
    lines = []
    for _ in range(int(rng.integers(3, 7))):
        dx, dy = rng.normal(0, 0.7, 2) * spot.radius
        start, fork = (spot.x + dx * 1.5, spot.y + dy * 1.5), (spot.x + dx * 0.8, spot.y + dy * 0.8)
        lines.append(curve(start, (fork[0] + dy / 4, fork[1] - dx / 4), fork))
        for _ in range(int(rng.integers(1, 4))):
            ex, ey = rng.normal(0, 0.4, 2) * spot.radius
            lines.append(curve(fork, (fork[0] + ey / 3, fork[1] - ex / 3), (fork[0] + ex, fork[1] + ey)))
    trees = draw_lines(lines, side=side, width=0.009) * step(inside, -0.15, 0.1)
    surface = pearl.stained(trees * strength(rng, 0.4, 0.9), VESSEL)
    if rng.random() < 0.4:
        return surface
    rough = fractal(rng, side, 12, octaves=3)
    crust = step(inside + rough / 4, rng.uniform(0.45, 0.65), 0.9)
    return surface.covered(crust * strength(rng, 0.5, 0.85), BLOOD_CRUST).raised(crust * (rough - 1) / 4)


def _blood(rng: np.random.Generator) -> Colour:
    """Draw the tint of blood below the skin, which is the same for every red class."""
    amount = float(rng.uniform(0.8, 1.2))
    return 1 - 0.05 * amount, 1 - 0.33 * amount, 1 - 0.32 * amount
