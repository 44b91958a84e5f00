"""Detect the format of a picture, and read the container around its pixels.

The content decides, not the extension; no other format is ever opened. The readers find what Pillow misses.
BMP needs no reader: Pillow reports all of its faults. Each of the other formats has faults that Pillow
accepts, reports without a name, or spends minutes or gigabytes on:

- JPEG: thousands of segments or scans; EXIF whose entries are all copied.
- PNG: a missing end, missing rows (left black), thousands of chunks, compressed texts that expand.
- GIF: a missing end, several frames, comments of many blocks (joined in quadratic time).
- WebP: a cut file (an error without a reason), and a canvas that is allocated before its size is known.
- TIFF: tags whose values are all copied, several pages, samples that are converted wrongly.

A compressed stream that is far longer than the pixels of the header can be is a decompression bomb: it is
rejected without being expanded.

The readers also drop what the decoder does not need. Profiles, texts, previews and EXIF are the usual places
of attacks and of warnings; only the orientation is read from them.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from dermpack.errors import PictureError
from dermpack.imaging.heic import AVIF_BRANDS, HEIC_BRANDS, HEIC_SUFFIXES, find_heic_size
from dermpack.imaging.rejection import Reason, picture_error
from dermpack.storage.regular_files import read_beginning

EXIF_PREFIX = b"Exif\x00\x00"

# No encoder writes more compressed bytes than this: deflate needs at most 9 bits for 8, LZW 12.
MAX_STORED_SHARE, STORED_SLACK_BYTES = 4, 1024
MAX_SURPLUS_BYTES = 1 << 16  # of an expanded stream, after its last row; careless encoders pad a little

# JPEG markers
APP0, APP1, APP15, COMMENT = 0xE0, 0xE1, 0xEF, 0xFE
ADOBE = 0xEE  # with APP0 (JFIF), it determines the colour space
SEQUENTIAL_FRAMES = frozenset({0xC0, 0xC1})
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
MAX_SEGMENTS = 4096  # 64 KiB each; a long profile has a few dozen
MAX_FILL_BYTES = 64  # before a marker; writers that align use a few
MAX_SCANS = 100  # a progressive JPEG has about ten; each costs a pass over all coefficients
NEXT_MARKER = re.compile(
    rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL
)  # after the entropy-coded bytes of a scan

# PNG
PNG_SIGNATURE_BYTES = 8
BEGINNING_BYTES = 16  # enough to recognise every supported format
CHUNK_OVERHEAD_BYTES = 12  # length, name and checksum
PNG_DEPTH_OFFSET = 24  # in the first chunk, after width and height
MAX_CHUNKS = 1 << 16  # usual writers make chunks of 8 KiB and more
PIXEL_CHUNKS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
INFLATE_STEP_BYTES = 1 << 20

# GIF
GIF_IMAGE, GIF_EXTENSION, GIF_TRAILER, GRAPHIC_CONTROL = 0x2C, 0x21, 0x3B, 0xF9
GIF_HEADER_BYTES = 13
MAX_BLOCKS = 1 << 19  # of up to 255 bytes

# WebP
WEBP_HEADER_BYTES = 30  # enough for the size in each of the three kinds
WEBP_ANIMATION_FLAG = 0x02
WEBP_SIDE_MASK = 0x3FFF  # 14 bits

# TIFF tags
TIFF_ENTRY_BYTES = 12
TIFF_TYPES = {3: "H", 4: "I"}  # SHORT and LONG: the tags below have no other type
BITS, COMPRESSION, PHOTOMETRIC, SAMPLE_FORMAT, TILE_WIDTH = 258, 259, 262, 339, 322
STRIP_OFFSETS, STRIP_BYTES, STRIP_OVERHEAD_BYTES = 273, 279, 32
WIDTH, HEIGHT, SAMPLES_PER_PIXEL = 256, 257, 277
SINGLE_VALUE_TAGS = frozenset(
    {WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, 266, SAMPLES_PER_PIXEL, 278, 284, 317}
)
PIXEL_TAGS = SINGLE_VALUE_TAGS | {BITS, STRIP_OFFSETS, STRIP_BYTES, 320, 338}
KNOWN_TAGS = PIXEL_TAGS | {SAMPLE_FORMAT, TILE_WIDTH}
MAX_TAG_VALUES = 1 << 17  # one strip per row of four planes
COMPRESSIONS = frozenset({1, 5, 8, 32946, 32773})  # none, LZW, deflate, old deflate, PackBits
WHITE_IS_ZERO, UNSIGNED = 0, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The bytes for the decoder, and the facts that were read from the rest."""

    data: bytes
    exif: bytes = b""  # beginning with its TIFF header
    depth: int = 8  # bits per sample
    size: tuple[int, int] | None = None  # width, height, where Pillow allocates memory before it reports them


