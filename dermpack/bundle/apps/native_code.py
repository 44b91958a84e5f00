"""Read from compiled code what a release check needs: the alignment of ELF segments, the classes of a DEX."""

from __future__ import annotations

import struct

ELF_MAGIC, CLASS_64, LITTLE_ENDIAN = b"\x7fELF", 2, 1
SEGMENT_TYPE_LOAD = 1
MAX_SEGMENTS = 512
DEX_MAGIC = b"dex\n"
# Places in the header: the offsets of two lists, and the size and the offset of a third.
DEX_STRINGS, DEX_TYPES, DEX_CLASSES = 60, 68, 96
CLASS_DEFINITION_BYTES = 32
MAX_CLASSES = 1 << 16  # that one DEX file can define
MAX_NAME_BYTES = 1024


def load_alignment(library: bytes) -> int:
    """Return the smallest alignment of the loaded segments of an ELF library, or raise ValueError.

    A device with pages of 16 KB loads only libraries whose segments are aligned to 16384.
    """
    if library[:4] != ELF_MAGIC or len(library) < 64 or library[5] != LITTLE_ENDIAN:
        raise ValueError("not a little-endian ELF library")
    is_64 = library[4] == CLASS_64
    number = "<Q" if is_64 else "<I"
    (start,) = struct.unpack_from(number, library, 32 if is_64 else 28)
    size_bytes, count = struct.unpack_from("<HH", library, 54 if is_64 else 42)
    if count > MAX_SEGMENTS:
        raise ValueError("an ELF library with too many segments")
    alignments: list[int] = []
    try:
        for index in range(count):
            segment = start + index * size_bytes
            (kind,) = struct.unpack_from("<I", library, segment)
            # p_align is the last field of a program header.
            (alignment,) = struct.unpack_from(number, library, segment + (48 if is_64 else 28))
            if kind == SEGMENT_TYPE_LOAD:
                alignments.append(alignment)
    except (struct.error, OverflowError) as error:  # an offset can have 64 bits
        raise ValueError("the ELF library is truncated") from error
    if not alignments:
        raise ValueError("an ELF library without loaded segments")
    return min(alignments)


def dex_classes(dex: bytes) -> list[str]:
    """Return the classes that a DEX file defines ("Ldermpack/skin/Result;"), or raise ValueError."""
    if not dex.startswith(DEX_MAGIC):
        raise ValueError("not a DEX file")
    try:
        (strings,) = struct.unpack_from("<I", dex, DEX_STRINGS)
        (types,) = struct.unpack_from("<I", dex, DEX_TYPES)
        count, classes = struct.unpack_from("<II", dex, DEX_CLASSES)
        if count > MAX_CLASSES:
            raise ValueError("a DEX file with too many classes")
        names = []
        for index in range(count):
            (type_index,) = struct.unpack_from("<I", dex, classes + CLASS_DEFINITION_BYTES * index)
            (string_index,) = struct.unpack_from("<I", dex, types + 4 * type_index)
            (start,) = struct.unpack_from("<I", dex, strings + 4 * string_index)
            names.append(_read_string(dex, start))
    except struct.error as error:
        raise ValueError("the DEX file is truncated") from error
    return names


def _read_string(dex: bytes, start: int) -> str:
    """Skip the length, a number of seven bits in each byte; the text ends with a zero byte."""
    while start < len(dex) and dex[start] & 0x80:
        start += 1
    end = dex.find(b"\0", start + 1, start + 1 + MAX_NAME_BYTES)
    if end < 0:
        raise ValueError("the DEX file contains a class name without an end")
    return dex[start + 1 : end].decode("utf-8", "replace")
