"""A .tflite as a flatbuffer: read what it says of itself, write its metadata; it is never run."""

from dermpack.tflitefile.agreement import disagreements
from dermpack.tflitefile.ceilings import NEWEST, newest_versions
from dermpack.tflitefile.feeding import feed_words, takes_raw_bytes
from dermpack.tflitefile.metadata import (
    Metadata,
    ScoreCalibration,
    Sigmoid,
    Transformation,
    temperature_calibration,
)
from dermpack.tflitefile.model import ModelFile, Operator, Share, Tensor
from dermpack.tflitefile.reading import read_model
from dermpack.tflitefile.traps import Trap, find_traps, inner_floats, is_integer
from dermpack.tflitefile.writing import with_metadata

__all__ = [
    "NEWEST",
    "Metadata",
    "ModelFile",
    "Operator",
    "ScoreCalibration",
    "Share",
    "Sigmoid",
    "Tensor",
    "Transformation",
    "Trap",
    "disagreements",
    "feed_words",
    "find_traps",
    "inner_floats",
    "is_integer",
    "newest_versions",
    "read_model",
    "takes_raw_bytes",
    "temperature_calibration",
    "with_metadata",
]
