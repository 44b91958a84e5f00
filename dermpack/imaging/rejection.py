"""Reasons why pictures are rejected, notes on pictures that are kept, and the limits of decoding."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dermpack.errors import PictureError


class Reason(Enum):
    """Why a picture is rejected; the value is `PictureError.reason` and part of its code."""

    EMPTY = "empty"
    NOT_A_PICTURE = "not-a-picture"
    TRUNCATED = "truncated"
    BROKEN = "broken"
    TOO_LARGE = "too-large"  # pixels or a side, by the header
    TOO_HEAVY = "too-heavy"  # bytes of the file
    DECOMPRESSION_BOMB = "decompression-bomb"
    TOO_COSTLY = "too-costly"  # decoding reached the limit of memory or time
    ANIMATED = "animated"
    SEVERAL_PAGES = "several-pages"
    MISSING_EXTRA = "missing-extra"  # the format is decoded by an optional package
    UNSUPPORTED = "unsupported"  # samples or a compression that cannot be converted exactly
    LINK = "link"
    NOT_A_FILE = "not-a-file"
    UNREADABLE = "unreadable"


class Note(Enum):
    """How a picture that is kept was converted, or what is unusual about it."""

    WRONG_EXTENSION = "wrong-extension"
    ORIENTED = "oriented"  # turned or mirrored by its EXIF orientation
    BROKEN_EXIF = "broken-exif"  # invalid EXIF; the picture is taken as upright
    GREY = "grey"  # the three channels are equal
    PALETTE = "palette"
    ALPHA = "alpha"  # blended with white
    CMYK = "cmyk"  # red = (255 - cyan)(255 - black) / 255 …; colour profiles are not applied
    SIXTEEN_BIT = "sixteen-bit"  # the high byte is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodingLimits:
    """The largest picture that is decoded; larger ones are rejected by their headers."""

    max_bytes: int = 64 << 20
    max_pixels: int = 64 << 20  # the 64 megapixels of a phone still pass
    max_side: int = 1 << 15


DEFAULT_LIMITS = DecodingLimits()
HINTS = {
    Reason.TOO_LARGE: "Make the picture smaller, or raise the limit.",
    Reason.TOO_HEAVY: "Make the picture smaller, or raise the limit.",
    Reason.DECOMPRESSION_BOMB: "Do not open the file: it was built to fill the memory.",
    Reason.TOO_COSTLY: "Save it again with another program, or make it smaller.",
    Reason.LINK: "Replace the link by the file itself.",
    Reason.NOT_A_FILE: "Give the path of a picture.",
    Reason.UNREADABLE: "Check the path and its permissions.",
    Reason.ANIMATED: "Save a single frame of it.",
    Reason.SEVERAL_PAGES: "Save a single page of it.",
    Reason.UNSUPPORTED: "Save it as an 8-bit RGB JPEG or PNG.",
    Reason.NOT_A_PICTURE: "Remove the file, or convert it to JPEG or PNG.",
}
OTHER_HINT = "Get the picture from its source again."


def picture_error(where: object, reason: Reason, what: str) -> PictureError:
    """Return the error that rejects a picture, with the hint that fits the reason."""
    return PictureError(where, reason.value, what, HINTS.get(reason, OTHER_HINT))
