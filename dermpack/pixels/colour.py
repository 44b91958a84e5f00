"""Convert whatever samples a picture has to 8-bit RGB, exactly or not at all."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dermpack.pixels.verdict import Note, Reason, refusal

NOTES = {
    "RGB": (),
    "RGBA": (Note.ALPHA,),
    "1": (Note.GREY,),
    "L": (Note.GREY,),
    "LA": (Note.GREY, Note.ALPHA),
    "P": (Note.PALETTE,),
    "PA": (Note.PALETTE, Note.ALPHA),
    "CMYK": (Note.CMYK,),
    "YCbCr": (),
    "I;16": (Note.GREY, Note.SIXTEEN_BIT),
    "I;16B": (Note.GREY, Note.SIXTEEN_BIT),
}
WHITE = (255, 255, 255)  # the page that most viewers show under a transparent picture


def to_rgb(image: Image.Image, where: str) -> tuple[Image.Image, tuple[Note, ...]]:
    """The picture in RGB, and what was done to it."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image, ()
    if image.mode not in NOTES:
        raise refusal(where, Reason.UNSUPPORTED, f"has {image.mode} samples")
    notes = NOTES[image.mode]
    if Note.SIXTEEN_BIT in notes:
        return _high_bytes(image).convert("RGB"), notes
    if Note.ALPHA in notes or "transparency" in image.info:
        return _over_white(image.convert("RGBA")), tuple(dict.fromkeys((*notes, Note.ALPHA)))
    return image.convert("RGB"), notes


def _high_bytes(image: Image.Image) -> Image.Image:
    """0xABCD → 0xAB, where Pillow's own conversion would clip to 255."""
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _over_white(image: Image.Image) -> Image.Image:
    """round((alpha * colour + (255 - alpha) * 255) / 255) of each channel."""
    page = Image.new("RGB", image.size, WHITE)
    page.paste(image.convert("RGB"), mask=image.getchannel("A"))
    return page
