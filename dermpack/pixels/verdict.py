"""What is said of a picture: refused and why, or kept and with which note."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from dermpack.errors import PictureError


class Reason(Enum):
    """Why a picture is refused; the value is the word in findings and in `PictureError.reason`."""

    EMPTY = "empty"
    NOT_A_PICTURE = "not-a-picture"
    TRUNCATED = "truncated"
    BROKEN = "broken"
    TOO_LARGE = "too-large"  # pixels or a side, by the header
    TOO_HEAVY = "too-heavy"  # bytes of the file
    ANIMATED = "animated"
    SEVERAL_PAGES = "several-pages"
    UNSUPPORTED = "unsupported"  # samples or a compression that cannot be converted faithfully
    LINK = "link"
    NOT_A_FILE = "not-a-file"
    UNREADABLE = "unreadable"


class Note(Enum):
    """Kept, but converted or odd."""

    WRONG_EXTENSION = "wrong-extension"
    ORIENTED = "oriented"  # turned or mirrored as its EXIF says
    BROKEN_EXIF = "broken-exif"  # EXIF that cannot be read; taken as upright
    GREY = "grey"  # the three channels are equal
    PALETTE = "palette"
    ALPHA = "alpha"  # laid over white
    CMYK = "cmyk"  # red = (255 - cyan)(255 - black) / 255 …; colour profiles are not applied
    SIXTEEN_BIT = "sixteen-bit"  # the high byte is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a picture may cost before anything of it is decoded."""

    max_bytes: int = 64 << 20
    max_pixels: int = 64 << 20  # a 64-megapixel telephone still passes
    max_side: int = 1 << 15


DEFAULT_LIMITS = Limits()
_CURES = {
    Reason.TOO_LARGE: "make it smaller, or raise the limit",
    Reason.TOO_HEAVY: "make it smaller, or raise the limit",
    Reason.LINK: "put the file itself in its place",
    Reason.NOT_A_FILE: "give the path of a picture",
    Reason.UNREADABLE: "check the path and its permissions",
    Reason.ANIMATED: "save one frame of it",
    Reason.SEVERAL_PAGES: "save one page of it",
    Reason.UNSUPPORTED: "save it as an 8-bit RGB JPEG or PNG",
    Reason.NOT_A_PICTURE: "remove it, or save it as a JPEG or PNG",
}


def refusal(where: object, reason: Reason, what: str) -> PictureError:
    """The error that refuses a picture, with the cure that fits the reason."""
    return PictureError(where, reason.value, what, _CURES.get(reason, "take it from its source again"))
