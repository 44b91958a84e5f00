"""Generate or read the golden pictures, which show whether an app prepares pictures as Python does."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dermpack.errors import InputError
from dermpack.imaging import Pixels, decode
from dermpack.imaging.exif import ORIENTATION_TAG, TURNS
from dermpack.synthetic import render

PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNG_DEPTH_OFFSET = 24
MAX_EXACT_BITS = 8  # decoders differ in how they shorten deeper samples
MAX_GIVEN, MAX_GIVEN_BYTES = 64, 8 << 20
CLASSES, SEED = 7, 0  # of the generated scenes: all kinds of lesions
QUALITY = 90  # JPEG
SHADE_ACROSS, SHADE_DOWN = 0.45, 0.25  # a shaded scene differs from all its turns and mirror images
# How to store an upright picture, so that its EXIF orientation turns it upright again.
# Orientations are their own inverse, except for the two quarter turns.
STORED_AS: dict[int, Image.Transpose | None] = {
    1: None,
    **TURNS,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPicture:
    """A picture file; every decoder gives the same pixels for an exact one."""

    name: str
    data: bytes
    is_exact: bool


def generate_golden_pictures(size: int) -> tuple[GoldenPicture, ...]:
    """Generate pictures for a model with inputs of size × size pixels. They show no person.

    PNG: of exactly this size, wide, tall and smaller, with an orientation, transparent. JPEG: in each
    orientation, and so large that it is decoded at half its size.
    """
    wide, tall = (2 * size + 7, size + 3), (size // 2 + 1, size // 2 + 10)
    landscape = (size * 3 // 2, size + 1)
    large = (4 * size + 33, 4 * size + 8)
    # Transparent: opaque to the left, half transparent in the middle, invisible to the right.
    clear = _scene(8, landscape)
    alpha = np.linspace(255, 0, clear.width).round().astype(np.uint8)
    clear.putalpha(Image.fromarray(np.tile(alpha, (clear.height, 1))))
    # Enlarged: a smooth picture is a small file.
    enlarged = _scene(14, (large[0] // 4, large[1] // 4)).resize(large, Image.Resampling.BICUBIC)
    return (
        _encode_png("square", _scene(0, (size, size))),
        _encode_png("wide", _scene(3, wide)),
        _encode_png("tall", _scene(4, tall)),
        _encode_png("turned", _scene(7, landscape), orientation=6),
        _encode_png("clear", clear),
        *(_encode_jpeg(f"turned-{turn}", _scene(12, landscape), orientation=turn) for turn in STORED_AS),
        _encode_jpeg("large", enlarged, orientation=1),
    )


def read_golden_pictures(files: Sequence[Path]) -> tuple[GoldenPicture, ...]:
    """Read the user's own pictures; their new names contain nothing of the old ones."""
    if not 0 < len(files) <= MAX_GIVEN:
        what = f"from 1 to {MAX_GIVEN} are allowed"
        hint = f"Give at most {MAX_GIVEN} pictures."
        raise InputError(f"{len(files)} golden pictures", what, hint, code="invalid-option")
    return tuple(_read_picture(number, file) for number, file in enumerate(files, 1))


def _read_picture(number: int, file: Path) -> GoldenPicture:
    decode(file)  # raises a PictureError that names the fault
    data = file.read_bytes()
    if len(data) > MAX_GIVEN_BYTES:
        what = f"the picture has {len(data):,} bytes; at most {MAX_GIVEN_BYTES:,} are allowed"
        hint = "Give a smaller picture, because the app will contain it."
        raise InputError(file, what, hint, code="file-too-large")
    if data.startswith(PNG_SIGNATURE):
        is_exact = data[PNG_DEPTH_OFFSET] <= MAX_EXACT_BITS
        return GoldenPicture(name=f"given-{number:02}.png", data=data, is_exact=is_exact)
    if data.startswith(JPEG_SIGNATURE):
        return GoldenPicture(name=f"given-{number:02}.jpg", data=data, is_exact=False)
    hint = "Give a PNG or JPEG file, which every phone can open."
    raise InputError(file, "neither PNG nor JPEG", hint, code="picture-unsupported")


def _scene(number: int, size: tuple[int, int]) -> Image.Image:
    """Return a generated picture that gets darker to the right and to the bottom."""
    width, height = size
    side = max(size)
    left, top = (side - width) // 2, (side - height) // 2
    scene = render(number, classes=CLASSES, size=side, seed=SEED)[top : top + height, left : left + width]
    across = np.linspace(1, 1 - SHADE_ACROSS, width)[None, :, None]
    down = np.linspace(1, 1 - SHADE_DOWN, height)[:, None, None]
    shaded: Pixels = np.rint(scene * across * down).astype(np.uint8)
    return Image.fromarray(shaded)


def _encode_png(name: str, upright: Image.Image, *, orientation: int = 1) -> GoldenPicture:
    data = _encode(upright, orientation, "PNG", compress_level=9)
    return GoldenPicture(name=f"{name}.png", data=data, is_exact=True)


def _encode_jpeg(name: str, upright: Image.Image, *, orientation: int) -> GoldenPicture:
    data = _encode(upright, orientation, "JPEG", quality=QUALITY)
    return GoldenPicture(name=f"{name}.jpg", data=data, is_exact=False)


def _encode(upright: Image.Image, orientation: int, form: str, **settings: int) -> bytes:
    turn, exif, buffer = STORED_AS[orientation], Image.Exif(), io.BytesIO()
    exif[ORIENTATION_TAG] = orientation
    stored = upright.transpose(turn) if turn is not None else upright
    stored.save(buffer, form, exif=exif, **settings)
    return buffer.getvalue()
