"""The one preprocessing: everything that ever shows a picture to a model goes through here."""

from dermpack.imaging.decoding import Decoded, Pixels, decode
from dermpack.imaging.preprocessing import prepare
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits, Note, Reason
from dermpack.imaging.resizing import Policy, resize

__all__ = [
    "DEFAULT_LIMITS",
    "Decoded",
    "DecodingLimits",
    "Note",
    "Pixels",
    "Policy",
    "Reason",
    "decode",
    "prepare",
    "resize",
]
