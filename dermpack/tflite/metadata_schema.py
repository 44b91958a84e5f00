"""Number the fields of the tables of TFLite metadata.

After metadata_schema.fbs, version 1.5.0,
Copyright 2022 The MediaPipe Authors. All Rights Reserved.
Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except in
compliance with the License. You may obtain a copy of the License at
http://www.apache.org/licenses/LICENSE-2.0
Unless required by applicable law or agreed to in writing, software distributed under the License is
distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and limitations under the License.

Only the tables that describe a picture classifier are here. A union has two fields: its kind, then its value.
"""

from __future__ import annotations

from enum import IntEnum

IDENTIFIER = b"M001"
PARSER_VERSION = "1.0.0"  # the first schema already has everything that is written here


class ModelMetadata(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    VERSION = 2
    SUBGRAPH_METADATA = 3
    AUTHOR = 4
    LICENSE = 5
    ASSOCIATED_FILES = 6
    MIN_PARSER_VERSION = 7


class SubGraphMetadata(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    INPUT_TENSOR_METADATA = 2
    OUTPUT_TENSOR_METADATA = 3


class TensorMetadata(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    DIMENSION_NAMES = 2
    CONTENT = 3
    PROCESS_UNITS = 4
    STATS = 5
    ASSOCIATED_FILES = 6


class Content(IntEnum):
    KIND = 0
    PROPERTIES = 1


class ContentKind(IntEnum):
    FEATURE = 1
    IMAGE = 2


class ImageProperties(IntEnum):
    COLOR_SPACE = 0


class ColorSpace(IntEnum):
    RGB = 1


class ProcessUnit(IntEnum):
    KIND = 0
    OPTIONS = 1


class UnitKind(IntEnum):
    NORMALIZATION = 1
    SCORE_CALIBRATION = 2
    SCORE_THRESHOLDING = 3


class Normalization(IntEnum):
    MEAN = 0
    STD = 1


class ScoreCalibrationOptions(IntEnum):
    TRANSFORMATION = 0
    DEFAULT_SCORE = 1


class ScoreThresholding(IntEnum):
    GLOBAL_THRESHOLD = 0


class Stats(IntEnum):
    MAX = 0
    MIN = 1


class AssociatedFile(IntEnum):
    NAME = 0
    DESCRIPTION = 1
    TYPE = 2


class FileType(IntEnum):
    TENSOR_AXIS_LABELS = 2
    TENSOR_AXIS_SCORE_CALIBRATION = 4
