"""Walk the segments of a JPEG up to its scan."""

from __future__ import annotations

from collections.abc import Iterator

from dermpack.pixels.containers.container import Container
from dermpack.pixels.verdict import Reason, refusal

APP0, APP1, APP15, COMMENT = 0xE0, 0xE1, 0xEF, 0xFE
JFIF, ADOBE = APP0, 0xEE  # these two say how to read the colours
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
EXIF_BEGINNING = b"Exif\x00\x00"


def read_jpeg(data: bytes, *, where: str) -> Container:
    kept, exif, cut = [data[:2]], b"", False
    at = 2
    for marker, start, end in _segments(data, where):
        at = end
        if marker == APP1 and data.startswith(EXIF_BEGINNING, start + 4):
            exif = exif or data[start + 4 + len(EXIF_BEGINNING) : end]
        if _is_metadata(marker):
            cut = True
        else:
            kept.append(data[start:end])
    return Container(data=b"".join([*kept, memoryview(data)[at:]]) if cut else data, exif=exif)


def _is_metadata(marker: int) -> bool:
    return marker == COMMENT or (APP0 <= marker <= APP15 and marker not in (JFIF, ADOBE))


def _segments(data: bytes, where: str) -> Iterator[tuple[int, int, int]]:
    """Marker, first and behind the last byte of each segment before the first scan."""
    at = 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # fill bytes are allowed
            at += 1
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if end > len(data) or at + 4 > len(data):
            raise refusal(where, Reason.TRUNCATED, "ends within its header")
        marker = data[at + 1]
        if data[at] != 0xFF or marker in (0, END_OF_IMAGE) or length < 2:
            raise refusal(where, Reason.BROKEN, "has a broken header")
        if marker == START_OF_SCAN:
            return
        yield marker, at, end
        at = end
