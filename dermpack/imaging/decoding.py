"""Decode a picture file to upright RGB pixels; the file is treated as hostile until it is checked."""

from __future__ import annotations

import errno
import os
import re
import stat
import struct
import zlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from PIL import Image

from dermpack.errors import PictureError
from dermpack.imaging.containers import (
    PNG,
    STORED_SLACK_BYTES,
    Container,
    check_png_rows,
    decompression_bomb,
    detect_format,
)
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits, Note, Reason, picture_error

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The process that decodes for `predict` sends bytes: it starts twice as fast without numpy.
Pixels: TypeAlias = "NDArray[np.uint8]"

# Every type of error that Pillow documents or was observed to raise on hostile bytes.
PILLOW_ERRORS = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError),
    *(EOFError, RuntimeError, AssertionError, struct.error, zlib.error),
    Image.DecompressionBombError,
)
BYTE_COUNT = re.compile(r" \(\d+ bytes not processed\)")  # differs between versions of Pillow
BAND_ROWS = 64  # a band stays in the CPU cache: 12 megapixels copy in 12 ms instead of 47 ms
# A link is refused by the same call that opens the file; opening a pipe must not block.
OPEN_FLAGS = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)

# Colour
# Pillow's modes that are supported, and the notes on their conversion.
NOTES: dict[str, tuple[Note, ...]] = {
    "RGB": (),
    "RGBA": (Note.ALPHA,),
    "1": (Note.GREY,),
    "L": (Note.GREY,),
    "LA": (Note.GREY, Note.ALPHA),
    "P": (Note.PALETTE,),
    "PA": (Note.PALETTE, Note.ALPHA),
    "CMYK": (Note.CMYK,),
    "I": (Note.GREY,),  # 16-bit greys: the name depends on the version of Pillow
    "I;16": (Note.GREY,),
    "I;16B": (Note.GREY,),
}
DEPTHS = (1, 2, 4, 8, 16)
WHITE = (255, 255, 255)  # the background that most viewers show below a transparent picture

# Orientation
ORIENTATION_TAG = 0x0112
SHORT = 3  # the type of a 16-bit number
ENTRY_BYTES = 12
UPRIGHT = 1
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """A decoded picture as it is displayed: uint8 [height, width, 3], upright, RGB."""

    pixels: Pixels
    notes: tuple[Note, ...] = ()


def decode(
    source: Path | bytes, *, limits: DecodingLimits = DEFAULT_LIMITS, at_least: int | None = None
) -> Decoded:
    """Decode one picture, or raise a PictureError that names the reason.

    With `at_least`, a JPEG may be decoded at a reduced size (1/2, 1/4, 1/8), as long as its short side keeps
    at least that many pixels.
    """
    import numpy as np

    image, notes = decode_image(source, limits=limits, at_least=at_least)
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, BAND_ROWS):
        bottom = min(top + BAND_ROWS, height)
        pixels[top:bottom] = np.asarray(image.crop((0, top, width, bottom)))
    return Decoded(pixels=pixels, notes=notes)


def decode_image(
    source: Path | bytes, *, limits: DecodingLimits, at_least: int | None
) -> tuple[Image.Image, tuple[Note, ...]]:
    """Decode like `decode`, but return Pillow's image, which saves a copy of large pictures."""
    where = "(bytes)" if isinstance(source, bytes) else str(source)
    data = source if isinstance(source, bytes) else _read_file(source, limits)
    if not data:
        raise picture_error(where, Reason.EMPTY, "empty file")
    if len(data) > limits.max_bytes:
        raise _too_heavy(where, len(data), limits)
    form = detect_format(data, where=where)
    # The reader of the format removes metadata and rejects the faults that Pillow does not notice.
    container = form.read(data, where) if form.read else Container(data=data)
    if container.size is not None:
        _check_size(container.size, limits, where)
    orientation, exif_notes = read_orientation(container.exif)
    try:
        opened = form.image_file(BytesIO(container.data))
        _check_size(opened.size, limits, where)
        if at_least is not None:
            opened.draft(None, (at_least, at_least))  # other formats than JPEG ignore it
        if form is PNG:
            _load_png(opened, container.data, where)
        else:
            opened.load()
        rgb, colour_notes = convert_to_rgb(opened, depth=container.depth, where=where)
        image = rgb.transpose(TURNS[orientation]) if orientation in TURNS else rgb
    except MemoryError as error:
        what = "more memory is needed to decode it than is allowed"
        raise picture_error(where, Reason.TOO_COSTLY, what) from error
    except PILLOW_ERRORS as error:
        message = BYTE_COUNT.sub("", " ".join(str(error).split())) or type(error).__name__
        raise picture_error(where, _reason_of(error), f"cannot be decoded ({message})") from error
    suffix = "" if isinstance(source, bytes) else source.suffix.lower()
    suffix_notes = (Note.WRONG_EXTENSION,) if suffix and suffix not in form.suffixes else ()
    return image, (*suffix_notes, *exif_notes, *colour_notes)


def _read_file(path: Path, limits: DecodingLimits) -> bytes:
    """Return the bytes of a regular file that is not a link and not too large."""
    try:
        descriptor = os.open(path, OPEN_FLAGS)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise picture_error(path, Reason.NOT_A_FILE, "not a regular file")
            if status.st_size > limits.max_bytes:
                raise _too_heavy(path, status.st_size, limits)
            if not status.st_size:
                return b""  # also the files of /proc, which have no size and may have no end
            with open(descriptor, "rb", buffering=0, closefd=False) as file:
                return file.readall()
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        if getattr(error, "errno", None) in (errno.ELOOP, errno.EMLINK):  # EMLINK: a link on FreeBSD
            raise picture_error(path, Reason.LINK, "a symbolic link") from error
        what = getattr(error, "strerror", None) or str(error)
        raise picture_error(path, Reason.UNREADABLE, f"cannot be read ({what})") from error


