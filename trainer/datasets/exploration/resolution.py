"""How large the pictures are, and of which shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dermpack.dataset.manifest import Picture

MAX_SHAPES = 20
BINS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How many pictures have one size."""

    width: int
    height: int
    pictures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSpread:
    """The smallest, the middle and the largest."""

    least: float
    median: float
    most: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Pictures between one edge and the next."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The sizes of the pictures."""

    widths: SizeSpread
    heights: SizeSpread
    aspects: SizeSpread  # width / height
    short_side: Histogram
    aspect: Histogram
    different: int
    shapes: tuple[Shape, ...]  # the most frequent ones


def resolution(pictures: Sequence[Picture]) -> Resolution | None:
    """The spread of the sizes, or None where there is no picture."""
    if not pictures:
        return None
    sizes = Counter((picture.width, picture.height) for picture in pictures)
    frequent = sorted(sizes.items(), key=lambda pair: (-pair[1], pair[0]))[:MAX_SHAPES]
    return Resolution(
        widths=_spread([picture.width for picture in pictures]),
        heights=_spread([picture.height for picture in pictures]),
        aspects=_spread([picture.width / max(picture.height, 1) for picture in pictures]),
        short_side=_histogram([min(picture.width, picture.height) for picture in pictures]),
        aspect=_histogram([picture.width / max(picture.height, 1) for picture in pictures]),
        different=len(sizes),
        shapes=tuple(Shape(width=w, height=h, pictures=n) for (w, h), n in frequent),
    )


def _spread(values: Sequence[float]) -> SizeSpread:
    ordered = sorted(values)
    return SizeSpread(least=ordered[0], median=ordered[len(ordered) // 2], most=ordered[-1])


def _histogram(values: Sequence[float]) -> Histogram:
    counts, edges = np.histogram(values, bins=BINS)
    return Histogram(edges=tuple(map(float, edges)), counts=tuple(map(int, counts)))