def read_jpeg(data: bytes, where: str) -> Container:
    """Drop the metadata of a JPEG, and limit its segments and scans."""
    kept, exif, components, has_metadata = [data[:2]], b"", b"", False
    position = 2
    for marker, start, end in _jpeg_segments(data, where):
        position = end
        if marker == APP1 and data.startswith(EXIF_PREFIX, start + 4):
            exif = exif or data[start + 4 + len(EXIF_PREFIX) : end]
        if marker in SEQUENTIAL_FRAMES:
            components = data[start + 9 : start + 10]
        if marker == COMMENT or (APP0 <= marker <= APP15 and marker not in (APP0, ADOBE)):
            has_metadata = True
        else:
            kept.append(data[start:end])
    scan = _skip_fill_bytes(data, position)
    # A sequential scan of all components is the only one that the decoder reads: nothing to count then.
    if data[scan + 4 : scan + 5] != components:
        _check_scans(data, scan, where)
    return Container(data=b"".join([*kept, memoryview(data)[position:]]) if has_metadata else data, exif=exif)


def _jpeg_segments(data: bytes, where: str) -> Iterator[tuple[int, int, int]]:
    """Yield marker, start and end of each segment before the first scan."""
    position = 2
    for _ in range(MAX_SEGMENTS):
        position = _skip_fill_bytes(data, position)
        if position + 4 > len(data):
            raise picture_error(where, Reason.TRUNCATED, "ends within the header")
        first, marker, length = struct.unpack_from(">BBH", data, position)
        if first != 0xFF or marker in (0, 0xFF, END_OF_IMAGE) or length < 2:
            raise picture_error(where, Reason.BROKEN, "invalid header")
        end = position + 2 + length
        if end > len(data):
            raise picture_error(where, Reason.TRUNCATED, "ends within the header")
        if marker == START_OF_SCAN:
            return
        yield marker, position, end
        position = end
    raise picture_error(where, Reason.BROKEN, f"contains more than {MAX_SEGMENTS} segments before the pixels")


def _skip_fill_bytes(data: bytes, position: int) -> int:
    last = position + MAX_FILL_BYTES
    while position < last and data[position : position + 2] == b"\xff\xff":
        position += 1
    return position


def _check_scans(data: bytes, position: int, where: str) -> None:
    # The fast count includes bytes that only look like a scan; the exact count is rarely needed.
    if data.count(b"\xff\xda", position) <= MAX_SCANS:
        return
    scans = 0
    while (marker := NEXT_MARKER.search(data, position)) and marker[1][0] != END_OF_IMAGE:
        scans += marker[1][0] == START_OF_SCAN
        if scans > MAX_SCANS:
            raise picture_error(where, Reason.BROKEN, f"contains more than {MAX_SCANS} scans")
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")


def read_png(data: bytes, where: str) -> Container:
    """Keep the chunks of a PNG that make pixels; check that it has one frame and an end."""
    kept, exif, has_more, stored_bytes = [data[:PNG_SIGNATURE_BYTES]], b"", False, 0
    for name, start, end in png_chunks(data, where):
        if name == b"acTL" and data[start + 8 : start + 12] > b"\0\0\0\1":
            raise picture_error(where, Reason.ANIMATED, "contains several frames")
        if name == b"eXIf":
            exif = data[start + 8 : end - 4]
        if name == b"IDAT":
            stored_bytes += end - start - CHUNK_OVERHEAD_BYTES
        if name in PIXEL_CHUNKS:
            kept.append(data[start:end])
        else:
            has_more = True
    if kept[1:] and kept[1][4:8] != b"IHDR":
        raise picture_error(where, Reason.BROKEN, "does not begin with the header chunk")
    _check_stored_bytes(stored_bytes, _count_png_bytes(data), where)
    pixels = b"".join(kept) if has_more else data[:end]
    return Container(data=pixels, exif=exif, depth=data[PNG_DEPTH_OFFSET])


