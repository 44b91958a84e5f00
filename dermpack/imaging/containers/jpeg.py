"""Walk the segments of a JPEG up to its scan."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dermpack.imaging.containers.container import Container
from dermpack.imaging.rejection import Reason, refusal

APP0, APP1, APP15, COMMENT = 0xE0, 0xE1, 0xEF, 0xFE
JFIF, ADOBE = APP0, 0xEE  # these two say how to read the colours
SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1})
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
EXIF_BEGINNING = b"Exif\x00\x00"
MAX_SEGMENTS = 4096  # 64 KiB each; a long profile has a few dozen
MAX_FILL_BYTES = 64  # before a marker; writers that align use a few
MAX_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over all coefficients
NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)  # behind the bytes of a scan


def read_jpeg(data: bytes, *, where: str) -> Container:
    kept, exif, components, cut = [data[:2]], b"", b"", False
    at = 2
    for marker, start, end in _segments(data, where):
        at = end
        if marker == APP1 and data.startswith(EXIF_BEGINNING, start + 4):
            exif = exif or data[start + 4 + len(EXIF_BEGINNING) : end]
        if marker in SEQUENTIAL_FRAMES:
            components = data[start + 9 : start + 10]
        if _is_metadata(marker):
            cut = True
        else:
            kept.append(data[start:end])
    scan_at = _behind_fill(data, at)
    has_one_scan = data[scan_at + 4 : scan_at + 5] == components  # with all components: no other is read
    if not has_one_scan:
        _check_scans(data, scan_at, where)
    return Container(data=b"".join([*kept, memoryview(data)[at:]]) if cut else data, exif=exif)


def _is_metadata(marker: int) -> bool:
    return marker == COMMENT or (APP0 <= marker <= APP15 and marker not in (JFIF, ADOBE))


def _segments(data: bytes, where: str) -> Iterator[tuple[int, int, int]]:
    """Marker, first and behind the last byte of each segment before the first scan."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        at = _behind_fill(data, at)
        first, marker, length = _marker(data, at, where)
        if first != 0xFF or marker in (0, 0xFF, END_OF_IMAGE) or length < 2:
            raise refusal(where, Reason.BROKEN, "invalid header")
        end = at + 2 + length
        if end > len(data):
            raise refusal(where, Reason.TRUNCATED, "ends within the header")
        if marker == START_OF_SCAN:
            return
        yield marker, at, end
        at = end
    raise refusal(where, Reason.BROKEN, f"contains more than {MAX_SEGMENTS} segments before the pixels")


def _marker(data: bytes, at: int, where: str) -> tuple[int, int, int]:
    if at + 4 > len(data):
        raise refusal(where, Reason.TRUNCATED, "ends within the header")
    return data[at], data[at + 1], data[at + 2] << 8 | data[at + 3]


def _behind_fill(data: bytes, at: int) -> int:
    last = at + MAX_FILL_BYTES
    while at < last and data[at : at + 2] == b"\xff\xff":
        at += 1
    return at


def _check_scans(data: bytes, at: int, where: str) -> None:
    """Count what looks like a scan, which is quick, and only where that is much, what is one."""
    if data.count(b"\xff\xda", at) <= MAX_SCANS:
        return
    scans = 0
    while (marker := NEXT_MARKER.search(data, at)) and marker[1][0] != END_OF_IMAGE:
        scans += marker[1][0] == START_OF_SCAN
        if scans > MAX_SCANS:
            raise refusal(where, Reason.BROKEN, f"contains more than {MAX_SCANS} scans")
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
