"""Recognise the few formats that are opened, by content alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from dermpack.pixels.verdict import Reason, refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A format that is opened; `opened` reads its header by Pillow's class of it, and by no other."""

    name: str
    suffixes: frozenset[str]
    opened: Callable[[BytesIO], ImageFile]


JPEG = Format(name="JPEG", suffixes=frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}), opened=JpegImageFile)
PNG = Format(name="PNG", suffixes=frozenset({".png"}), opened=PngImageFile)
WEBP = Format(name="WebP", suffixes=frozenset({".webp"}), opened=WebPImageFile)
BMP = Format(name="BMP", suffixes=frozenset({".bmp", ".dib"}), opened=BmpImageFile)
TIFF = Format(name="TIFF", suffixes=frozenset({".tif", ".tiff"}), opened=TiffImageFile)
GIF = Format(name="GIF", suffixes=frozenset({".gif"}), opened=GifImageFile)

BEGINNINGS = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"BM", BMP),
    (b"II\x2a\x00", TIFF),
    (b"MM\x00\x2a", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
)


def recognise(data: bytes, *, where: str) -> Format:
    """The format of the bytes, whatever the file is called."""
    for beginning, form in BEGINNINGS:
        if data.startswith(beginning):
            return form
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    raise refusal(where, Reason.NOT_A_PICTURE, "holds no JPEG, PNG, WebP, BMP, TIFF or GIF")