def png_chunks(data: bytes, where: str) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each chunk up to the last one."""
    end = PNG_SIGNATURE_BYTES
    for _ in range(MAX_CHUNKS):
        start = end
        if start + CHUNK_OVERHEAD_BYTES > len(data):
            raise picture_error(where, Reason.TRUNCATED, "ends before the last chunk")
        length, name = struct.unpack_from(">I4s", data, start)
        end = start + CHUNK_OVERHEAD_BYTES + length
        if end > len(data):
            raise picture_error(where, Reason.TRUNCATED, f"ends within a chunk of {length:,} bytes")
        yield name, start, end
        if name == b"IEND":
            return
    raise picture_error(where, Reason.BROKEN, f"contains more than {MAX_CHUNKS:,} chunks")


def _count_png_bytes(data: bytes) -> int:
    """Return how many bytes the expanded stream of a PNG has, by the size in its header."""
    header = data[PNG_SIGNATURE_BYTES + 8 :].ljust(13, b"\0")
    width, height, depth, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", header)
    stream_bytes = 0
    for left, top, across, down in ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:  # each row has one byte for its filter before its samples
            stream_bytes += rows * (1 + (columns * PNG_CHANNELS.get(kind, 4) * depth + 7) // 8)
    return stream_bytes


def check_png_rows(data: bytes, where: str) -> None:
    """Check that the stream of a PNG from `read_png` has as many bytes as its size requires."""
    missing, inflater = _count_png_bytes(data), zlib.decompressobj()
    for name, start, end in png_chunks(data, where):
        chunk = data[start + 8 : end - 4] if name == b"IDAT" else b""
        while chunk and not inflater.eof:
            # One byte more than allowed is enough to recognise a bomb, whatever would follow.
            most = min(INFLATE_STEP_BYTES, max(missing, 0) + MAX_SURPLUS_BYTES + 1)
            missing -= len(inflater.decompress(chunk, most))
            chunk = inflater.unconsumed_tail
            if missing < -MAX_SURPLUS_BYTES:
                raise decompression_bomb(where)
    # At most 32 KiB are left in the window of the inflater.
    if missing - len(inflater.decompress(b"", max(missing, 1))) > 0:
        raise picture_error(where, Reason.TRUNCATED, "fewer rows of pixels than the header declares")


def _check_stored_bytes(stored_bytes: int, pixel_bytes: int, where: str) -> None:
    if stored_bytes > MAX_STORED_SHARE * pixel_bytes + STORED_SLACK_BYTES:
        raise decompression_bomb(where)


def decompression_bomb(where: str) -> PictureError:
    """Return the error for a picture with more compressed data than pixels."""
    what = "contains far more compressed data than its pixels need (a decompression bomb)"
    return picture_error(where, Reason.DECOMPRESSION_BOMB, what)


def read_gif(data: bytes, where: str) -> Container:
    """Keep the one frame of a GIF and its transparency; check that it has an end."""
    try:
        return Container(data=b"".join(_gif_blocks(data, where)))
    except (IndexError, struct.error) as error:
        raise picture_error(where, Reason.TRUNCATED, "ends before the last block") from error


def _gif_blocks(data: bytes, where: str) -> list[bytes]:
    position = GIF_HEADER_BYTES + gif_color_table_bytes(data[10])
    kept, frames = [data[:position]], 0
    while (kind := data[position]) != GIF_TRAILER:
        start = position
        if kind == GIF_IMAGE:
            frames += 1
            if frames > 1:
                raise picture_error(where, Reason.ANIMATED, "contains several frames")
            screen = struct.unpack_from("<HH", data, 6)
            left, top, width, height = struct.unpack_from("<HHHH", data, start + 1)
            if left + width > screen[0] or top + height > screen[1]:
                raise picture_error(where, Reason.BROKEN, "contains a frame larger than its screen")
            position = skip_gif_blocks(data, start + 11 + gif_color_table_bytes(data[start + 9]), where)
            _check_stored_bytes(position - start, width * height, where)
        elif kind == GIF_EXTENSION:
            position = skip_gif_blocks(data, start + 2, where)
        else:
            raise picture_error(where, Reason.BROKEN, f"contains a block of unknown kind {kind}")
        if kind == GIF_IMAGE or data[start + 1] == GRAPHIC_CONTROL:
            kept.append(data[start:position])
    if not frames:
        raise picture_error(where, Reason.BROKEN, "contains no frame")
    return [*kept, bytes([GIF_TRAILER])]


def skip_gif_blocks(data: bytes, position: int, where: str) -> int:
    """Return the end of a sequence of data blocks."""
    for _ in range(MAX_BLOCKS):
        if not data[position]:
            return position + 1
        position += 1 + data[position]
    raise picture_error(where, Reason.BROKEN, f"contains more than {MAX_BLOCKS:,} blocks in a row")


def gif_color_table_bytes(flags: int) -> int:
    """Return the size of the color table that the flags declare."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def read_webp(data: bytes, where: str) -> Container:
    """Read the size of a WebP from its header; check that it is whole and has one frame."""
    (riff_bytes,) = struct.unpack_from("<I", data.ljust(8, b"\0"), 4)
    if len(data) < max(WEBP_HEADER_BYTES, riff_bytes + 8):
        what = f"shorter than the {riff_bytes + 8:,} bytes that its header declares"
        raise picture_error(where, Reason.TRUNCATED, what)
    kind = data[12:16]
    if kind == b"VP8X":
        if data[20] & WEBP_ANIMATION_FLAG:
            raise picture_error(where, Reason.ANIMATED, "contains several frames")
        size = int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        size = (bits & WEBP_SIDE_MASK) + 1, (bits >> 14 & WEBP_SIDE_MASK) + 1
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        size = width & WEBP_SIDE_MASK, height & WEBP_SIDE_MASK
    else:
        raise picture_error(where, Reason.BROKEN, "invalid header")
    exif, position = b"", 12
    while not exif and position + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, position)
        if name == b"EXIF":
            exif = data[position + 8 : position + 8 + length].removeprefix(EXIF_PREFIX)
        position += 8 + length + length % 2
    return Container(data=data, exif=exif, size=size)


