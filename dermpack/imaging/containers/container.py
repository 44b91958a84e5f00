"""What one reader of a container answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The bytes for the decoder, and what was read of the rest."""

    data: bytes
    exif: bytes = b""  # from its TIFF header on
    depth: int = 8  # bits a sample
    size: tuple[int, int] | None = None  # width, height, where Pillow would allocate before it tells
