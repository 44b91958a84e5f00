"""The one preprocessing: everything that ever shows a picture to a model goes through here."""

from dermpack.imaging.decoding import Decoded, Pixels, decode
from dermpack.imaging.preprocessing import prepare
from dermpack.imaging.rejection import DEFAULT_LIMITS, Limits, Note, Reason
from dermpack.imaging.resizing import Policy, resize

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
