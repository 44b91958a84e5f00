"""One photograph of a patch: where the camera stands, the light, the lens, the sensor."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from dermpack.synthetic.field import Field, axes
from dermpack.synthetic.surface import Surface

PATCH = 1.4  # a patch is so much wider than a picture of it: room to turn and to move
QUARTERS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


def photograph(rng: np.random.Generator, patch: Surface, size: int) -> npt.NDArray[np.uint8]:
    """Shade, frame, light, blur, add noise: uint8 [size, size, 3]."""
    lit = np.clip(patch.shaded(light=_light(rng)) * np.float32(255), 0, 255).astype(np.uint8)
    framed = _framed(rng, Image.merge("RGB", [Image.fromarray(plane) for plane in lit]), size)
    seen = np.asarray(framed, dtype=np.float32).reshape(size, -1) * _lighting(rng, size)
    noise = rng.standard_normal((size, size), dtype=np.float32) * np.float32(rng.uniform(0.5, 3.5))
    seen += np.repeat(noise + np.float32(0.5), 3, axis=1)
    return np.clip(seen, 0, 255).astype(np.uint8).reshape(size, size, 3)


def patch_side(size: int) -> int:
    return max(8, round(size * PATCH))


def _light(rng: np.random.Generator) -> tuple[float, float]:
    x, y = rng.uniform(-1, 1, 2) * 0.9
    return float(x) + (0.35 if x > 0 else -0.35), float(y)


def _framed(rng: np.random.Generator, patch: Image.Image, size: int) -> Image.Image:
    """A turned, tilted and slightly moved square out of the patch, not quite in focus."""
    side, angle = patch.width, radians(rng.uniform(-15, 15))
    reach = rng.uniform(0.62, 0.72) * side / size  # patch pixels per picture pixel
    tilt_x, tilt_y = rng.uniform(0.92, 1.0, 2)
    a, b = reach * tilt_x * cos(angle), -reach * tilt_y * sin(angle)
    d, e = reach * tilt_x * sin(angle), reach * tilt_y * cos(angle)
    x, y = side * (0.5 + rng.uniform(-0.035, 0.035, 2))
    matrix = (a, b, x - (a + b) * size / 2, d, e, y - (d + e) * size / 2)
    framed = _turned(patch, int(rng.integers(4))).transform(
        (size, size), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    if rng.random() < 0.6:
        return framed
    return framed.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.9) * size / 224))


def _turned(patch: Image.Image, quarters: int) -> Image.Image:
    return patch.transpose(QUARTERS[quarters - 1]) if quarters else patch


def _lighting(rng: np.random.Generator, size: int) -> Field:
    """Exposure, white balance, a slope of light and darker corners: a factor for each [row, column * 3]."""
    x, y = axes(size)
    slope_x, slope_y = rng.uniform(-0.14, 0.14, 2).astype(np.float32)
    corners = np.float32(rng.uniform(0, 0.16)) * (x * x + y * y)
    gains = (rng.uniform(0.80, 1.10) * rng.uniform(0.945, 1.055, 3)).astype(np.float32)
    grey: Field = 1 + slope_x * x + slope_y * y - corners
    return np.repeat(grey, 3, axis=1) * np.tile(gains, size)
