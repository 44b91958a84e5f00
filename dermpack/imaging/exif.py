"""Read the orientation out of EXIF, and nothing else."""

from __future__ import annotations

import struct

from PIL import Image

from dermpack.imaging.rejection import Note

ORIENTATION_TAG = 0x0112
SHORT = 3
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


def orientation_of(exif: bytes) -> tuple[int, tuple[Note, ...]]:
    """1 to 8, and what is worth saying of it; EXIF that cannot be read means upright.

    Only the first directory is walked, in place: no value is copied, so no EXIF can fill the memory.
    """
    if not exif:
        return UPRIGHT, ()
    try:
        orientation = _orientation(exif)
    except struct.error:
        return UPRIGHT, (Note.BROKEN_EXIF,)
    if orientation in TURNS:
        return orientation, (Note.ORIENTED,)
    return UPRIGHT, () if orientation in (0, UPRIGHT) else (Note.BROKEN_EXIF,)


def upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _orientation(tiff: bytes) -> int:
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None:
        raise struct.error("no byte order")
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", tiff, at)
        if tag == ORIENTATION_TAG:
            return int(struct.unpack_from(order + "H", tiff, at + 8)[0]) if kind == SHORT else -1
    return UPRIGHT
