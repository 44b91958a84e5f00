"""Generate hostile and unusual pictures, each with its expected result."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dermpack.imaging.rejection import Note, Reason

WIDTH, HEIGHT = 24, 16
ORIENTATION_TAG = 0x0112


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A file that `plant` writes; it is rejected for `reason`, or kept with `notes` if that is None."""

    name: str  # of the file
    plant: Callable[[Path], None]
    reason: Reason | None = None
    notes: frozenset[Note] = frozenset()


def plant_all(folder: Path) -> tuple[tuple[Path, Case], ...]:
    """Write all cases into the folder, and return each file with its case."""
    for case in CASES:
        case.plant(folder / case.name)
    return tuple((folder / case.name, case) for case in CASES)


def scene(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """Return a gradient without symmetry: every turn and every swap of channels is visible."""
    y, x = np.mgrid[0:height, 0:width]
    channels = (x * 255 // width, y * 255 // height, (x + 2 * y) * 5 % 256)
    pixels: NDArray[np.uint8] = np.stack(channels, axis=2).astype(np.uint8)
    return pixels


def encoded(
    pixels: NDArray[np.generic], form: str, *, mode: str | None = None, orientation: int = 1
) -> bytes:
    """Return the pixels as a file in a format of Pillow, optionally in another mode and with EXIF."""
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    if orientation != 1:
        exif[ORIENTATION_TAG] = orientation
    buffer = BytesIO()
    (image.convert(mode) if mode else image).save(buffer, form, exif=exif.tobytes() if exif else b"")
    return buffer.getvalue()


def frames(form: str) -> bytes:
    """Return two pictures in one file."""
    buffer = BytesIO()
    first, second = Image.fromarray(scene()), Image.fromarray(scene()[::-1].copy())
    first.save(buffer, form, save_all=True, append_images=[second])
    return buffer.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of these chunks, with valid checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def png_header(width: int, height: int, *, depth: int = 8, kind: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)


def png_pixels(row: bytes, height: int) -> tuple[bytes, bytes]:
    return b"IDAT", zlib.compress((b"\0" + row) * height, 9)


def interlaced_png(stream_bytes: int) -> bytes:
    """Return a black 8 × 8 RGB PNG in the seven passes of Adam7; a complete stream has 207 bytes."""
    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 1)
    return png((b"IHDR", header), (b"IDAT", zlib.compress(bytes(stream_bytes))), (b"IEND", b""))


def with_png_chunk(data: bytes, name: bytes, content: bytes) -> bytes:
    """Insert a chunk after the header."""
    header_end = 8 + 12 + 13
    return data[:header_end] + _chunk(name, content) + data[header_end:]


def with_jpeg_segment(data: bytes, marker: int, content: bytes) -> bytes:
    """Insert a segment at the beginning."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content + data[2:]


def jpeg_of_declared_size(width: int, height: int) -> bytes:
    """Return a small JPEG whose header declares another size."""
    data = encoded(scene(), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def webp_of_declared_size(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_gif_comment(data: bytes, blocks: int) -> bytes:
    """Insert a comment of many one-byte blocks before the picture."""
    at = 13 + (3 << (data[10] & 7) + 1)  # after the header and its color table
    return data[:at] + b"\x21\xfe" + b"\x01a" * blocks + b"\0" + data[at:]


def jpeg_of_scans(count: int) -> bytes:
    """Return a progressive JPEG that repeats its last scan."""
    buffer = BytesIO()
    Image.fromarray(scene()).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + data[-2:]


def exif_bomb() -> bytes:
    """Return a directory with 5,000 entries, each of which claims all of its 60,000 bytes."""
    entries = b"".join(struct.pack("<HHII", 0x9000 + n, 7, 60_000, 8) for n in range(5_000))
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 5_000) + entries


def deflated_tiff(stream: bytes) -> bytes:
    """Return a 16 × 16 RGB TIFF with the stream as its only strip, compressed."""
    data = zlib.compress(stream, 1)
    values = {256: 16, 257: 16, 258: 8, 259: 8, 262: 2, 273: 8, 277: 3, 278: 16, 279: len(data)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(values.items()))
    padding = b"\0" * (len(data) % 2)
    start = struct.pack("<I", 8 + len(data) + len(padding))
    return b"II*\0" + start + data + padding + struct.pack("<H", len(values)) + entries + bytes(4)


def tiff_without_end() -> bytes:
    """Return a TIFF with a directory that is its own successor."""
    data = bytearray(encoded(scene(), "TIFF"))
    start = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, start)[0]
    struct.pack_into("<I", data, start + 2 + 12 * count, start)
    return bytes(data)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _bytes(data: bytes) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        path.write_bytes(data)

    return plant


def _link(path: Path) -> None:
    target = path.with_name(f"{path.name}.target")
    target.write_bytes(encoded(scene(), "PNG"))
    path.symlink_to(target.name)


def _dangling(path: Path) -> None:
    path.symlink_to("nowhere.png")


def _rejected(name: str, reason: Reason, data: bytes) -> Case:
    return Case(name=name, plant=_bytes(data), reason=reason)


def _kept(name: str, data: bytes, *notes: Note) -> Case:
    return Case(name=name, plant=_bytes(data), notes=frozenset(notes))


def _cases() -> Iterator[Case]:
    yield from _not_pictures()
    yield from _truncated()
    yield from _slow()
    yield from _too_large()
    yield from _bombs()
    yield from _several()
    yield from _unsupported()
    yield from _converted()
    yield from _unusual_but_valid()


def _not_pictures() -> Iterator[Case]:
    yield _rejected("empty.jpg", Reason.EMPTY, b"")
    yield _rejected("text.jpg", Reason.NOT_A_PICTURE, b"this is not a picture\n")
    yield _rejected("page.png", Reason.NOT_A_PICTURE, b"<!DOCTYPE html><title>404</title>")
    yield _rejected("drawing.jpg", Reason.NOT_A_PICTURE, b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    yield _rejected(
        "postscript.jpg", Reason.NOT_A_PICTURE, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"
    )
    yield _rejected("portable.png", Reason.NOT_A_PICTURE, b"P6 1 1 255 \0\0\0")
    yield _rejected("zeros.jpg", Reason.NOT_A_PICTURE, bytes(4096))
    yield Case(name="folder.jpg", plant=Path.mkdir, reason=Reason.NOT_A_FILE)
    yield Case(name="missing.jpg", plant=lambda path: None, reason=Reason.UNREADABLE)  # noqa: ARG005
    yield Case(name="link.png", plant=_link, reason=Reason.LINK)
    yield Case(name="dangling.png", plant=_dangling, reason=Reason.LINK)


def _truncated() -> Iterator[Case]:
    for form in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"):
        data = encoded(scene(), form)
        yield _rejected(f"half.{form.lower()}", Reason.TRUNCATED, data[: len(data) // 2])
    jpeg, png_data = encoded(scene(), "JPEG"), encoded(scene(), "PNG")
    yield _rejected("no-end.jpg", Reason.TRUNCATED, jpeg[:-2])
    yield _rejected("no-end.png", Reason.TRUNCATED, png_data[:-12])
    yield _rejected("beginning-only.jpg", Reason.TRUNCATED, jpeg[:3])
    rows_missing = png(png_header(8, 8), png_pixels(bytes(24), 7), (b"IEND", b""))
    yield _rejected("rows-missing.png", Reason.TRUNCATED, rows_missing)
    yield _rejected("rows-missing-interlaced.png", Reason.TRUNCATED, interlaced_png(206))
    changed = bytearray(png_data)
    changed[png_data.index(b"IDAT") + 10] ^= 0xFF
    yield _rejected("wrong-checksum.png", Reason.BROKEN, bytes(changed))
    yield _rejected(
        "no-tables.jpg", Reason.BROKEN, b"\xff\xd8\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\xff\xd9"
    )


def _slow() -> Iterator[Case]:
    """Yield small files that keep a decoder busy for minutes."""
    jpeg, png_data = encoded(scene(), "JPEG"), encoded(scene(), "PNG")
    yield _rejected("scans.jpg", Reason.BROKEN, jpeg_of_scans(3000))
    yield _rejected("segments.jpg", Reason.BROKEN, jpeg[:2] + b"\xff\xfe\0\2" * 10_000 + jpeg[2:])
    yield _rejected("fill.jpg", Reason.BROKEN, jpeg[:2] + b"\xff" * 10_000 + jpeg[2:])
    empty = _chunk(b"tEXt", b"") * 70_000
    yield _rejected("chunks.png", Reason.BROKEN, png_data[:33] + empty + png_data[33:])
    blocks = with_gif_comment(encoded(scene(), "GIF", mode="1"), 600_000)
    yield _rejected("blocks.gif", Reason.BROKEN, blocks)


def _too_large() -> Iterator[Case]:
    end = (b"IEND", b"")
    bomb = png(png_header(30_000, 30_000), png_pixels(bytes(90_000), 60), end)
    yield _rejected("bomb.png", Reason.TOO_LARGE, bomb)
    yield _rejected(
        "largest.png", Reason.TOO_LARGE, png(png_header(2**31 - 1, 2**31 - 1), (b"IDAT", b""), end)
    )
    yield _rejected(
        "ribbon.png", Reason.TOO_LARGE, png(png_header(100_000, 1), png_pixels(bytes(300_000), 1), end)
    )
    yield _rejected("largest.jpg", Reason.TOO_LARGE, jpeg_of_declared_size(65_500, 65_500))
    yield _rejected("largest.webp", Reason.TOO_LARGE, webp_of_declared_size(16_383, 16_383))
    gif = encoded(scene(), "GIF")
    yield _rejected("largest.gif", Reason.TOO_LARGE, gif[:6] + b"\xff\xff\xff\xff" + gif[10:])
    bmp = encoded(scene(), "BMP")
    yield _rejected("largest.bmp", Reason.TOO_LARGE, bmp[:18] + struct.pack("<ii", 2**30, 2**30) + bmp[26:])


def _bombs() -> Iterator[Case]:
    """Yield small files whose compressed pixels go on after the last row, for 24 MiB."""
    bomb, end = Reason.DECOMPRESSION_BOMB, (b"IEND", b"")
    surplus, noise = bytes(24 << 20), np.random.default_rng(0).integers(1, 255, (300, 901), dtype=np.uint8)
    noise[:, 0] = 0  # the filter of each row
    for name, first in (("black", bytes(16 * 49)), ("white", (b"\0" + b"\xff" * 48) * 16)):
        data = zlib.compress(first + surplus, 1)
        yield _rejected(f"{name}-bomb.png", bomb, png(png_header(16, 16), (b"IDAT", data), end))
    large = png_header(2000, 2000)
    hidden = zlib.compress(bytes(2000 * 6001) + surplus, 1)
    yield _rejected("hidden-bomb.png", bomb, png(large, (b"IDAT", hidden), end))
    hidden = zlib.compress(noise.tobytes() + 2 * surplus, 1)
    yield _rejected("noise-bomb.png", bomb, png(png_header(300, 300), (b"IDAT", hidden), end))
    pieces = [(b"IDAT", data[start : start + 50]) for start in range(0, len(data), 50)]
    yield _rejected("split-bomb.png", bomb, png(png_header(16, 16), *pieces, end))
    yield _rejected("interlaced-bomb.png", bomb, interlaced_png(24 << 20))
    yield _rejected("bomb.tif", bomb, deflated_tiff(bytes(16 * 16 * 3) + surplus))
    gif = encoded(scene(), "GIF", mode="P")
    yield _rejected("bomb.gif", bomb, gif[:-2] + (b"\xff" + bytes(255)) * 1000 + gif[-2:])


def _several() -> Iterator[Case]:
    yield _rejected("moving.gif", Reason.ANIMATED, frames("GIF"))
    yield _rejected("moving.png", Reason.ANIMATED, frames("PNG"))
    yield _rejected("moving.webp", Reason.ANIMATED, frames("WEBP"))
    yield _rejected("pages.tif", Reason.SEVERAL_PAGES, frames("TIFF"))
    yield _rejected("without-end.tif", Reason.SEVERAL_PAGES, tiff_without_end())


def _unsupported() -> Iterator[Case]:
    floats = scene()[..., 0].astype(np.float32)
    yield _rejected("floats.tif", Reason.UNSUPPORTED, encoded(floats, "TIFF"))
    yield _rejected("integers.tif", Reason.UNSUPPORTED, encoded(floats.astype(np.int32), "TIFF"))
    yield _rejected("lab.tif", Reason.UNSUPPORTED, encoded(scene(), "TIFF", mode="LAB"))
    key = png(png_header(1, 1, depth=16), (b"tRNS", bytes(6)), png_pixels(bytes(6), 1), (b"IEND", b""))
    yield _rejected("sixteen-bit-key.png", Reason.UNSUPPORTED, key)


def _converted() -> Iterator[Case]:
    sixteen = scene()[..., 0].astype(np.uint16) * 256 + 77
    colours = png(png_header(2, 1, depth=16), png_pixels(bytes(range(12)), 1), (b"IEND", b""))
    yield _kept("sixteen-bit.png", encoded(sixteen, "PNG"), Note.GREY, Note.SIXTEEN_BIT)
    yield _kept("sixteen-bit.tif", encoded(sixteen, "TIFF"), Note.GREY, Note.SIXTEEN_BIT)
    yield _kept("sixteen-bit-colour.png", colours, Note.SIXTEEN_BIT)
    yield _kept("cmyk.jpg", encoded(scene(), "JPEG", mode="CMYK"), Note.CMYK)
    yield _kept("cmyk.tif", encoded(scene(), "TIFF", mode="CMYK"), Note.CMYK)
    yield _kept("palette.png", encoded(scene(), "PNG", mode="P"), Note.PALETTE)
    yield _kept("palette.gif", encoded(scene(), "GIF", mode="P"), Note.PALETTE)
    yield _kept("grey.jpg", encoded(scene(), "JPEG", mode="L"), Note.GREY)
    yield _kept("black-and-white.png", encoded(scene(), "PNG", mode="1"), Note.GREY)
    yield _kept("alpha.png", encoded(scene(), "PNG", mode="RGBA"), Note.ALPHA)
    yield _kept("grey-alpha.png", encoded(scene(), "PNG", mode="LA"), Note.GREY, Note.ALPHA)
    for orientation in range(2, 9):
        yield _kept(
            f"turned-{orientation}.jpg", encoded(scene(), "JPEG", orientation=orientation), Note.ORIENTED
        )
    for form in ("png", "webp", "tiff"):
        yield _kept(f"turned.{form}", encoded(scene(), form, orientation=6), Note.ORIENTED)


def _unusual_but_valid() -> Iterator[Case]:
    jpeg, png_data = encoded(scene(), "JPEG"), encoded(scene(), "PNG")
    text = b"a\0\0" + zlib.compress(bytes(50 << 20), 9)
    yield _kept("upright.jpg", jpeg)
    yield _kept("one-pixel.png", encoded(scene(1, 1), "PNG"))
    yield _kept("jpeg.png", jpeg, Note.WRONG_EXTENSION)
    yield _kept("png.jpg", png_data, Note.WRONG_EXTENSION)
    yield _kept("no-extension", png_data)
    yield _kept("black.png", encoded(np.zeros((16, 24, 3), np.uint8), "PNG"))
    yield _kept("black-interlaced.png", interlaced_png(207))
    yield _kept("rubbish-behind.jpg", jpeg + b"rubbish" * 100)
    yield _kept("rubbish-behind.png", png_data + b"rubbish" * 100)
    yield _kept("text-bomb.png", with_png_chunk(png_data, b"zTXt", text))
    yield _kept("profile-bomb.png", with_png_chunk(png_data, b"iCCP", text))
    yield _kept("comment.gif", with_gif_comment(encoded(scene(), "GIF", mode="1"), 1000), Note.GREY)
    tail = encoded(scene(), "JPEG") * 200  # a video or previews after the end
    yield _kept("pictures-behind.jpg", jpeg + tail)
    yield _kept("exif-bomb.jpg", with_jpeg_segment(jpeg, 0xE1, exif_bomb()))
    yield _kept("exif-rubbish.jpg", with_jpeg_segment(jpeg, 0xE1, b"Exif\0\0rubbish"), Note.BROKEN_EXIF)
    nine = encoded(scene(), "JPEG", orientation=9)
    yield _kept("orientation-nine.jpg", nine, Note.BROKEN_EXIF)
    yield _kept("line\nbreak.png", png_data)


CASES = tuple(_cases())
