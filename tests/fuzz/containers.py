"""Take files apart and put them together again, so that a mutation changes one part of a valid file.

A file is a list of parts, each with a tag: chunks, segments, boxes, entries of a zip. What the format derives
from the parts (lengths, checksums, offsets) is computed again by `join`.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Parts: TypeAlias = list[tuple[bytes, bytes]]  # tag and content of each
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
START_OF_SCAN = 0xDA
REST = b""  # the tag of bytes that are no part, such as what follows the last one


@dataclass(frozen=True, slots=True, kw_only=True)
class PartFormat:
    """How the files of one format are taken apart and put together."""

    split: Callable[[bytes], Parts]
    join: Callable[[Parts], bytes]


def find_format(data: bytes) -> PartFormat | None:
    """Return the format of a valid file by its first bytes, or None if it has no parts."""
    if data.startswith(PNG_SIGNATURE):
        return PartFormat(split=_split_png, join=_join_png)
    if data.startswith(b"\xff\xd8\xff"):
        return PartFormat(split=_split_jpeg, join=_join_jpeg)
    if data.startswith(b"RIFF"):
        return PartFormat(split=_split_riff, join=_join_riff)
    if data[4:8] == b"ftyp":
        return PartFormat(split=_split_boxes, join=join_boxes)
    if data.startswith(b"PK\x03\x04"):
        return PartFormat(split=split_zip, join=join_zip)
    return None


def _split_png(data: bytes) -> Parts:
    parts, start = Parts(), len(PNG_SIGNATURE)
    while start + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        parts.append((data[start + 4 : start + 8], data[start + 8 : start + 8 + length]))
        start += 12 + length
    return [*parts, (REST, data[start:])]


def _join_png(parts: Parts) -> bytes:
    chunks = (
        struct.pack(">I", len(content)) + tag + content + struct.pack(">I", zlib.crc32(tag + content))
        if tag
        else content
        for tag, content in parts
    )
    return PNG_SIGNATURE + b"".join(chunks)


def _split_jpeg(data: bytes) -> Parts:
    parts, start = Parts(), 2
    while start + 4 <= len(data) and data[start] == 0xFF:
        (length,) = struct.unpack_from(">H", data, start + 2)
        parts.append((data[start + 1 : start + 2], data[start + 4 : start + 2 + length]))
        start += 2 + length
        if parts[-1][0][0] == START_OF_SCAN:
            break
    return [*parts, (REST, data[start:])]


def _join_jpeg(parts: Parts) -> bytes:
    segments = (
        b"\xff" + tag[:1] + struct.pack(">H", min(len(content) + 2, 0xFFFF)) + content if tag else content
        for tag, content in parts
    )
    return b"\xff\xd8" + b"".join(segments)


def _split_riff(data: bytes) -> Parts:
    parts, start = [(data[8:12], b"")], 12
    while start + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, start + 4)
        parts.append((data[start : start + 4], data[start + 8 : start + 8 + length]))
        start += 8 + length + length % 2
    return parts


def _join_riff(parts: Parts) -> bytes:
    (kind, _), *chunks = parts or [(b"WEBP", b"")]
    body = b"".join(
        tag + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for tag, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(kind) + len(body)) + kind + body


def _split_boxes(data: bytes) -> Parts:
    parts, start = Parts(), 0
    while start + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, start)
        end = start + max(length, 8)
        parts.append((data[start + 4 : start + 8], data[start + 8 : end]))
        start = end
    return parts


def join_boxes(parts: Parts) -> bytes:
    """Return ISO boxes one after the other."""
    return b"".join(struct.pack(">I", len(content) + 8) + tag + content for tag, content in parts)


def split_zip(data: bytes) -> Parts:
    """Return the entries of a zip by their names."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(member.filename.encode("utf-8"), archive.read(member)) for member in archive.infolist()]


def join_zip(parts: Parts) -> bytes:
    """Return an uncompressed zip; a name may occur twice."""
    local, central, offset = list[bytes](), list[bytes](), 0
    for name, content in parts:
        name = name[:0xFFFF]
        head = (20, 0, 0, 0, 33, zlib.crc32(content), len(content), len(content), len(name), 0)
        entry = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", *head) + name + content
        local.append(entry)
        central.append(struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, *head, 0, 0, 0, 0, offset) + name)
        offset += len(entry)
    directory = b"".join(central)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(parts), len(parts), len(directory), offset, 0)
    return b"".join([*local, directory, end])
