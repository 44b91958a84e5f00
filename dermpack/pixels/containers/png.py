"""Walk the chunks of a PNG."""

from __future__ import annotations

import struct

from dermpack.pixels.containers.container import Container
from dermpack.pixels.verdict import Reason, refusal

SIGNATURE_BYTES = 8
AROUND_BYTES = 12  # length, name and checksum of a chunk
DEPTH_AT = 24  # width and height stand before it in the first chunk
MAX_CHUNKS = 1 << 16  # usual writers make chunks of 8 KiB and more
NEEDED = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


def read_png(data: bytes, *, where: str) -> Container:
    kept, exif, skipped, at, name = [data[:SIGNATURE_BYTES]], b"", 0, SIGNATURE_BYTES, b""
    while name != b"IEND":
        if len(kept) + skipped > MAX_CHUNKS:
            raise refusal(where, Reason.BROKEN, f"has more than {MAX_CHUNKS:,} chunks")
        if at + AROUND_BYTES > len(data):
            raise refusal(where, Reason.TRUNCATED, "ends before its last chunk")
        length, name = struct.unpack_from(">I4s", data, at)
        start, at = at, at + AROUND_BYTES + length
        if at > len(data):
            raise refusal(where, Reason.TRUNCATED, f"ends within a chunk of {length:,} bytes")
        if name == b"acTL" and data[start + 8 : start + 12] > b"\0\0\0\1":
            raise refusal(where, Reason.ANIMATED, "holds several frames")
        if name == b"eXIf":
            exif = data[start + 8 : at - 4]
        if name in NEEDED:
            kept.append(data[start:at])
        else:
            skipped += 1
    if kept[1:] and kept[1][4:8] != b"IHDR":
        raise refusal(where, Reason.BROKEN, "does not begin with its header")
    return Container(data=b"".join(kept) if skipped else data, exif=exif, depth=data[DEPTH_AT])
