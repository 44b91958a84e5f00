"""Measure sharpness, exposure and the outer border of pictures from their pixels, without any network.

The border is described by the colour, the contrast and the edges of 16 tiles along its sides: letters,
rulers, ink, frames and dark corners change them. On planted marks these 128 numbers predicted the label as
well as the network's features of a picture with a grey centre or better, except for a dot of ink on clinical
photographs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermpack.errors import PictureError
from dermpack.imaging.decoding import decode
from dermpack.imaging.picture_decoder import PICTURE_SECONDS, decoding_memory
from dermpack.imaging.preprocessing import MARGIN, Policy, resize_image
from dermpack.imaging.rejection import DEFAULT_LIMITS
from dermpack.processes.limits import allow_cpu_seconds
from dermpack.processes.process_pool import available_jobs, map_each
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_file
from trainer.datasets.picture_features import SourcePicture

SIZE = 224  # pixels a side: details that a model of this size cannot see do not count
CHUNK_PICTURES = 32
TILES = 4  # along each side of the border
WHITE_FROM = 248  # of 255; nothing can be seen in pixels this bright
BRIGHTEST_PERCENT = 99  # of the grey levels: the brightest part without single pixels of glare
# Added to the variance of the Laplacian before and after smoothing: rounding to whole grey levels, which adds
# (16 + 4) / 12 before it only, then does not count as sharpness.
ROUNDING_VARIANCE = 2.0
Floats32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The measures of one picture."""

    sharpness: float  # how many times as strong fine edges are before as after smoothing; 1 is blurred
    brightest: float  # grey level, 0 to 255
    white: float  # share of the pixels
    border: Floats32


def measure_pictures(
    pictures: Sequence[SourcePicture], *, jobs: int | None = None, track: Track = silent
) -> list[Measured | None]:
    """Return the measures in the order of the pictures; None for one that is missing, changed or broken."""
    results: list[Measured | None] = [None] * len(pictures)
    work = map_each(
        _measure_file,
        pictures,
        chunk=CHUNK_PICTURES,
        jobs=jobs or available_jobs(),
        most_memory_bytes=decoding_memory(DEFAULT_LIMITS),
        lost=lambda _index, _ending: None,
    )
    for index, measured in track(work, total=len(pictures), what="measure"):
        results[index] = measured
    return results


def _measure_file(picture: SourcePicture) -> Measured | None:
    file, sha256 = picture
    allow_cpu_seconds(PICTURE_SECONDS)
    try:
        pixels = decode(file, at_least=MARGIN * SIZE).pixels
        if sha256_file(file) != sha256:
            return None
    except (PictureError, OSError):
        return None
    square = resize_image(Image.fromarray(pixels), SIZE, policy=Policy.WHOLE)
    return measure_pixels(np.asarray(square))


def measure_pixels(square: NDArray[np.uint8]) -> Measured:
    """Return the measures of an RGB picture of SIZE × SIZE pixels."""
    grey = square.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return Measured(
        sharpness=measure_sharpness(grey),
        brightest=round(float(np.percentile(grey, BRIGHTEST_PERCENT)), 2),
        white=round(float((grey >= WHITE_FROM).mean()), 4),
        border=_describe_border(square),
    )


def measure_sharpness(grey: Floats32) -> float:
    """Return the variance of the Laplacian divided by that of the smoothed picture.

    Smoothing takes most of the fine detail from a sharp picture and little from a blurred one, whatever the
    contrast of the picture is. A sharp photograph → 3 to 20; a picture blurred by a few pixels → 1.1 to 1.8.
    """
    before, after = _laplacian(grey).var(), _laplacian(_smooth(grey)).var()
    return round(float((before + ROUNDING_VARIANCE) / (after + ROUNDING_VARIANCE)), 3)


def _laplacian(grey: Floats32) -> Floats32:
    neighbours = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    laplacian: Floats32 = neighbours - 4 * grey[1:-1, 1:-1]
    return laplacian


def _smooth(grey: Floats32) -> Floats32:
    """Return the mean of each pixel and its eight neighbours."""
    rows = grey[:-2] + grey[1:-1] + grey[2:]
    smooth: Floats32 = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
    return smooth


def _describe_border(square: NDArray[np.uint8]) -> Floats32:
    """Return colour, deviation, edges down and across, largest and smallest grey of each tile, [128]."""
    depth, length = round(SIZE / 10), SIZE // TILES
    numbers: list[float] = []
    for side in range(4):
        strip = np.rot90(square, side)[:depth].astype(np.float32)
        for tile in range(TILES):
            part = strip[:, tile * length : (tile + 1) * length]
            grey = part.mean(axis=2)
            numbers += [*part.mean(axis=(0, 1)), grey.std(), grey.max(), grey.min()]
            numbers += [np.abs(np.diff(grey, axis=axis)).mean() for axis in (0, 1)]
    return np.array(numbers, dtype=np.float32)