def _too_heavy(where: object, size_bytes: int, limits: DecodingLimits) -> PictureError:
    what = f"{size_bytes:,} bytes, but at most {limits.max_bytes:,} are allowed"
    return picture_error(where, Reason.TOO_HEAVY, what)


def _check_size(size: tuple[int, int], limits: DecodingLimits, where: str) -> None:
    width, height = size
    if max(size) > limits.max_side or width * height > limits.max_pixels:
        limit = f"at most {limits.max_pixels:,} pixels and {limits.max_side:,} per side are allowed"
        raise picture_error(where, Reason.TOO_LARGE, f"{width} × {height} pixels, but {limit}")


def _load_png(opened: Any, data: bytes, where: str) -> None:
    """Decode the pixels, and check that the file contains all of them and not much more."""
    ends, finish = list[int](), opened.load_end

    def load_end() -> None:
        ends.append(opened.fp.tell())
        finish()  # reads the rest of a PNG

    opened.load_end = load_end
    try:
        opened.load()
    finally:
        del opened.load_end  # as a cycle of references, the pixels would stay in memory
    # What Pillow had not read by then lies after the last row: expanding it is what a bomb is for.
    if ends and len(data) - ends[0] > STORED_SLACK_BYTES:
        raise decompression_bomb(where)
    if not _ends_with_pixels(opened):
        check_png_rows(data, where)


def _ends_with_pixels(image: Image.Image) -> bool:
    """Return whether the last rows contain anything: Pillow leaves missing rows at zero.

    Two rows, because the last passes of an interlaced picture fill alternate rows.
    """
    rows = range(max(image.height - 2, 0), image.height)
    return all(any(image.crop((0, row, image.width, row + 1)).tobytes()) for row in rows)


def _reason_of(error: Exception) -> Reason:
    # Pillow has its own limit of pixels, below `limits` where a caller raised them.
    if isinstance(error, Image.DecompressionBombError):
        return Reason.TOO_LARGE
    # Pillow unpacks headers with struct, which fails where the file ends too early.
    if isinstance(error.__cause__ or error, struct.error) or "truncated" in str(error).lower():
        return Reason.TRUNCATED
    return Reason.BROKEN


def convert_to_rgb(image: Image.Image, *, depth: int, where: str) -> tuple[Image.Image, tuple[Note, ...]]:
    """Return the picture in RGB and notes on the conversion; `depth` is the bits per sample of the file."""
    if image.mode not in NOTES or depth not in DEPTHS:
        what = f"{depth}-bit samples of mode {image.mode} are not supported"
        raise picture_error(where, Reason.UNSUPPORTED, what)
    notes = NOTES[image.mode] + ((Note.SIXTEEN_BIT,) if depth == 16 else ())
    if image.mode.startswith("I"):
        import numpy as np

        # Keep the high byte, 0xABCD → 0xAB: Pillow's own conversion would clip to 255.
        high = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        high.info = image.info
        image = high
    if "transparency" in image.info:
        # A transparent colour is given in the depth of the file, which Pillow has reduced to 8 bits.
        if depth != 8 and image.mode not in ("1", "P"):
            what = f"a transparent colour of {depth} bits is not supported"
            raise picture_error(where, Reason.UNSUPPORTED, what)
        notes = (*notes, Note.ALPHA)
    if Note.ALPHA in notes:
        # Blend with white: round((alpha * colour + (255 - alpha) * 255) / 255) of each channel.
        # Band by band: the copies of a whole picture would take as much memory as all the rest.
        page = Image.new("RGB", image.size, WHITE)
        for top in range(0, image.height, BAND_ROWS):
            band = image.crop((0, top, image.width, min(top + BAND_ROWS, image.height))).convert("RGBA")
            page.paste(band.convert("RGB"), (0, top), mask=band.getchannel("A"))
        return page, notes
    return image if image.mode == "RGB" else image.convert("RGB"), notes


def read_orientation(exif: bytes) -> tuple[int, tuple[Note, ...]]:
    """Return the orientation, 1 to 8, and a note where it matters; invalid EXIF means upright.

    Only the first directory is read, in place. No value is copied, so EXIF cannot fill the memory.
    """
    if not exif:
        return UPRIGHT, ()
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    if order is None:
        return UPRIGHT, (Note.BROKEN_EXIF,)
    orientation = UPRIGHT
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (count,) = struct.unpack_from(order + "H", exif, start)
        for position in range(start + 2, start + 2 + ENTRY_BYTES * count, ENTRY_BYTES):
            tag, kind = struct.unpack_from(order + "HH", exif, position)
            if tag == ORIENTATION_TAG:
                (value,) = struct.unpack_from(order + "H", exif, position + 8)
                orientation = value if kind == SHORT else -1
                break
    except struct.error:
        return UPRIGHT, (Note.BROKEN_EXIF,)
    if orientation in TURNS:
        return orientation, (Note.ORIENTED,)
    return UPRIGHT, () if orientation in (0, UPRIGHT) else (Note.BROKEN_EXIF,)
