"""Decode a picture that is hostile until checked."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile

from dermpack.imaging.colour import to_rgb
from dermpack.imaging.exif import orientation_of, upright
from dermpack.imaging.formats import PictureFormat, recognise
from dermpack.imaging.picture_file import name_of, read_source
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits, Note, Reason, refusal

Pixels = NDArray[np.uint8]

# Everything that Pillow was seen to throw, or says it throws, on hostile bytes.
PILLOW_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(EOFError, MemoryError, RuntimeError, AssertionError, struct.error, zlib.error),
    Image.DecompressionBombError,
)


BYTE_COUNT = re.compile(r" \(\d+ bytes not processed\)")
BAND_ROWS = 64  # a band stays in the cache: 12 megapixels copy in 12 ms, and in 47 ms as a whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A picture as a person sees it: uint8 [height, width, 3], upright, RGB."""

    pixels: Pixels
    notes: tuple[Note, ...] = ()


def decode(
    source: Path | bytes, *, limits: DecodingLimits = DEFAULT_LIMITS, at_least: int | None = None
) -> Decoded:
    """Decode one picture, or raise a PictureError that names the reason.

    With `at_least`, a JPEG may come reduced (1/2, 1/4, 1/8) while its short side stays at least that long.
    """
    image, notes = decode_image(source, limits=limits, at_least=at_least)
    return Decoded(pixels=_array(image), notes=notes)


def decode_image(
    source: Path | bytes, *, limits: DecodingLimits, at_least: int | None
) -> tuple[Image.Image, tuple[Note, ...]]:
    """`decode`, left in Pillow's memory for what comes next."""
    data, where = read_source(source, limits=limits), name_of(source)
    form = recognise(data, where=where)
    container = form.read(data, where=where)
    if container.size is not None:
        _check_size(container.size, limits, where)
    orientation, exif_notes = orientation_of(container.exif)
    try:
        opened = form.opened(BytesIO(container.data))
        _check_size(opened.size, limits, where)
        loaded = _loaded(opened, at_least)
        _check_rows(loaded, form, container.data, where)
        rgb, colour_notes = to_rgb(loaded, depth=container.depth, where=where)
        image = upright(rgb, orientation)
    except PILLOW_ERRORS as error:
        what = f"cannot be decoded ({_said(error)})"
        raise refusal(where, _reason_of(error), what) from error
    return image, (*_extension_notes(source, form), *exif_notes, *colour_notes)


def _said(error: Exception) -> str:
    """What Pillow says, without its byte counts, which differ from version to version."""
    return BYTE_COUNT.sub("", str(error)) or type(error).__name__


def _reason_of(error: Exception) -> Reason:
    if isinstance(
        error, Image.DecompressionBombError
    ):  # TIFF and WebP, where `limits` allow more than Pillow
        return Reason.TOO_LARGE
    return Reason.TRUNCATED if "truncated" in str(error).lower() else Reason.BROKEN


def _extension_notes(source: Path | bytes, form: PictureFormat) -> tuple[Note, ...]:
    suffix = "" if isinstance(source, bytes) else source.suffix.lower()
    return (Note.WRONG_EXTENSION,) if suffix and suffix not in form.suffixes else ()


def _check_size(size: tuple[int, int], limits: DecodingLimits, where: str) -> None:
    width, height = size
    if max(size) > limits.max_side or width * height > limits.max_pixels:
        limit = f"at most {limits.max_pixels:,} pixels and {limits.max_side:,} per side are allowed"
        raise refusal(where, Reason.TOO_LARGE, f"{width} × {height} pixels, but {limit}")


def _loaded(image: ImageFile, at_least: int | None) -> ImageFile:
    if at_least is not None:
        image.draft(None, (at_least, at_least))  # JPEG only; the other formats do nothing
    image.load()
    return image


def _check_rows(image: ImageFile, form: PictureFormat, data: bytes, where: str) -> None:
    """Pillow leaves the rows that a stream lacks at zero: where the last ones are so, count."""
    if form.has_all_rows is None:
        return
    last = np.asarray(
        image.crop((0, max(image.height - 2, 0), *image.size))
    )  # two: interlaced ones alternate
    if not last.reshape(len(last), -1).any(axis=1).all() and not form.has_all_rows(data):
        raise refusal(where, Reason.TRUNCATED, "fewer rows of pixels than the header declares")


def _array(image: Image.Image) -> Pixels:
    """Copy the pixels out, band by band."""
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return pixels
