"""Convert whatever samples a picture has to 8-bit RGB, exactly or not at all."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dermpack.imaging.rejection import Note, Reason, refusal

NOTES: dict[str, tuple[Note, ...]] = {
    "RGB": (),
    "RGBA": (Note.ALPHA,),
    "1": (Note.GREY,),
    "L": (Note.GREY,),
    "LA": (Note.GREY, Note.ALPHA),
    "P": (Note.PALETTE,),
    "PA": (Note.PALETTE, Note.ALPHA),
    "CMYK": (Note.CMYK,),
    "I": (Note.GREY,),  # 16-bit greys, as Pillow calls them or has called them
    "I;16": (Note.GREY,),
    "I;16B": (Note.GREY,),
}
DEPTHS = (1, 2, 4, 8, 16)
WHITE = (255, 255, 255)  # the page that most viewers show under a transparent picture


def to_rgb(image: Image.Image, *, depth: int, where: str) -> tuple[Image.Image, tuple[Note, ...]]:
    """The picture in RGB, and what was done to it; `depth` is the bits of a sample in the file."""
    if image.mode not in NOTES or depth not in DEPTHS:
        raise refusal(
            where, Reason.UNSUPPORTED, f"{depth}-bit samples of mode {image.mode} are not supported"
        )
    notes = NOTES[image.mode] + ((Note.SIXTEEN_BIT,) if depth == 16 else ())
    if image.mode.startswith("I"):
        image = _high_bytes(image)
    if "transparency" in image.info:
        _check_transparency(image, depth, where)
        notes = (*notes, Note.ALPHA)
    if Note.ALPHA in notes:
        return _over_white(image.convert("RGBA")), notes
    return image if image.mode == "RGB" else image.convert("RGB"), notes


def _check_transparency(image: Image.Image, depth: int, where: str) -> None:
    """A transparent colour is given in the file's depth, which is gone once Pillow has made it 8."""
    if depth != 8 and image.mode not in ("1", "P"):
        raise refusal(where, Reason.UNSUPPORTED, f"a transparent colour of {depth} bits is not supported")


def _high_bytes(image: Image.Image) -> Image.Image:
    """0xABCD → 0xAB, where Pillow's own conversion would clip to 255."""
    high = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    high.info = image.info
    return high


def _over_white(image: Image.Image) -> Image.Image:
    """round((alpha * colour + (255 - alpha) * 255) / 255) of each channel."""
    page = Image.new("RGB", image.size, WHITE)
    page.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return page
