"""Convert the samples of a picture to 8-bit RGB: exactly, or not at all."""

from __future__ import annotations

import numpy as np
from PIL import Image

from dermpack.imaging.rejection import Note, Reason, picture_error

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


def convert_to_rgb(image: Image.Image, *, depth: int, where: str) -> tuple[Image.Image, tuple[Note, ...]]:
    """Return the picture in RGB and notes on the conversion; `depth` is the bits per sample of the file."""
    if image.mode not in NOTES or depth not in DEPTHS:
        what = f"{depth}-bit samples of mode {image.mode} are not supported"
        raise picture_error(where, Reason.UNSUPPORTED, what)
    notes = NOTES[image.mode] + ((Note.SIXTEEN_BIT,) if depth == 16 else ())
    if image.mode.startswith("I"):
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
        transparent = image.convert("RGBA")
        page = Image.new("RGB", image.size, WHITE)
        page.paste(transparent.convert("RGB"), mask=transparent.getchannel("A"))
        return page, notes
    return image if image.mode == "RGB" else image.convert("RGB"), notes
