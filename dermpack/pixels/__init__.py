"""The one preprocessing: everything that ever shows a picture to a model goes through here."""

from dermpack.pixels.decoding import Decoded, Pixels, decode
from dermpack.pixels.preparing import prepare
from dermpack.pixels.resizing import Policy, resize
from dermpack.pixels.verdict import DEFAULT_LIMITS, Limits, Note, Reason

__all__ = [
    "DEFAULT_LIMITS",
    "Decoded",
    "Limits",
    "Note",
    "Pixels",
    "Policy",
    "Reason",
    "decode",
    "prepare",
    "resize",
]
