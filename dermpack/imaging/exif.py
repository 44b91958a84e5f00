"""Read the orientation from EXIF, and turn a picture upright."""

from __future__ import annotations

import struct

from PIL import Image

from dermpack.imaging.rejection import Note

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


def read_orientation(exif: bytes) -> tuple[int, tuple[Note, ...]]:
    """Return the orientation, 1 to 8, and a note where it matters; invalid EXIF means upright.

    Only the first directory is read, in place. No value is copied, so EXIF cannot fill the memory.
    """
    if not exif:
        return UPRIGHT, ()
    try:
        orientation = _find_orientation(exif)
    except struct.error:
        return UPRIGHT, (Note.BROKEN_EXIF,)
    if orientation in TURNS:
        return orientation, (Note.ORIENTED,)
    return UPRIGHT, () if orientation in (0, UPRIGHT) else (Note.BROKEN_EXIF,)


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Rotate or mirror a picture according to its EXIF orientation."""
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _find_orientation(tiff: bytes) -> int:
    """Return the value of the orientation tag, 1 without the tag, or -1 for a value of another type."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None:
        raise struct.error("no byte order")
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for position in range(start + 2, start + 2 + ENTRY_BYTES * count, ENTRY_BYTES):
        tag, kind = struct.unpack_from(order + "HH", tiff, position)
        if tag == ORIENTATION_TAG:
            return int(struct.unpack_from(order + "H", tiff, position + 8)[0]) if kind == SHORT else -1
    return UPRIGHT
