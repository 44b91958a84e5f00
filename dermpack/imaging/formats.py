"""Detect the format of a picture by its content; only the formats of this list are ever opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from dermpack.imaging.containers import Container, read_gif, read_jpeg, read_png, read_tiff, read_webp
from dermpack.imaging.rejection import Reason, picture_error


class ContainerReader(Protocol):
    """Read what surrounds the pixels, or raise a PictureError."""

    def __call__(self, data: bytes, *, where: str) -> Container: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFormat:
    """A supported format and the Pillow class that opens it; Pillow's own detection is not used."""

    suffixes: frozenset[str]
    image_file: type[ImageFile]
    read: ContainerReader | None = None  # None: Pillow reports every fault of the format


JPEG = PictureFormat(
    suffixes=frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}), image_file=JpegImageFile, read=read_jpeg
)
PNG = PictureFormat(suffixes=frozenset({".png"}), image_file=PngImageFile, read=read_png)
WEBP = PictureFormat(suffixes=frozenset({".webp"}), image_file=WebPImageFile, read=read_webp)
BMP = PictureFormat(suffixes=frozenset({".bmp", ".dib"}), image_file=BmpImageFile)
TIFF = PictureFormat(suffixes=frozenset({".tif", ".tiff"}), image_file=TiffImageFile, read=read_tiff)
GIF = PictureFormat(suffixes=frozenset({".gif"}), image_file=GifImageFile, read=read_gif)

SUFFIXES = frozenset().union(*(form.suffixes for form in (JPEG, PNG, WEBP, BMP, TIFF, GIF)))

SIGNATURES = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"BM", BMP),
    (b"II\x2a\x00", TIFF),
    (b"MM\x00\x2a", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
)
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"mif1", b"msf1", b"avif", b"avis")  # of phones


def detect_format(data: bytes, *, where: str) -> PictureFormat:
    """Return the format of the bytes; the extension of the file does not matter."""
    for signature, form in SIGNATURES:
        if data.startswith(signature):
            return form
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS:
        raise picture_error(where, Reason.NOT_A_PICTURE, "contains HEIC or AVIF, whatever the extension")
    raise picture_error(where, Reason.NOT_A_PICTURE, "not a JPEG, PNG, WebP, BMP, TIFF or GIF")
