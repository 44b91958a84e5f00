"""Read, check and annotate .tflite files as flatbuffers, without running them."""

from dermpack.tflite.lint import LintFinding, find_mismatches, inner_floats, is_integer, lint_model
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import (
    ByteShare,
    Metadata,
    ModelFile,
    OperatorInfo,
    ScoreCalibration,
    Sigmoid,
    TensorInfo,
    Transformation,
    describe_input,
    takes_raw_bytes,
    temperature_calibration,
)
from dermpack.tflite.op_versions import NEWEST, newest_versions
from dermpack.tflite.reading import read_model

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
    "describe_input",
    "find_mismatches",
    "inner_floats",
    "is_integer",
    "lint_model",
    "newest_versions",
    "read_model",
    "takes_raw_bytes",
    "temperature_calibration",
    "with_metadata",
]
