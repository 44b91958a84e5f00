"""Walk the chunks of a WebP, whose decoder allocates the canvas when it is made."""

from __future__ import annotations

import struct

from dermpack.imaging.containers.container import Container
from dermpack.imaging.rejection import Reason, refusal

HEADER_BYTES = 30  # enough for the size in each of the three kinds
ANIMATION_FLAG = 0x02
SIDE_MASK = 0x3FFF  # 14 bits
FIRST_CHUNK_AT = 12


def read_webp(data: bytes, *, where: str) -> Container:
    (riff_bytes,) = struct.unpack_from("<I", data.ljust(8, b"\0"), 4)
    if len(data) < max(HEADER_BYTES, riff_bytes + 8):
        raise refusal(
            where, Reason.TRUNCATED, f"shorter than the {riff_bytes + 8:,} bytes that its header declares"
        )
    if data[12:16] == b"VP8X" and data[20] & ANIMATION_FLAG:
        raise refusal(where, Reason.ANIMATED, "contains several frames")
    size = _size(data)
    if size is None:
        raise refusal(where, Reason.BROKEN, "invalid header")
    return Container(data=data, exif=_exif(data), size=size)


def _size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & SIDE_MASK) + 1, (bits >> 14 & SIDE_MASK) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & SIDE_MASK, height & SIDE_MASK
    return None


def _exif(data: bytes) -> bytes:
    at = FIRST_CHUNK_AT
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        if name == b"EXIF":
            return data[at + 8 : at + 8 + length].removeprefix(b"Exif\x00\x00")
        at += 8 + length + length % 2
    return b""
