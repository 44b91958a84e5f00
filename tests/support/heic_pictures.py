"""Encode HEIC photographs as phones do, and build containers that no encoder writes."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

from tests.support.hostile_pictures import ORIENTATION_TAG

DESCRIPTION_TAG = 0x010E
FILE_TYPE = struct.pack(">I4s4sI4s", 20, b"ftyp", b"heic", 0, b"mif1")


def encoded_heic(
    pixels: NDArray[np.uint8],
    *,
    orientation: int = 1,
    tile_size: int = 0,
    second: NDArray[np.uint8] | None = None,
    texts: bool = False,
) -> bytes:
    """Return a HEIC that is turned by its properties.

    `second` is another picture, and the primary one. With `texts`, its metadata contains "SECRET".
    """
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    file = pillow_heif.from_pillow(Image.fromarray(pixels))
    options: dict[str, Any] = {"quality": 90, "chroma": 444, "tile_size": tile_size}
    if texts:
        exif[DESCRIPTION_TAG] = "SECRET name"
        file.info["xmp"] = b"<x:xmpmeta>SECRET</x:xmpmeta>"
        file.info["icc_profile"], file.info["icc_profile_type"] = b"SECRET profile" * 20, "prof"
    file.info["exif"] = exif.tobytes()
    if second is not None:
        file.add_from_pillow(Image.fromarray(second))
        options["primary_index"] = 1
    buffer = BytesIO()
    file.save(buffer, **options)
    return buffer.getvalue()


def with_declared_size(data: bytes, width: int, height: int) -> bytes:
    """Return the HEIC with another size in its first `ispe`."""
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I4s", len(content) + 8, kind) + content


def full_box(kind: bytes, *contents: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]), *contents)


def container(
    kinds: Sequence[bytes],
    sizes: Sequence[tuple[int, int]],
    *,
    primary: int = 1,
    tiles: Sequence[int] = (),
    more: bytes = b"",
) -> bytes:
    """Return a container of items 1, 2 … with these types and sizes; item 1 has the tiles."""
    items = [
        full_box(b"infe", struct.pack(">HH4s", item, 0, kind), version=2)
        for item, kind in enumerate(kinds, 1)
    ]
    properties = [full_box(b"ispe", struct.pack(">II", *size)) for size in sizes]
    associations = [struct.pack(">HBB", item, 1, item) for item in range(1, len(sizes) + 1)]
    meta = [
        full_box(b"pitm", struct.pack(">H", primary)),
        full_box(b"iinf", struct.pack(">H", len(items)), *items),
        box(
            b"iprp",
            box(b"ipco", *properties),
            full_box(b"ipma", struct.pack(">I", len(associations)), *associations),
        ),
    ]
    if tiles:
        references = struct.pack(f">HH{len(tiles)}H", 1, len(tiles), *tiles)
        meta.append(full_box(b"iref", box(b"dimg", references)))
    return FILE_TYPE + full_box(b"meta", *meta, more)
