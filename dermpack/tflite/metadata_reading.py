"""Read the metadata of a .tflite file, and the zip of files at its end; both are hostile until checked."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from enum import IntEnum
from math import isfinite
from typing import Any

from flatbuffers import number_types as numbers
from flatbuffers.table import Table as FlatTable

from dermpack.tflite import metadata_schema as layout
from dermpack.tflite.bounded_bytes import MAX_TEXT_BYTES, BoundedBytes, Budget, Malformed
from dermpack.tflite.model_file import (
    INPUT_NAME,
    OUTPUT_NAME,
    Metadata,
    ScoreCalibration,
    Sigmoid,
    Transformation,
)

IDENTIFIER_OFFSET = 4
# The end record of a zip; the record of the 64-bit format begins 20 bytes before it.
END, END64, END64_DISTANCE = b"PK\5\6", b"PK\6\7", 20
END_BYTES = 22  # without its comment
MAX_COMMENT_BYTES = 1 << 16
DIRECTORY_SIZE_OFFSET = 12  # in the end record
MAX_DIRECTORY_BYTES = 1 << 20
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, KeyError)


def unpack_metadata(packed: bytes, *, file: bytes) -> Metadata:
    """Return the metadata in this flatbuffer; `file` is the model, with the associated files at its end."""
    if packed[IDENTIFIER_OFFSET : IDENTIFIER_OFFSET + len(layout.IDENTIFIER)] != layout.IDENTIFIER:
        raise Malformed("unknown metadata format")
    data = BoundedBytes(packed)
    root = FlatTable(data, 0).Get(numbers.UOffsetTFlags, 0)
    model = MetadataTable(data, root, Budget(data))
    # A classifier has one graph. Of several tensors, ours have these names; else the first is described.
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
        **(_read_input(_pick(inputs, INPUT_NAME)) if inputs else {}),
        **(_read_output(_pick(outputs, OUTPUT_NAME), file) if outputs else {}),
    )


def _pick(tensors: Sequence[MetadataTable], name: str) -> MetadataTable:
    """Return the tensor with the name, or the first one."""
    if len(tensors) == 1:
        return tensors[0]
    named = (tensor for tensor in tensors if tensor.text(layout.TensorMetadata.NAME) == name)
    return next(named, tensors[0])


def _read_input(tensor: MetadataTable) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for unit in _process_units(tensor, layout.UnitKind.NORMALIZATION):
        fields["mean"] = unit.floats(layout.Normalization.MEAN)
        fields["std"] = unit.floats(layout.Normalization.STD)
    stats = tensor.table(layout.TensorMetadata.STATS)
    if stats:
        fields["lowest"] = stats.floats(layout.Stats.MIN)
        fields["highest"] = stats.floats(layout.Stats.MAX)
    return fields


def _read_output(tensor: MetadataTable, file: bytes) -> dict[str, Any]:
    names: dict[int, str] = {}  # the first file of each type
    files = []
    for entry in tensor.tables(layout.TensorMetadata.ASSOCIATED_FILES):
        files.append(entry.text(layout.AssociatedFile.NAME))
        names.setdefault(entry.number(layout.AssociatedFile.TYPE, numbers.Int8Flags), files[-1])
    fields: dict[str, Any] = {"files": tuple(files)}
    if labels := names.get(layout.FileType.TENSOR_AXIS_LABELS):
        fields["labels"] = tuple(_split_lines(read_associated_file(file, labels)))
    for unit in _process_units(tensor, layout.UnitKind.SCORE_THRESHOLDING):
        threshold = layout.ScoreThresholding.GLOBAL_THRESHOLD
        fields["score_threshold"] = unit.number(threshold, numbers.Float32Flags)
    sigmoids = names.get(layout.FileType.TENSOR_AXIS_SCORE_CALIBRATION)
    for unit in _process_units(tensor, layout.UnitKind.SCORE_CALIBRATION):
        if sigmoids:
            fields["calibration"] = _read_calibration(unit, read_associated_file(file, sigmoids))
    return fields


def _process_units(tensor: MetadataTable, kind: layout.UnitKind) -> Iterator[MetadataTable]:
    """Yield the options of the processing steps of one kind."""
    for unit in tensor.tables(layout.TensorMetadata.PROCESS_UNITS):
        options = unit.table(layout.ProcessUnit.OPTIONS)
        if options and unit.number(layout.ProcessUnit.KIND, numbers.Uint8Flags) == kind:
            yield options


def _read_calibration(options: MetadataTable, text: str) -> ScoreCalibration:
    number = options.number(layout.ScoreCalibrationOptions.TRANSFORMATION, numbers.Int8Flags)
    sigmoids = []
    for line in _split_lines(text):
        scale, slope, offset = (float(cell) for cell in line.split(",")[:3])
        sigmoids.append(Sigmoid(scale=scale, slope=slope, offset=offset))
    return ScoreCalibration(
        transformation=Transformation(number),
        sigmoids=tuple(sigmoids),
        default_score=options.number(layout.ScoreCalibrationOptions.DEFAULT_SCORE, numbers.Float32Flags),
    )


def _split_lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n") if text else []


class MetadataTable:
    """A table of the metadata, read by the numbers of its fields."""

    def __init__(self, data: BoundedBytes, position: int, budget: Budget) -> None:
        self._flat, self._data, self._budget = FlatTable(data, position), data, budget

    def text(self, field: IntEnum) -> str:
        """Return a string, or "" if the field is absent."""
        position = self._position(field)
        return self._budget.text(self._flat.String(position) if position else None)

    def number(self, field: IntEnum, kind: Any) -> Any:
        """Return a number, or 0 if the field is absent."""
        position = self._position(field)
        number = self._flat.Get(kind, position) if position else kind.py_type(0)
        if not isfinite(number):
            raise Malformed("a number is not finite")
        return number

    def floats(self, field: IntEnum) -> tuple[float, ...]:
        """Return a vector of numbers, or () if the field is absent."""
        offset = self._position(field) - self._flat.Pos
        if offset < 0:
            return ()
        length, kind = self._flat.VectorLen(offset), numbers.Float32Flags
        return self._budget.numbers(length, lambda: self._flat.GetVectorAsNumpy(kind, offset))

    def table(self, field: IntEnum) -> MetadataTable | None:
        """Return a table, or None if the field is absent."""
        position = self._position(field)
        return self._table_at(position) if position else None

    def tables(self, field: IntEnum) -> Iterator[MetadataTable]:
        """Yield the tables of a vector."""
        offset = self._position(field) - self._flat.Pos
        if offset >= 0:
            first, length = self._flat.Vector(offset), self._flat.VectorLen(offset)
            yield from self._budget.tables(length, lambda index: self._table_at(first + 4 * index))

    def _table_at(self, position: int) -> MetadataTable:
        return MetadataTable(self._data, self._flat.Indirect(position), self._budget)

    def _position(self, field: IntEnum) -> int:
        """Return the position of the field, or 0 if it is absent."""
        offset = self._flat.Offset(4 + 2 * field)
        return self._flat.Pos + offset if offset else 0


def read_associated_file(file: bytes, name: str) -> str:
    """Return the text of a file in the zip at the end; raise Malformed if it is missing or too large."""
    _check_directory(file)
    try:
        with zipfile.ZipFile(io.BytesIO(file)) as archive, archive.open(name) as stream:
            data = stream.read(MAX_TEXT_BYTES + 1)
    except BROKEN_ZIP as error:
        raise Malformed(f"associated file {name!r} cannot be read") from error
    if len(data) > MAX_TEXT_BYTES:
        raise Malformed(f"associated file {name!r} is larger than {MAX_TEXT_BYTES} bytes")
    return data.decode("utf-8", "replace")


def _check_directory(file: bytes) -> None:
    """Check the size of the zip's directory: zipfile reads it as a whole, and it could fill the memory."""
    end = file.rfind(END, max(0, len(file) - END_BYTES - MAX_COMMENT_BYTES))
    if end < 0 or end + END_BYTES > len(file):
        raise Malformed("the metadata lists associated files, but the file does not contain them")
    view = memoryview(file)  # BoundedBytes refuses slices of this kind
    size_start = end + DIRECTORY_SIZE_OFFSET
    size = int.from_bytes(bytes(view[size_start : size_start + 4]), "little")
    is_long = bytes(view[max(0, end - END64_DISTANCE) : end]).startswith(END64)
    if size > MAX_DIRECTORY_BYTES or is_long:
        raise Malformed("too many associated files")
