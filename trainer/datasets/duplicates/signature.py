"""What a picture looks like, in a few bytes that can be compared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL = 16  # pixels a side, RGB
GREY = 32  # pixels a side of what is hashed; keeps the eight hashes cheap for large pictures
REDUCED = 64  # pixels a side of what both are made from
ORIENTATIONS = 8  # four turns, each as it is and mirrored

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Equal `pixels_sha256` means equal pictures; the others tell which pictures are alike."""

    pixels_sha256: str  # of the size and the decoded, oriented pixels
    hashes: bytes  # ImageHash's dhash of the eight orientations, 8 bytes each, first as it is
    thumbnail: bytes  # uint8 [16, 16, 3]


def signature(pixels: Pixels) -> Signature:
    """Sign decoded, oriented RGB pixels."""
    picture = Image.fromarray(pixels)
    reduced = picture.resize((REDUCED, REDUCED), Image.Resampling.BOX)
    thumbnail = reduced.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    grey = np.asarray(reduced.convert("L").resize((GREY, GREY), Image.Resampling.BOX))
    return Signature(
        pixels_sha256=pixels_sha256(pixels),
        hashes=b"".join(_dhash(turned(grey, at)) for at in range(ORIENTATIONS)),
        thumbnail=thumbnail.tobytes(),
    )


def pixels_sha256(pixels: Pixels) -> str:
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def turned(grid: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """The grid [h, w, …] in one of eight orientations: 0 to 3 quarter turns, then the same mirrored."""
    mirrored = grid[:, ::-1] if orientation >= 4 else grid
    return np.rot90(mirrored, orientation % 4)


def _dhash(grey: NDArray[np.generic]) -> bytes:
    import imagehash

    bits = imagehash.dhash(Image.fromarray(np.ascontiguousarray(grey))).hash
    return np.packbits(bits).tobytes()
