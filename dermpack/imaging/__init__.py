"""Decode, orient and resize pictures: the only preprocessing, for training and for inference."""

from dermpack.imaging.decoding import Decoded, Pixels, decode
from dermpack.imaging.preprocessing import Policy, prepare, resize
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits, Note, Reason

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
