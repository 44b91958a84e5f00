"""Rewrite a TIFF or BMP file with nothing but its pixels and the fields that the decoder needs."""

from __future__ import annotations

import struct
from itertools import accumulate

from dermpack.imaging.containers import (
    BITS,
    COMPRESSION,
    PIXEL_TAGS,
    STRIP_BYTES,
    STRIP_OFFSETS,
    TIFF_TYPES,
    tiff_directory,
)
from dermpack.imaging.decoding import ORIENTATION_TAG, SHORT, UPRIGHT
from dermpack.imaging.rejection import Reason, picture_error

# TIFF
TIFF_HEADER_BYTES, ENTRY_BYTES, FIELD_BYTES = 8, 12, 4
WIDTH, HEIGHT = 256, 257
LONG = 4  # the type of a 32-bit number

# BMP
FILE_HEADER = struct.Struct("<2sIII")  # the file's size, a reserved field, and the place of the pixels
INFO_START, PIXELS_FIELD = FILE_HEADER.size, 10
OLD_INFO_BYTES, INFO_BYTES_WITH_MASKS, INFO_BYTES_WITH_PROFILE = 12, 52, 108
COLOUR_SPACE_FIELD, SRGB = 56, b"BGRs"  # "sRGB" as a little-endian number
UNCOMPRESSED, BIT_FIELDS, MASK_BYTES, MAX_PALETTE_BITS = 0, 3, 12, 8
MAX_PADDING_BYTES = 3  # of a row; decoders accept a file without that of its last row


def rewrite_tiff(data: bytes, *, orientation: int, where: str) -> bytes:
    """Return a TIFF that contains one directory, the values of its tags, and the strips of pixels."""
    order = "<" if data.startswith(b"II") else ">"
    entries, values = tiff_directory(data, order, where)
    sizes = values.get(STRIP_BYTES, ())
    # Decoders read uncompressed pixels even beyond the size that a strip declares.
    width, height, bits = values.get(WIDTH, (0,))[0], values.get(HEIGHT, (0,))[0], values.get(BITS, (1,))
    is_short = values.get(COMPRESSION, (1,)) == (1,) and sum(sizes) < width * height * sum(bits) // 8
    if len(values[STRIP_OFFSETS]) != len(sizes) or is_short:
        what = "a TIFF whose strips have no valid sizes cannot be copied without its metadata"
        raise picture_error(where, Reason.UNSUPPORTED, what)
    kinds = {tag: struct.unpack_from(order + "H", entries[tag], 2)[0] for tag in PIXEL_TAGS & entries.keys()}
    kinds[STRIP_OFFSETS] = LONG
    if orientation != UPRIGHT:
        kinds[ORIENTATION_TAG], values[ORIENTATION_TAG] = SHORT, (orientation,)

    def pack(tag: int) -> bytes:
        return struct.pack(f"{order}{len(values[tag])}{TIFF_TYPES[kinds[tag]]}", *values[tag])

    # The file is the header, the directory, the values that do not fit into it, and the strips.
    position = TIFF_HEADER_BYTES + 2 + ENTRY_BYTES * len(kinds) + FIELD_BYTES
    # Thousands of strips can have the same bytes, and each is copied.
    if sum(sizes) > len(data):
        raise picture_error(where, Reason.BROKEN, "its strips overlap")
    strips = [data[offset : offset + size] for offset, size in zip(values[STRIP_OFFSETS], sizes, strict=True)]
    values[STRIP_OFFSETS] = (0,) * len(strips)  # counted first, because the strips follow all values
    offset = position + sum(len(pack(tag)) for tag in kinds if len(pack(tag)) > FIELD_BYTES)
    values[STRIP_OFFSETS] = tuple(accumulate(sizes[:-1], initial=offset))
    directory, following = [struct.pack(order + "H", len(kinds))], b""
    for tag in sorted(kinds):
        packed = pack(tag)
        if len(packed) > FIELD_BYTES:
            following, packed = following + packed, struct.pack(order + "I", position + len(following))
        head = struct.pack(order + "HHI", tag, kinds[tag], len(values[tag]))
        directory.append(head + packed.ljust(FIELD_BYTES, b"\0"))
    header = data[:4] + struct.pack(order + "I", TIFF_HEADER_BYTES)
    return b"".join([header, *directory, bytes(FIELD_BYTES), following, *strips])


def rewrite_bmp(data: bytes, *, where: str) -> bytes:
    """Return a BMP that contains its headers, its palette and its pixels, without profile and gaps."""
    (info_bytes,) = struct.unpack_from("<I", data, INFO_START)
    if info_bytes == OLD_INFO_BYTES:
        width, height, _, bits = struct.unpack_from("<4H", data, INFO_START + 4)
        compression, colours, colour_bytes = UNCOMPRESSED, 0, 3
    else:
        width, height, _, bits, compression = struct.unpack_from("<iiHHI", data, INFO_START + 4)
        (colours,) = struct.unpack_from("<I", data, INFO_START + 32)
        colour_bytes = 4
    if compression not in (UNCOMPRESSED, BIT_FIELDS) or (bits <= MAX_PALETTE_BITS and colours > 1 << bits):
        what = "a compressed BMP, or one with an unusual palette, cannot be copied without its metadata"
        raise picture_error(where, Reason.UNSUPPORTED, what)
    masks = MASK_BYTES if compression == BIT_FIELDS and info_bytes < INFO_BYTES_WITH_MASKS else 0
    palette = colour_bytes * (colours or 1 << bits) if bits <= MAX_PALETTE_BITS else 0
    end = INFO_START + info_bytes + masks + palette
    (start,) = struct.unpack_from("<I", data, PIXELS_FIELD)
    # Some writers give no place of the pixels, or the end of the header before a palette.
    if start in (0, INFO_START + info_bytes):
        start = end
    size = ((width * bits + 31) >> 3 & ~3) * abs(height)
    pixels = data[start : start + size]
    if width <= 0 or size <= 0 or len(pixels) < size - MAX_PADDING_BYTES or start < end:
        raise picture_error(where, Reason.BROKEN, "the header does not match the pixels")
    info = data[INFO_START : INFO_START + info_bytes]
    if info_bytes >= INFO_BYTES_WITH_PROFILE:
        info = (info[:COLOUR_SPACE_FIELD] + SRGB).ljust(info_bytes, b"\0")
    header = FILE_HEADER.pack(b"BM", end + size, 0, end)
    return b"".join([header, info, data[INFO_START + info_bytes : end], pixels.ljust(size, b"\0")])
