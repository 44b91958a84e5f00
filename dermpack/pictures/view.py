"""One photograph of a patch: where the camera stands, the light, the lens, the sensor."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from dermpack.pictures.field import Field, axes
from dermpack.pictures.surface import Surface

PATCH = 1.4  # a patch is so much wider than a picture of it: room to turn and to move


def photograph(rng: np.random.Generator, patch: Surface, size: int) -> npt.NDArray[np.uint8]:
    """Shade, frame, light, blur, add noise: uint8 [size, size, 3]."""
    lit = patch.shaded(light=_light(rng))
    framed = _framed(rng, np.clip(lit * np.float32(255), 0, 255).astype(np.uint8), size)
    seen = np.asarray(framed, dtype=np.float32) * _lighting(rng, size)
    noise = rng.standard_normal((size, size, 1), dtype=np.float32) * np.float32(rng.uniform(0.5, 3.5))
    return np.clip(seen + noise + np.float32(0.5), 0, 255).astype(np.uint8)


def patch_side(size: int) -> int:
    return max(8, round(size * PATCH))


def _light(rng: np.random.Generator) -> tuple[float, float]:
    x, y = rng.uniform(-1, 1, 2) * 0.9
    return float(x) + (0.35 if x > 0 else -0.35), float(y)


def _framed(rng: np.random.Generator, pixels: npt.NDArray[np.uint8], size: int) -> Image.Image:
    """A turned, tilted and slightly moved square out of the patch, not quite in focus."""
    side, angle = len(pixels), radians(rng.uniform(-15, 15))
    reach = rng.uniform(0.62, 0.72) * side / size  # patch pixels per picture pixel
    tilt_x, tilt_y = rng.uniform(0.92, 1.0, 2)
    a, b = reach * tilt_x * cos(angle), -reach * tilt_y * sin(angle)
    d, e = reach * tilt_x * sin(angle), reach * tilt_y * cos(angle)
    x, y = side * (0.5 + rng.uniform(-0.035, 0.035, 2))
    matrix = (a, b, x - (a + b) * size / 2, d, e, y - (d + e) * size / 2)
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(pixels, int(rng.integers(4)))))
    framed = turned.transform((size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
    return framed.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8) * size / 224))


def _lighting(rng: np.random.Generator, size: int) -> Field:
    """Exposure, white balance, a slope of light and darker corners; the same for every class."""
    x, y = axes(size)
    slope_x, slope_y = rng.uniform(-0.14, 0.14, 2).astype(np.float32)
    corners = np.float32(rng.uniform(0, 0.16)) * (x * x + y * y)
    gains = rng.uniform(0.78, 1.10) * rng.uniform(0.93, 1.07, 3)
    field: Field = (1 + slope_x * x + slope_y * y - corners)[..., np.newaxis] * gains.astype(np.float32)
    return field
