"""A .tflite as a flatbuffer: read what it says of itself, write its metadata; it is never run."""

from dermpack.tflite.contract_match import disagreements
from dermpack.tflite.input_format import feed_words, takes_raw_bytes
from dermpack.tflite.lint import LintFinding, find_traps, inner_floats, is_integer
from dermpack.tflite.metadata import (
    Metadata,
    ScoreCalibration,
    Sigmoid,
    Transformation,
    temperature_calibration,
)
from dermpack.tflite.model_file import ByteShare, ModelFile, OperatorInfo, TensorInfo
from dermpack.tflite.op_versions import NEWEST, newest_versions
from dermpack.tflite.reading import read_model
from dermpack.tflite.writing import with_metadata

__all__ = [
    "NEWEST",
    "ByteShare",
    "LintFinding",
    "Metadata",
    "ModelFile",
    "OperatorInfo",
    "ScoreCalibration",
    "Sigmoid",
    "TensorInfo",
    "Transformation",
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
