"""Draw marks as photographs of skin carry them: letters in a corner, a ruler at an edge, a line of text.

A mark is a layer over a square picture: [side, side, 2] bytes, its brightness and its opacity. The same seed
and versions give the same bytes.
"""

from __future__ import annotations

import io
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
LETTER_SHARE = (0.09, 0.16)  # height of a letter, as a share of the side
TEXT_SHARE = (0.045, 0.07)  # of a line of text
RULER_SHARE = (0.05, 0.09)  # of the longest tick
TICK_SHARES = (0.025, 0.05)  # from one tick to the next
LONG_TICK_EVERY = 5
MARGIN_SHARE = (0.01, 0.05)  # from the edge
OPACITIES = (170, 255)
DARK_CHANCE = 0.25  # most marks are white
MIN_FONT_PX = 7  # smaller letters are no longer shapes


class MarkKind(Enum):
    """What is added to a picture; a shortcut can be any of them."""

    LETTERS = "letters"
    RULER = "ruler"
    CORNER_TEXT = "corner text"


def draw_mark(kind: MarkKind, side: int, *, seed: tuple[int, ...]) -> Pixels:
    """Return a layer [side, side, 2] with one mark of random size, place, text and shade."""
    rng = np.random.default_rng((*seed, list(MarkKind).index(kind)))
    margin = round(side * rng.uniform(*MARGIN_SHARE))
    mask = Image.new("L", (side, side))
    if kind is MarkKind.RULER:
        _draw_ruler(ImageDraw.Draw(mask), side, margin, rng)
        mask = mask.transpose(list(Image.Transpose)[rng.integers(4)])  # mirrored or turned: any edge
    else:
        if kind is MarkKind.LETTERS:
            shares, text = LETTER_SHARE, "".join(rng.choice(list(LETTERS), rng.integers(1, 4)))
        else:
            year, month, day = rng.integers(1998, 2026), rng.integers(1, 13), rng.integers(1, 29)
            shares, text = TEXT_SHARE, f"{year}-{month:02}-{day:02} No {rng.integers(100, 10_000)}"
        font = ImageFont.load_default(size=max(MIN_FONT_PX, round(side * rng.uniform(*shares))))
        left, top, right, bottom = font.getbbox(text)
        # The box of the text moves into one of the four corners.
        x = margin - left if rng.random() < 0.5 else side - margin - right
        y = margin - top if rng.random() < 0.5 else side - margin - bottom
        ImageDraw.Draw(mask).text((x, y), text, fill=255, font=font)
    opacity = np.asarray(mask, np.float32) * (rng.integers(*OPACITIES) / 255)
    brightness = rng.integers(0, 40) if rng.random() < DARK_CHANCE else rng.integers(215, 256)
    return np.stack([np.full((side, side), brightness, np.uint8), opacity.astype(np.uint8)], axis=2)


def draw_marks(side: int, *, count: int, seed: int) -> Pixels:
    """Return [count, side, side, 2]: marks of all kinds in turn."""
    kinds = list(MarkKind)
    return np.stack([draw_mark(kinds[i % len(kinds)], side, seed=(seed, i)) for i in range(count)])


def paint_mark(picture: Pixels, mark: Pixels) -> Pixels:
    """Return the picture [side, side, 3] with the mark over it."""
    brightness, opacity = (mark[..., channel, None].astype(np.float32) for channel in (0, 1))
    blended = picture + (brightness - picture) * (opacity / 255)
    return np.asarray(np.rint(blended), np.uint8)


def encode_png(picture: Pixels) -> bytes:
    """Return the picture as a PNG without loss."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _draw_ruler(draw: ImageDraw.ImageDraw, side: int, margin: int, rng: np.random.Generator) -> None:
    """Draw the ticks of a ruler along the upper edge; the longer ones are five apart."""
    length, gap = side * rng.uniform(*RULER_SHARE), max(2.0, side * rng.uniform(*TICK_SHARES))
    width = max(1, round(side / 160))
    for tick in range(int((side - margin) / gap)):
        x = margin + round(tick * gap)
        reach = length if tick % LONG_TICK_EVERY == 0 else length / 2
        draw.line((x, margin, x, margin + round(reach)), fill=255, width=width)
