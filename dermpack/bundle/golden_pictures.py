"""Make or take the pictures that show an app whether it sees what Python sees."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dermpack.errors import InputError
from dermpack.imaging import Pixels, decode
from dermpack.imaging.exif import ORIENTATION_TAG
from dermpack.synthetic import render

PNG_BEGINNING, JPEG_BEGINNING = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNG_DEPTH_AT = 24
EXACT_BITS = 8  # decoders differ in how they shorten more
MAX_GIVEN, MAX_GIVEN_BYTES = 64, 8 << 20
CLASSES, SEED = 7, 0  # of the generated scenes: every kind of them
QUALITY = 90  # JPEG
SHADE_ACROSS, SHADE_DOWN = 0.45, 0.25  # so that no turn or mirror image of a scene looks like another
BACK = {  # how an upright picture is stored so that the orientation turns it upright again
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPicture:
    """A picture file; of an exact one every decoder makes the same pixels."""

    name: str
    data: bytes
    is_exact: bool


def generated(size: int) -> tuple[GoldenPicture, ...]:
    """PNG: as large as the model's input, wide, tall and too small, turned, transparent. JPEG: turned in each
    way, and so large that it is decoded at half its size. They show no person and mean nothing."""
    wide, tall = (2 * size + 7, size + 3), (size // 2 + 1, size // 2 + 10)
    landscape = (size * 3 // 2, size + 1)
    large = (4 * size + 33, 4 * size + 8)
    return (
        _png("square", _scene(0, (size, size))),
        _png("wide", _scene(3, wide)),
        _png("tall", _scene(4, tall)),
        _png("turned", _scene(7, landscape), orientation=6),
        _png("clear", _clear(_scene(8, landscape))),
        *(_jpeg(f"turned-{of}", _scene(12, landscape), orientation=of) for of in BACK),
        _jpeg("large", _enlarged(_scene(14, (large[0] // 4, large[1] // 4)), large), orientation=1),
    )


def given(files: Sequence[Path]) -> tuple[GoldenPicture, ...]:
    """The user's own pictures, under names without anything of theirs."""
    if not 0 < len(files) <= MAX_GIVEN:
        what = f"from 1 to {MAX_GIVEN} are allowed"
        hint = f"Give at most {MAX_GIVEN} pictures."
        raise InputError(f"{len(files)} golden pictures", what, hint, code="invalid-option")
    return tuple(_given(number, file) for number, file in enumerate(files, 1))


def _given(number: int, file: Path) -> GoldenPicture:
    decode(file)  # a PictureError says what is wrong with it
    data = file.read_bytes()
    if len(data) > MAX_GIVEN_BYTES:
        what = f"the picture has {len(data):,} bytes; at most {MAX_GIVEN_BYTES:,} are allowed"
        hint = "Give a smaller picture, because the app will contain it."
        raise InputError(file, what, hint, code="file-too-large")
    if data.startswith(PNG_BEGINNING):
        is_exact = data[PNG_DEPTH_AT] <= EXACT_BITS
        return GoldenPicture(name=f"given-{number:02}.png", data=data, is_exact=is_exact)
    if data.startswith(JPEG_BEGINNING):
        return GoldenPicture(name=f"given-{number:02}.jpg", data=data, is_exact=False)
    hint = "Give a PNG or JPEG file, which every phone can open."
    raise InputError(file, "neither PNG nor JPEG", hint, code="picture-unsupported")


def _scene(number: int, size: tuple[int, int]) -> Image.Image:
    """A generated picture, darker to the right and to the bottom."""
    width, height = size
    side = max(size)
    left, top = (side - width) // 2, (side - height) // 2
    seen = render(number, classes=CLASSES, size=side, seed=SEED)[top : top + height, left : left + width]
    across = np.linspace(1, 1 - SHADE_ACROSS, width)[None, :, None]
    down = np.linspace(1, 1 - SHADE_DOWN, height)[:, None, None]
    shaded: Pixels = np.rint(seen * across * down).astype(np.uint8)
    return Image.fromarray(shaded)


def _clear(image: Image.Image) -> Image.Image:
    """Half transparent in the middle, opaque to the left, gone to the right."""
    alpha = np.linspace(255, 0, image.width).round().astype(np.uint8)
    image.putalpha(Image.fromarray(np.tile(alpha, (image.height, 1))))
    return image


def _enlarged(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Smooth, and so a small file."""
    return image.resize(size, Image.Resampling.BICUBIC)


def _png(name: str, upright: Image.Image, *, orientation: int = 1) -> GoldenPicture:
    data = _stored(upright, orientation, "PNG", compress_level=9)
    return GoldenPicture(name=f"{name}.png", data=data, is_exact=True)


def _jpeg(name: str, upright: Image.Image, *, orientation: int) -> GoldenPicture:
    data = _stored(upright, orientation, "JPEG", quality=QUALITY)
    return GoldenPicture(name=f"{name}.jpg", data=data, is_exact=False)


def _stored(upright: Image.Image, orientation: int, form: str, **settings: int) -> bytes:
    back, exif, buffer = BACK[orientation], Image.Exif(), io.BytesIO()
    exif[ORIENTATION_TAG] = orientation
    stored = upright.transpose(back) if back is not None else upright
    stored.save(buffer, form, exif=exif, **settings)
    return buffer.getvalue()
