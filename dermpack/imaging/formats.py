"""Recognise the few formats that are opened, by content alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from dermpack.imaging.containers.bmp import read_bmp
from dermpack.imaging.containers.container import Container
from dermpack.imaging.containers.gif import read_gif
from dermpack.imaging.containers.jpeg import read_jpeg
from dermpack.imaging.containers.png import has_all_rows, read_png
from dermpack.imaging.containers.tiff import read_tiff
from dermpack.imaging.containers.webp import read_webp
from dermpack.imaging.rejection import Reason, refusal


class Reader(Protocol):
    """Read what surrounds the pixels, or refuse it."""

    def __call__(self, data: bytes, *, where: str) -> Container: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFormat:
    """A format that is opened, by Pillow's class of it and by no other."""

    suffixes: frozenset[str]
    read: Reader
    opened: type[ImageFile]
    has_all_rows: Callable[[bytes], bool] | None = None  # for a decoder that does not tell


JPEG = PictureFormat(
    suffixes=frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}), read=read_jpeg, opened=JpegImageFile
)
PNG = PictureFormat(
    suffixes=frozenset({".png"}), read=read_png, opened=PngImageFile, has_all_rows=has_all_rows
)
WEBP = PictureFormat(suffixes=frozenset({".webp"}), read=read_webp, opened=WebPImageFile)
BMP = PictureFormat(suffixes=frozenset({".bmp", ".dib"}), read=read_bmp, opened=BmpImageFile)
TIFF = PictureFormat(suffixes=frozenset({".tif", ".tiff"}), read=read_tiff, opened=TiffImageFile)
GIF = PictureFormat(suffixes=frozenset({".gif"}), read=read_gif, opened=GifImageFile)

SUFFIXES = frozenset().union(*(form.suffixes for form in (JPEG, PNG, WEBP, BMP, TIFF, GIF)))

BEGINNINGS = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"BM", BMP),
    (b"II\x2a\x00", TIFF),
    (b"MM\x00\x2a", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
)
PHONES = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")  # what phones save beside JPEG


def recognise(data: bytes, *, where: str) -> PictureFormat:
    """The format of the bytes, whatever the file is called."""
    for beginning, form in BEGINNINGS:
        if data.startswith(beginning):
            return form
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp" and data[8:12] in PHONES:
        raise refusal(where, Reason.NOT_A_PICTURE, "contains HEIC or AVIF, whatever the extension")
    raise refusal(where, Reason.NOT_A_PICTURE, "not a JPEG, PNG, WebP, BMP, TIFF or GIF")
