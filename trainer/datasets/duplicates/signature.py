"""Compute the signature of a picture: a hash of its pixels, perceptual hashes and a thumbnail."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

THUMBNAIL = 16  # pixels a side, RGB
GREY = 32  # pixels a side of the grid that is hashed eight times; small, so that large pictures are fast
REDUCED = 64  # pixels a side of the picture that both are computed from
ORIENTATIONS = 8  # four quarter turns, each as it is and mirrored

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Equal `pixels_sha256` means identical pictures; hashes and thumbnail find similar ones."""

    pixels_sha256: str  # of the size and the decoded, upright pixels
    hashes: bytes  # ImageHash's dhash of the eight orientations, 8 bytes each, the upright one first
    thumbnail: bytes  # uint8 [16, 16, 3]


def compute_signature(pixels: Pixels) -> Signature:
    """Return the signature of decoded, upright RGB pixels."""
    import imagehash  # of the data extra

    # Reducing in steps of whole blocks makes the eight hashes of a large picture cheap.
    reduced = Image.fromarray(pixels).resize((REDUCED, REDUCED), Image.Resampling.BOX)
    thumbnail = reduced.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    grey = np.asarray(reduced.convert("L").resize((GREY, GREY), Image.Resampling.BOX))
    hashes = []
    for orientation in range(ORIENTATIONS):
        oriented = Image.fromarray(np.ascontiguousarray(orient(grey, orientation)))
        hashes.append(np.packbits(imagehash.dhash(oriented).hash).tobytes())
    return Signature(
        pixels_sha256=hash_pixels(pixels),
        hashes=b"".join(hashes),
        thumbnail=thumbnail.tobytes(),
    )


def hash_pixels(pixels: Pixels) -> str:
    """Return the SHA-256 of the size and the pixels."""
    height, width = pixels.shape[:2]
    digest = hashlib.sha256(f"{width}x{height}:".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def orient(grid: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """Return the grid [h, w, …] in one of eight orientations: 0 to 3 quarter turns, then mirrored."""
    mirrored = grid[:, ::-1] if orientation >= 4 else grid
    return np.rot90(mirrored, orientation % 4)
