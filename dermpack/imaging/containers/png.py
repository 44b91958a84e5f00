"""Walk the chunks of a PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from dermpack.imaging.containers.container import Container
from dermpack.imaging.rejection import Reason, refusal

SIGNATURE_BYTES = 8
AROUND_BYTES = 12  # length, name and checksum of a chunk
DEPTH_AT = 24  # width and height stand before it in the first chunk
MAX_CHUNKS = 1 << 16  # usual writers make chunks of 8 KiB and more
NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each kind of colour
INFLATED_BYTES = 1 << 20  # at a time


def read_png(data: bytes, *, where: str) -> Container:
    kept, exif, skipped, at, name = [data[:SIGNATURE_BYTES]], b"", 0, SIGNATURE_BYTES, b""
    while name != b"IEND":
        if len(kept) + skipped > MAX_CHUNKS:
            raise refusal(where, Reason.BROKEN, f"contains more than {MAX_CHUNKS:,} chunks")
        if at + AROUND_BYTES > len(data):
            raise refusal(where, Reason.TRUNCATED, "ends before the last chunk")
        length, name = struct.unpack_from(">I4s", data, at)
        start, at = at, at + AROUND_BYTES + length
        if at > len(data):
            raise refusal(where, Reason.TRUNCATED, f"ends within a chunk of {length:,} bytes")
        if name == b"acTL" and data[start + 8 : start + 12] > b"\0\0\0\1":
            raise refusal(where, Reason.ANIMATED, "contains several frames")
        if name == b"eXIf":
            exif = data[start + 8 : at - 4]
        if name in NEEDED:
            kept.append(data[start:at])
        else:
            skipped += 1
    if kept[1:] and kept[1][4:8] != b"IHDR":
        raise refusal(where, Reason.BROKEN, "does not begin with the header chunk")
    return Container(data=b"".join(kept) if skipped else data, exif=exif, depth=data[DEPTH_AT])


def has_all_rows(data: bytes) -> bool:
    """Whether the stream of a PNG that `read_png` has read holds as many bytes as its size asks for."""
    inflater, needed = zlib.decompressobj(), _needed_bytes(data)
    for chunk in _pixel_chunks(data):
        while needed > 0 and chunk:
            needed -= len(inflater.decompress(chunk, INFLATED_BYTES))
            chunk = inflater.unconsumed_tail
    return needed - len(inflater.flush()) <= 0


def _needed_bytes(data: bytes) -> int:
    """Each row of each pass has one byte of its filter and then its samples."""
    width, height, depth, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, SIGNATURE_BYTES + 8)
    total = 0
    for left, top, across, down in PASSES if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * CHANNELS[kind] * depth + 7) // 8)
    return total


def _pixel_chunks(data: bytes) -> Iterator[bytes]:
    at, name = SIGNATURE_BYTES, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        if name == b"IDAT":
            yield data[at + 8 : at + 8 + length]
        at += AROUND_BYTES + length