def read_tiff(data: bytes, where: str) -> Container:
    """Rewrite the directory of a TIFF with the tags of its pixels, and check their samples."""
    order = "<" if data.startswith(b"II") else ">"
    try:
        entries, values = tiff_directory(data, order, where)
    except struct.error as error:
        raise picture_error(where, Reason.TRUNCATED, "ends within the directory") from error
    depth = _tiff_depth(values, where)
    if STRIP_OFFSETS not in values:
        raise picture_error(where, Reason.BROKEN, "the directory does not locate the pixels")
    strips = list(zip(values[STRIP_OFFSETS], values.get(STRIP_BYTES, ()), strict=False))
    if any(start + length > len(data) for start, length in strips):
        raise picture_error(where, Reason.TRUNCATED, "ends within the pixels")
    if values.get(COMPRESSION, (1,)) != (1,):
        width, height, samples = (values.get(tag, (1,))[0] for tag in (WIDTH, HEIGHT, SAMPLES_PER_PIXEL))
        pixel_bytes = height * (width * samples * depth // 8 + 1)
        # Each strip has a header and a checksum of its own.
        stored_bytes = sum(length for _, length in strips) - STRIP_OVERHEAD_BYTES * len(strips)
        _check_stored_bytes(stored_bytes, pixel_bytes, where)
    # Append the new directory to the file, because the strips must keep their offsets.
    kept = b"".join(entries[tag] for tag in sorted(entries) if tag in PIXEL_TAGS)
    padding = b"\0" * (len(data) % 2)
    header = data[:4] + struct.pack(order + "I", len(data) + len(padding))
    count = struct.pack(order + "H", len(kept) // TIFF_ENTRY_BYTES)
    parts = (header, memoryview(data)[8:], padding, count, kept, b"\0\0\0\0")
    return Container(data=b"".join(parts), exif=data, depth=depth)


def tiff_directory(
    data: bytes, order: str, where: str
) -> tuple[dict[int, bytes], dict[int, tuple[int, ...]]]:
    """Return the entries of the known tags, as they are stored and as numbers."""
    (start,) = struct.unpack_from(order + "I", data, 4)
    (entry_count,) = struct.unpack_from(order + "H", data, start)
    end = start + 2 + entry_count * TIFF_ENTRY_BYTES
    (next_directory,) = struct.unpack_from(order + "I", data, end)
    if next_directory:
        raise picture_error(where, Reason.SEVERAL_PAGES, "contains several pages")
    entries: dict[int, bytes] = {}
    values: dict[int, tuple[int, ...]] = {}
    for position in range(start + 2, end, TIFF_ENTRY_BYTES):
        tag, kind, count = struct.unpack_from(order + "HHI", data, position)
        if tag not in KNOWN_TAGS:
            continue
        if tag in entries:
            raise picture_error(where, Reason.BROKEN, "the directory contains a tag twice")
        if kind not in TIFF_TYPES or not 0 < count <= (1 if tag in SINGLE_VALUE_TAGS else MAX_TAG_VALUES):
            raise picture_error(where, Reason.BROKEN, "invalid directory")
        form = f"{order}{count}{TIFF_TYPES[kind]}"
        # Up to four bytes of values are in the entry itself, more are elsewhere in the file.
        offset = position + 8
        if struct.calcsize(form) > 4:
            (offset,) = struct.unpack_from(order + "I", data, position + 8)
        values[tag] = struct.unpack_from(form, data, offset)
        entries[tag] = data[position : position + TIFF_ENTRY_BYTES]
    return entries, values


def _tiff_depth(values: dict[int, tuple[int, ...]], where: str) -> int:
    """Return the bits per sample, if the samples are of a kind that is converted exactly."""
    first = {tag: numbers[0] for tag, numbers in values.items()}
    depth = first.get(BITS, 1)
    if TILE_WIDTH in first:
        what = "tiled TIFF is not supported"
    elif first.get(COMPRESSION, 1) not in COMPRESSIONS:
        what = f"TIFF compression {first[COMPRESSION]} is not supported"
    elif first.get(SAMPLE_FORMAT, UNSIGNED) != UNSIGNED:
        what = "the samples are not unsigned integers"
    elif depth > 8 and first.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        what = "inverted TIFF with more than 8 bits is not supported"
    else:
        return depth
    raise picture_error(where, Reason.UNSUPPORTED, what)


def read_heic(data: bytes, where: str) -> Container:
    """Read the sizes in a HEIC; its orientation is part of the decoding, whatever EXIF says."""
    return Container(data=data, size=find_heic_size(data, where))


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureFormat:
    """A supported format and what opens it; Pillow's own detection is not used."""

    suffixes: frozenset[str]
    opener: str  # what opens the bytes: a class of Pillow, or a function that returns Pillow's image
    read: Callable[[bytes, str], Container] | None = None  # None: Pillow reports every fault of the format

    @property
    def image_file(self) -> Any:
        """The opener, which is imported only where pictures are decoded."""
        module, _, name = self.opener.rpartition(".")
        return getattr(import_module(module), name)


JPEG = PictureFormat(
    suffixes=frozenset({".jpg", ".jpeg", ".jpe", ".jfif"}),
    opener="PIL.JpegImagePlugin.JpegImageFile",
    read=read_jpeg,
)
PNG = PictureFormat(suffixes=frozenset({".png"}), opener="PIL.PngImagePlugin.PngImageFile", read=read_png)
WEBP = PictureFormat(
    suffixes=frozenset({".webp"}), opener="PIL.WebPImagePlugin.WebPImageFile", read=read_webp
)
BMP = PictureFormat(suffixes=frozenset({".bmp", ".dib"}), opener="PIL.BmpImagePlugin.BmpImageFile")
TIFF = PictureFormat(
    suffixes=frozenset({".tif", ".tiff"}), opener="PIL.TiffImagePlugin.TiffImageFile", read=read_tiff
)
GIF = PictureFormat(suffixes=frozenset({".gif"}), opener="PIL.GifImagePlugin.GifImageFile", read=read_gif)

HEIC = PictureFormat(suffixes=HEIC_SUFFIXES, opener="dermpack.imaging.heic.open_heic", read=read_heic)

SUFFIXES = frozenset().union(*(form.suffixes for form in (JPEG, PNG, WEBP, BMP, TIFF, GIF, HEIC)))

SIGNATURES = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"BM", BMP),
    (b"II\x2a\x00", TIFF),
    (b"MM\x00\x2a", TIFF),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
)


def detect_format(data: bytes, *, where: str) -> PictureFormat:
    """Return the format of the bytes; the extension of the file does not matter."""
    for signature, form in SIGNATURES:
        if data.startswith(signature):
            return form
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS:
        return HEIC
    if data[4:8] == b"ftyp" and data[8:12] in AVIF_BRANDS:
        raise picture_error(where, Reason.NOT_A_PICTURE, "contains AVIF, whatever the extension")
    raise picture_error(where, Reason.NOT_A_PICTURE, "not a JPEG, PNG, WebP, BMP, TIFF, GIF or HEIC")


def begins_like_picture(path: Path) -> bool:
    """Return whether the first bytes of a file are those of a supported picture."""
    try:
        detect_format(read_beginning(path, BEGINNING_BYTES), where=path.name)
    except PictureError:
        return False
    return True
