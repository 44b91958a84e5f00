"""Read the metadata inside a .tflite, and the files at its end."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from math import isfinite
from typing import Any

from flatbuffers import number_types as numbers
from flatbuffers.table import Table as FlatTable

from dermpack.tflite import metadata_schema as layout
from dermpack.tflite.associated_files import read_attachment
from dermpack.tflite.bounded_bytes import BoundedBytes, Budget, Malformed
from dermpack.tflite.metadata import Metadata, ScoreCalibration, Sigmoid, Transformation

IDENTIFIER_AT = 4


class MetadataTable:
    """A table of the metadata, read by the place of its fields."""

    def __init__(self, data: BoundedBytes, position: int, budget: Budget) -> None:
        self._flat, self._data, self._budget = FlatTable(data, position), data, budget

    def text(self, field: IntEnum) -> str:
        at = self._at(field)
        return self._budget.text(self._flat.String(at) if at else None)

    def number(self, field: IntEnum, kind: Any) -> Any:
        at = self._at(field)
        number = self._flat.Get(kind, at) if at else kind.py_type(0)
        if not isfinite(number):
            raise Malformed("a number is not finite")
        return number

    def floats(self, field: IntEnum) -> tuple[float, ...]:
        at = self._at(field) - self._flat.Pos
        if at < 0:
            return ()
        as_array = lambda: self._flat.GetVectorAsNumpy(numbers.Float32Flags, at)  # noqa: E731 - the budget calls it
        return self._budget.numbers(self._flat.VectorLen(at), as_array)

    def table(self, field: IntEnum) -> MetadataTable | None:
        at = self._at(field)
        return self._from(at) if at else None

    def tables(self, field: IntEnum) -> Iterator[MetadataTable]:
        at = self._at(field) - self._flat.Pos
        if at >= 0:
            first = self._flat.Vector(at)
            length = self._flat.VectorLen(at)
            yield from self._budget.tables(length, lambda index: self._from(first + 4 * index))

    def _from(self, at: int) -> MetadataTable:
        return MetadataTable(self._data, self._flat.Indirect(at), self._budget)

    def _at(self, field: IntEnum) -> int:
        """Where the field is, or 0."""
        offset = self._flat.Offset(4 + 2 * field)
        return self._flat.Pos + offset if offset else 0


def unpack_metadata(packed: bytes, *, file: bytes) -> Metadata:
    """The metadata's flatbuffer, and the file that carries it."""
    if packed[IDENTIFIER_AT : IDENTIFIER_AT + len(layout.IDENTIFIER)] != layout.IDENTIFIER:
        raise Malformed("unknown metadata format")
    data = BoundedBytes(packed)
    head = FlatTable(data, 0)
    model = MetadataTable(data, head.Get(numbers.UOffsetTFlags, 0), Budget(data))
    graph = next(model.tables(layout.ModelMetadata.SUBGRAPH_METADATA), None)
    inputs = list(graph.tables(layout.SubGraphMetadata.INPUT_TENSOR_METADATA)) if graph else []
    outputs = list(graph.tables(layout.SubGraphMetadata.OUTPUT_TENSOR_METADATA)) if graph else []
    return Metadata(
        name=model.text(layout.ModelMetadata.NAME),
        description=model.text(layout.ModelMetadata.DESCRIPTION),
        version=model.text(layout.ModelMetadata.VERSION),
        author=model.text(layout.ModelMetadata.AUTHOR),
        licence=model.text(layout.ModelMetadata.LICENSE),
        min_parser_version=model.text(layout.ModelMetadata.MIN_PARSER_VERSION),
        **_input(inputs[0] if inputs else None),
        **_output(outputs[0] if outputs else None, file),
    )


def _input(tensor: MetadataTable | None) -> dict[str, Any]:
    if tensor is None:
        return {}
    found: dict[str, Any] = {}
    for unit in _units(tensor, layout.UnitKind.NORMALIZATION):
        found |= {
            "mean": unit.floats(layout.Normalization.MEAN),
            "std": unit.floats(layout.Normalization.STD),
        }
    stats = tensor.table(layout.TensorMetadata.STATS)
    if stats:
        found |= {"lowest": stats.floats(layout.Stats.MIN), "highest": stats.floats(layout.Stats.MAX)}
    return found


def _output(tensor: MetadataTable | None, file: bytes) -> dict[str, Any]:
    if tensor is None:
        return {}
    files = tuple(_files(tensor))
    found: dict[str, Any] = {"files": tuple(name for name, _ in files)}
    labels = _named(files, layout.FileType.TENSOR_AXIS_LABELS)
    if labels:
        found["labels"] = tuple(_lines(read_attachment(file, labels)))
    for unit in _units(tensor, layout.UnitKind.SCORE_THRESHOLDING):
        threshold = unit.number(layout.ScoreThresholding.GLOBAL_THRESHOLD, numbers.Float32Flags)
        found["score_threshold"] = threshold
    sigmoids = _named(files, layout.FileType.TENSOR_AXIS_SCORE_CALIBRATION)
    for unit in _units(tensor, layout.UnitKind.SCORE_CALIBRATION):
        if sigmoids:
            found["calibration"] = _calibration(unit, read_attachment(file, sigmoids))
    return found


def _units(tensor: MetadataTable, kind: layout.UnitKind) -> Iterator[MetadataTable]:
    for unit in tensor.tables(layout.TensorMetadata.PROCESS_UNITS):
        options = unit.table(layout.ProcessUnit.OPTIONS)
        if options and unit.number(layout.ProcessUnit.KIND, numbers.Uint8Flags) == kind:
            yield options


def _files(tensor: MetadataTable) -> Iterator[tuple[str, int]]:
    for file in tensor.tables(layout.TensorMetadata.ASSOCIATED_FILES):
        name = file.text(layout.AssociatedFile.NAME)
        yield name, file.number(layout.AssociatedFile.TYPE, numbers.Int8Flags)


def _named(files: tuple[tuple[str, int], ...], kind: layout.FileType) -> str:
    return next((name for name, of in files if of == kind), "")


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


def _calibration(options: MetadataTable, text: str) -> ScoreCalibration:
    number = options.number(layout.ScoreCalibrationOptions.TRANSFORMATION, numbers.Int8Flags)
    return ScoreCalibration(
        transformation=Transformation(number),
        sigmoids=tuple(_sigmoid(line) for line in _lines(text)),
        default_score=options.number(layout.ScoreCalibrationOptions.DEFAULT_SCORE, numbers.Float32Flags),
    )


def _sigmoid(line: str) -> Sigmoid:
    scale, slope, offset = (float(cell) for cell in line.split(",")[:3])
    return Sigmoid(scale=scale, slope=slope, offset=offset)
