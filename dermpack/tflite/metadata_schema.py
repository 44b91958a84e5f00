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

# The fields of a table have the numbers 0, 1, 2 … in the order of the schema.
ModelMetadata = IntEnum(
    "ModelMetadata",
    "NAME DESCRIPTION VERSION SUBGRAPH_METADATA AUTHOR LICENSE ASSOCIATED_FILES MIN_PARSER_VERSION",
    start=0,
)
SubGraphMetadata = IntEnum(
    "SubGraphMetadata", "NAME DESCRIPTION INPUT_TENSOR_METADATA OUTPUT_TENSOR_METADATA", start=0
)
TensorMetadata = IntEnum(
    "TensorMetadata", "NAME DESCRIPTION DIMENSION_NAMES CONTENT PROCESS_UNITS STATS ASSOCIATED_FILES", start=0
)
Content = IntEnum("Content", "KIND PROPERTIES", start=0)
ImageProperties = IntEnum("ImageProperties", "COLOR_SPACE", start=0)
ProcessUnit = IntEnum("ProcessUnit", "KIND OPTIONS", start=0)
Normalization = IntEnum("Normalization", "MEAN STD", start=0)
ScoreCalibrationOptions = IntEnum("ScoreCalibrationOptions", "TRANSFORMATION DEFAULT_SCORE", start=0)
ScoreThresholding = IntEnum("ScoreThresholding", "GLOBAL_THRESHOLD", start=0)
Stats = IntEnum("Stats", "MAX MIN", start=0)
AssociatedFile = IntEnum("AssociatedFile", "NAME DESCRIPTION TYPE", start=0)

# The values of its enums; those of others are left out.
ContentKind = IntEnum("ContentKind", {"FEATURE": 1, "IMAGE": 2})
ColorSpace = IntEnum("ColorSpace", {"RGB": 1})
UnitKind = IntEnum("UnitKind", {"NORMALIZATION": 1, "SCORE_CALIBRATION": 2, "SCORE_THRESHOLDING": 3})
FileType = IntEnum("FileType", {"TENSOR_AXIS_LABELS": 2, "TENSOR_AXIS_SCORE_CALIBRATION": 4})
