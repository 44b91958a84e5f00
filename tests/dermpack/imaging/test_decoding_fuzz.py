"""Mutated pictures of every format give a picture or a PictureError, and no other error."""

from __future__ import annotations

import random
import warnings
from importlib.util import find_spec
from io import BytesIO

import pytest
from PIL import Image

from dermpack.errors import PictureError
from dermpack.imaging.decoding import decode
from dermpack.imaging.rejection import DecodingLimits, Reason
from tests.support.hostile_pictures import encoded, frames, png, png_header, png_pixels, scene

LIMITS = DecodingLimits(max_pixels=1 << 20)  # a mutated header must not make the test slow
MUTATIONS = 60  # a format
RUNS = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\1")


def progressive() -> bytes:
    buffer = BytesIO()
    Image.fromarray(scene()).save(buffer, "JPEG", progressive=True, icc_profile=bytes(99), comment="a")
    return buffer.getvalue()


SEEDS = {
    "jpeg": encoded(scene(), "JPEG", orientation=6),
    "jpeg-progressive": progressive(),
    "jpeg-cmyk": encoded(scene(), "JPEG", mode="CMYK"),
    "png": encoded(scene(), "PNG", orientation=6),
    "png-palette": encoded(scene(), "PNG", mode="P"),
    "png-sixteen-bit": png(png_header(2, 2, depth=16), png_pixels(bytes(12), 2), (b"IEND", b"")),
    "png-frames": frames("PNG"),
    "webp": encoded(scene(), "WEBP", orientation=6),
    "webp-frames": frames("WEBP"),
    "bmp": encoded(scene(), "BMP"),
    "bmp-palette": encoded(scene(), "BMP", mode="P"),
    "tiff": encoded(scene(), "TIFF", orientation=6),
    "tiff-palette": encoded(scene(), "TIFF", mode="P"),
    "gif": encoded(scene(), "GIF"),
    "gif-frames": frames("GIF"),
}
if find_spec("pillow_heif"):
    from tests.support.heic_pictures import encoded_heic

    SEEDS["heic"] = encoded_heic(scene(), orientation=6)
    SEEDS["heic-grid"] = encoded_heic(scene(300, 200), tile_size=128)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Change, drop, insert or cut some bytes, mostly in the headers at the beginning."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        reach = min(len(changed), 200) if chance.random() < 0.6 else len(changed)
        at = chance.randrange(max(reach, 1))
        length = chance.randrange(1, 20)
        insertion = chance.randbytes(length)
        ways = (
            (at, at + 1, insertion[:1]),
            (at, at + 4, chance.choice(RUNS)),
            (at, at + length, b""),
            (at, at, insertion),
            (at, len(changed), b""),
        )
        first, last, put = chance.choice(ways)
        changed[first:last] = put
    return bytes(changed)


@pytest.mark.parametrize("name", SEEDS)
def test_a_mutated_file_is_decoded_or_rejected_with_a_reason(name: str) -> None:
    chance = random.Random(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(MUTATIONS):
            data = mutated(SEEDS[name], chance)
            try:
                assert decode(data, limits=LIMITS, at_least=8).pixels.shape[2] == 3
            except PictureError as error:
                assert Reason(error.reason)
