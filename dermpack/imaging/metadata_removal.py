"""Remove the metadata of a picture file without changing a pixel: places, names, cameras, previews, texts.

Only what the decoder needs is copied to the new file, so metadata of an unknown kind is removed, too. The
compressed pixels are copied byte for byte. Of the metadata, the orientation remains, because it changes how
the picture is displayed: it is written as EXIF with a single entry. Colour profiles are removed: dermpack
does not apply them, and their texts can name devices and people.

Data that is hidden in the compressed pixels themselves is not found.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from dermpack.imaging.containers import (
    ADOBE,
    APP0,
    APP1,
    BMP,
    END_OF_IMAGE,
    EXIF_PREFIX,
    GIF,
    GIF_EXTENSION,
    GIF_HEADER_BYTES,
    GIF_TRAILER,
    HEIC,
    JPEG,
    MAX_SEGMENTS,
    PIXEL_CHUNKS,
    PNG,
    START_OF_SCAN,
    TIFF,
    WEBP,
    Container,
    PictureFormat,
    detect_format,
    gif_color_table_bytes,
    png_chunks,
    skip_gif_blocks,
)
from dermpack.imaging.decoding import ORIENTATION_TAG, SHORT, UPRIGHT, read_orientation
from dermpack.imaging.heic_metadata import blank_metadata
from dermpack.imaging.rejection import Reason, picture_error
from dermpack.imaging.tiff_bmp_rewriting import rewrite_bmp, rewrite_tiff

# JPEG
# Frame headers, tables, and the restart interval; the other segments do not change pixels.
JPEG_PIXEL_MARKERS = frozenset({*range(0xC0, 0xD0), 0xDB, 0xDD, START_OF_SCAN})
# The start of the next segment that has a meaning; other bytes after 0xFF belong to the compressed pixels.
NEXT_SEGMENT = re.compile(rb"\xff[\xc0-\xcf\xd9-\xdf\xe0-\xef\xfe]", re.DOTALL)
JFIF_PREFIX, JFIF_BYTES, JFIF_THUMBNAIL_BYTES = b"JFIF\0", 14, 2  # the size of a preview is at its end
ADOBE_PREFIX, ADOBE_BYTES = b"Adobe", 12  # up to the byte that gives the colour space

# PNG
PNG_START_BYTES = 8
MAX_PNG_CHUNK_BYTES = {b"IHDR": 13, b"PLTE": 3 * 256, b"tRNS": 256, b"IEND": 0}

# GIF
CONTROL_START, CONTROL_BYTES = b"\x21\xf9\x04", 7  # of the extension that has the transparent colour

# WebP
WEBP_PIXEL_CHUNKS = (b"ALPH", b"VP8 ", b"VP8L")
WEBP_ALPHA_FLAG, WEBP_EXIF_FLAG = 0x10, 0x08
VP8L_ALPHA_BIT = 28  # of the header after its signature


class MetadataPolicy(Enum):
    """What happens to the metadata of a picture that is copied."""

    REMOVE = "remove"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class StrippedPicture:
    """A picture file without metadata; `had_metadata` is whether it differs from the original file."""

    data: bytes
    had_metadata: bool


def strip_metadata(data: bytes, *, where: str = "(bytes)") -> StrippedPicture:
    """Return the picture without metadata except its orientation, or raise a PictureError.

    `decode` gives the same pixels for both. A stripped picture is returned unchanged.
    """
    form = detect_format(data, where=where)
    container = form.read(data, where) if form.read else Container(data=data)
    orientation, _ = read_orientation(container.exif)
    try:
        stripped = STRIPPERS[form](data, container, orientation, where)
    except (struct.error, IndexError) as error:
        raise picture_error(where, Reason.TRUNCATED, "ends within its structure") from error
    return StrippedPicture(data=stripped, had_metadata=stripped != data)


def apply_policy(data: bytes, policy: MetadataPolicy, *, where: str) -> StrippedPicture:
    """Return the picture, without its metadata if the policy is REMOVE."""
    if policy is MetadataPolicy.KEEP:
        return StrippedPicture(data=data, had_metadata=False)
    return strip_metadata(data, where=where)


def _format_orientation(orientation: int) -> bytes:
    """Return EXIF with the orientation alone, without a prefix: one directory with one entry."""
    entry = struct.pack("<HHIHH", ORIENTATION_TAG, SHORT, 1, orientation, 0)
    return b"II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def _strip_jpeg(data: bytes, _: Container, orientation: int, where: str) -> bytes:
    start, has_jfif = [data[:2]], False
    kept: list[bytes] = []
    for marker, content in _jpeg_parts(data, where):
        if marker == APP0 and content.startswith(JFIF_PREFIX) and len(content) >= JFIF_BYTES and not has_jfif:
            # The header ends with a preview: its size becomes zero.
            header = content[: JFIF_BYTES - JFIF_THUMBNAIL_BYTES] + bytes(JFIF_THUMBNAIL_BYTES)
            start.append(_jpeg_segment(APP0, header))
            has_jfif = True
        elif marker == ADOBE and content.startswith(ADOBE_PREFIX):
            kept.append(_jpeg_segment(ADOBE, content[:ADOBE_BYTES]))
        elif marker is None:
            kept.append(content)
        elif marker in JPEG_PIXEL_MARKERS:
            kept.append(_jpeg_segment(marker, content))
    if orientation != UPRIGHT:
        start.append(_jpeg_segment(APP1, EXIF_PREFIX + _format_orientation(orientation)))
    return b"".join([*start, *kept])


def _jpeg_segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _jpeg_parts(data: bytes, where: str) -> Iterator[tuple[int | None, bytes]]:
    """Yield the segments up to the end of the image, and with None what is copied unchanged.

    Bytes between segments, which decoders skip, and everything after the end are left out.
    """
    position = 2
    for _ in range(2 * MAX_SEGMENTS):
        match = NEXT_SEGMENT.search(data, position)
        if match is None:  # what looks like metadata can lie within damaged pixels, up to the end
            raise picture_error(where, Reason.TRUNCATED, "has no end of the image")
        marker, position = data[match.end() - 1], match.end()
        if marker == END_OF_IMAGE:
            yield None, bytes([0xFF, END_OF_IMAGE])
            return
        (length,) = struct.unpack_from(">H", data, position)
        end = position + length
        if length < 2 or end > len(data):
            raise picture_error(where, Reason.TRUNCATED, "ends within a segment")
        yield marker, data[position + 2 : end]
        position = end
        if marker == START_OF_SCAN:
            following = NEXT_SEGMENT.search(data, position)
            position = following.start() if following else len(data)
            yield None, data[end:position]
    raise picture_error(where, Reason.BROKEN, f"contains more than {2 * MAX_SEGMENTS} segments")


def _strip_png(data: bytes, _: Container, orientation: int, where: str) -> bytes:
    kept = [data[:PNG_START_BYTES]]
    for name, start, end in png_chunks(data, where):
        if name in PIXEL_CHUNKS:
            content = data[start + 8 : end - 4]
            most = MAX_PNG_CHUNK_BYTES.get(name, len(content))
            is_whole = len(content) <= most
            kept.append(data[start:end] if is_whole else _png_chunk(name, content[:most]))
        if name == b"IHDR" and orientation != UPRIGHT:
            kept.append(_png_chunk(b"eXIf", _format_orientation(orientation)))
    return b"".join(kept)


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _strip_gif(_: bytes, container: Container, __: int, where: str) -> bytes:
    """Return the blocks that the reader keeps, without hidden bytes in their extensions."""
    data = container.data
    position = GIF_HEADER_BYTES + gif_color_table_bytes(data[10])
    kept = [data[:position]]
    while data[position] == GIF_EXTENSION:
        end = skip_gif_blocks(data, position + 2, where)
        is_control = data.startswith(CONTROL_START, position)
        kept.append(data[position : position + CONTROL_BYTES] + b"\0" if is_control else data[position:end])
        position = end
    # The reader has checked that the one picture follows.
    end = skip_gif_blocks(data, position + 11 + gif_color_table_bytes(data[position + 9]), where)
    return b"".join([*kept, data[position:end], bytes([GIF_TRAILER])])


def _strip_webp(data: bytes, _: Container, orientation: int, where: str) -> bytes:
    chunks: dict[bytes, bytes] = {}
    position, riff_end = 12, min(len(data), 8 + struct.unpack_from("<I", data, 4)[0])
    while position + 8 <= riff_end:
        name, length = struct.unpack_from("<4sI", data, position)
        # A second image would be hidden: only the first one is displayed.
        is_new = name not in chunks and not ({b"VP8 ", b"VP8L"} & chunks.keys())
        if name == b"VP8X" or (name in WEBP_PIXEL_CHUNKS and is_new):
            chunks.setdefault(name, data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    exif = [(b"EXIF", _format_orientation(orientation))] if orientation != UPRIGHT else []
    kept = [(name, content) for name, content in chunks.items() if name != b"VP8X"]
    if b"VP8X" in chunks or exif:
        kept.insert(0, (b"VP8X", _webp_header(chunks, has_exif=bool(exif), data=data, where=where)))
    body = b"WEBP" + b"".join(
        name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        for name, content in [*kept, *exif]
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _webp_header(chunks: dict[bytes, bytes], *, has_exif: bool, data: bytes, where: str) -> bytes:
    """Return the header of an extended file: flags, and the size of the picture less one."""
    extended, lossless = chunks.get(b"VP8X"), chunks.get(b"VP8L")
    if extended is not None:
        alpha, size = extended[0] & WEBP_ALPHA_FLAG, extended[4:10]
    else:
        read = WEBP.read(data, where).size if WEBP.read else None
        width, height = read or (1, 1)
        has_alpha = lossless is not None and struct.unpack_from("<I", lossless, 1)[0] >> VP8L_ALPHA_BIT & 1
        alpha = WEBP_ALPHA_FLAG if has_alpha else 0
        size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return bytes([alpha | (WEBP_EXIF_FLAG if has_exif else 0), 0, 0, 0]) + size


STRIPPERS: dict[PictureFormat, Callable[[bytes, Container, int, str], bytes]] = {
    JPEG: _strip_jpeg,
    PNG: _strip_png,
    GIF: _strip_gif,
    WEBP: _strip_webp,
    TIFF: lambda data, _, orientation, where: rewrite_tiff(data, orientation=orientation, where=where),
    BMP: lambda data, _, __, where: rewrite_bmp(data, where=where),
    HEIC: lambda data, _, __, where: blank_metadata(data, where),
}
