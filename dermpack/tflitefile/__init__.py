"""A .tflite as a flatbuffer: read what it says of itself, write its metadata; it is never run."""

from dermpack.tflitefile.metadata import (
    Metadata,
    ScoreCalibration,
    Sigmoid,
    Transformation,
    temperature_calibration,
)
from dermpack.tflitefile.model import ModelFile, Operator, Share, Tensor
from dermpack.tflitefile.reading import read_model
from dermpack.tflitefile.writing import with_metadata

__all__ = [
    "Metadata",
    "ModelFile",
    "Operator",
    "ScoreCalibration",
    "Share",
    "Sigmoid",
    "Tensor",
    "Transformation",
    "read_model",
    "temperature_calibration",
    "with_metadata",
]
