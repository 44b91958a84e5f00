"""Read the one directory of a TIFF, and write it anew with the pixels' tags alone."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from dermpack.errors import PictureError
from dermpack.imaging.containers.container import Container
from dermpack.imaging.rejection import Reason, refusal

ENTRY_BYTES = 12
FORMATS = {3: "H", 4: "I"}  # SHORT, LONG: the tags below have no others
BITS, COMPRESSION, PHOTOMETRIC, SAMPLE_FORMAT, TILE_WIDTH = 258, 259, 262, 339, 322
STRIP_STARTS, STRIP_BYTES = 273, 279
SINGLE_TAGS = frozenset({256, 257, COMPRESSION, PHOTOMETRIC, 266, 277, 278, 284, 317})
PIXEL_TAGS = SINGLE_TAGS | {BITS, STRIP_STARTS, STRIP_BYTES, 320, 338}
MAX_VALUES = 1 << 17  # a strip for each row of four planes
JUDGED_TAGS = frozenset({SAMPLE_FORMAT, TILE_WIDTH})
COMPRESSIONS = {1: "none", 5: "LZW", 8: "deflate", 32946: "deflate, old", 32773: "PackBits"}
WHITE_IS_ZERO, UNSIGNED = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """One tag of the directory: its twelve bytes, and what they mean."""

    raw: bytes
    values: tuple[int, ...]


def read_tiff(data: bytes, *, where: str) -> Container:
    order = "<" if data.startswith(b"II") else ">"
    try:
        entries = _directory(data, order, where)
    except struct.error as error:
        raise refusal(where, Reason.TRUNCATED, "ends within the directory") from error
    depth = _depth(entries, where)
    _check_strips(entries, len(data), where)
    kept = b"".join(entries[tag].raw for tag in sorted(entries) if tag in PIXEL_TAGS)
    count = struct.pack(order + "H", len(kept) // ENTRY_BYTES)
    padding = b"\0" * (len(data) % 2)
    header = data[:4] + struct.pack(order + "I", len(data) + len(padding))
    parts = (header, memoryview(data)[8:], padding, count, kept, b"\0\0\0\0")
    return Container(data=b"".join(parts), exif=data, depth=depth)


def _directory(data: bytes, order: str, where: str) -> dict[int, DirectoryEntry]:
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    end = start + 2 + count * ENTRY_BYTES
    (following,) = struct.unpack_from(order + "I", data, end)
    if following:
        raise refusal(where, Reason.SEVERAL_PAGES, "contains several pages")
    entries: dict[int, DirectoryEntry] = {}
    for at in range(start + 2, end, ENTRY_BYTES):
        (tag,) = struct.unpack_from(order + "H", data, at)
        if tag in PIXEL_TAGS | JUDGED_TAGS:
            if tag in entries:
                raise refusal(where, Reason.BROKEN, "the directory contains a tag twice")
            entries[tag] = _entry(data, at, order, where)
    return entries


def _entry(data: bytes, at: int, order: str, where: str) -> DirectoryEntry:
    tag, kind, count = struct.unpack_from(order + "HHI", data, at)
    if kind not in FORMATS or not 0 < count <= (1 if tag in SINGLE_TAGS else MAX_VALUES):
        raise refusal(where, Reason.BROKEN, "invalid directory")
    size_bytes = struct.calcsize(order + FORMATS[kind]) * count
    value_at = at + 8 if size_bytes <= 4 else struct.unpack_from(order + "I", data, at + 8)[0]
    if value_at + size_bytes > len(data):
        raise struct.error("value behind the end")
    values = struct.unpack_from(f"{order}{count}{FORMATS[kind]}", data, value_at)
    return DirectoryEntry(raw=data[at : at + ENTRY_BYTES], values=values)


def _check_strips(entries: dict[int, DirectoryEntry], size_bytes: int, where: str) -> None:
    if STRIP_STARTS not in entries:
        raise refusal(where, Reason.BROKEN, "the directory does not locate the pixels")
    if STRIP_BYTES in entries:
        strips = zip(entries[STRIP_STARTS].values, entries[STRIP_BYTES].values, strict=False)
        if max(start + length for start, length in strips) > size_bytes:
            raise refusal(where, Reason.TRUNCATED, "ends within the pixels")


def _depth(entries: dict[int, DirectoryEntry], where: str) -> int:
    """Bits a sample, where the samples are of a kind that is converted faithfully."""
    first = {tag: entry.values[0] for tag, entry in entries.items()}
    depth = first.get(BITS, 1)
    if TILE_WIDTH in first:
        raise _unsupported(where, "tiled TIFF is not supported")
    if first.get(COMPRESSION, 1) not in COMPRESSIONS:
        raise _unsupported(where, f"TIFF compression {first[COMPRESSION]} is not supported")
    if first.get(SAMPLE_FORMAT, UNSIGNED) != UNSIGNED:
        raise _unsupported(where, "the samples are not unsigned integers")
    if depth > 8 and first.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        raise _unsupported(where, "inverted TIFF with more than 8 bits is not supported")
    return depth


def _unsupported(where: str, what: str) -> PictureError:
    return refusal(where, Reason.UNSUPPORTED, what)
