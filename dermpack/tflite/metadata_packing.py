"""Pack metadata into the flatbuffer that apps look for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import flatbuffers

from dermpack.tflite import metadata_schema as layout
from dermpack.tflite.metadata import CALIBRATION_FILE, LABELS_FILE, Metadata, ScoreCalibration

Field = tuple[IntEnum, Callable[[int], None]]
FILE_TEXTS = {
    layout.FileType.TENSOR_AXIS_LABELS: (LABELS_FILE, "One label a line, in the order of the outputs."),
    layout.FileType.TENSOR_AXIS_SCORE_CALIBRATION: (CALIBRATION_FILE, "scale,slope,offset of each label."),
}


def pack_metadata(metadata: Metadata) -> bytes:
    """The metadata's own flatbuffer."""
    packer = Packer()
    graph = packer.table(
        {
            layout.SubGraphMetadata.INPUT_TENSOR_METADATA: packer.offsets([_input(packer, metadata)]),
            layout.SubGraphMetadata.OUTPUT_TENSOR_METADATA: packer.offsets([_output(packer, metadata)]),
        }
    )
    model = packer.table(
        {
            layout.ModelMetadata.NAME: packer.text(metadata.name),
            layout.ModelMetadata.DESCRIPTION: packer.text(metadata.description),
            layout.ModelMetadata.VERSION: packer.text(metadata.version),
            layout.ModelMetadata.SUBGRAPH_METADATA: packer.offsets([graph]),
            layout.ModelMetadata.AUTHOR: packer.text(metadata.author),
            layout.ModelMetadata.LICENSE: packer.text(metadata.licence),
            layout.ModelMetadata.MIN_PARSER_VERSION: packer.text(layout.PARSER_VERSION),
        }
    )
    return packer.finished(model)


def associated_files(metadata: Metadata) -> dict[str, bytes]:
    """The files that the metadata speaks of, by name."""
    files = {LABELS_FILE: "".join(f"{label}\n" for label in metadata.labels)} if metadata.labels else {}
    if metadata.calibration:
        lines = [f"{of.scale!r},{of.slope!r},{of.offset!r}" for of in metadata.calibration.sigmoids]
        files[CALIBRATION_FILE] = "\n".join(lines)  # MediaPipe takes a final newline for one line more
    return {name: text.encode("utf-8") for name, text in files.items()}


class Packer:
    """A flatbuffer under construction: parts first, then what refers to them; 0 is a part left out."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def text(self, text: str) -> int:
        return int(self._builder.CreateString(text)) if text else 0

    def offsets(self, parts: Sequence[int]) -> int:
        """A vector of tables."""
        if not parts:
            return 0
        self._builder.StartVector(4, len(parts), 4)
        for part in reversed(parts):
            self._builder.PrependUOffsetTRelative(part)
        return int(self._builder.EndVector())

    def floats(self, numbers: Sequence[float]) -> int:
        if not numbers:
            return 0
        self._builder.StartVector(4, len(numbers), 4)
        for number in reversed(numbers):
            self._builder.PrependFloat32(number)
        return int(self._builder.EndVector())

    def table(
        self,
        parts: dict[Any, int],
        *,
        kinds: dict[Any, int] | None = None,
        numbers: dict[Any, float] | None = None,
    ) -> int:
        """A table of parts, of bytes that name a kind, and of numbers."""
        fields = [*parts, *(kinds or {}), *(numbers or {})]
        self._builder.StartObject(max(fields, default=-1) + 1)
        for field, part in sorted(parts.items()):
            self._builder.PrependUOffsetTRelativeSlot(field, part, 0)
        for field, number in sorted((numbers or {}).items()):
            self._builder.PrependFloat32Slot(field, number, 0.0)
        for field, kind in sorted((kinds or {}).items()):
            self._builder.PrependUint8Slot(field, kind, 0)
        return int(self._builder.EndObject())

    def finished(self, root: int) -> bytes:
        self._builder.Finish(root, file_identifier=layout.IDENTIFIER)
        return bytes(self._builder.Output())


def _input(packer: Packer, metadata: Metadata) -> int:
    image = packer.table({}, kinds={layout.ImageProperties.COLOR_SPACE: layout.ColorSpace.RGB})
    content = _union(packer, layout.Content, layout.ContentKind.IMAGE, image)
    normalization = packer.table(
        {
            layout.Normalization.MEAN: packer.floats(metadata.mean),
            layout.Normalization.STD: packer.floats(metadata.std),
        }
    )
    units = [_union(packer, layout.ProcessUnit, layout.UnitKind.NORMALIZATION, normalization)]
    return packer.table(
        {
            layout.TensorMetadata.NAME: packer.text("image"),
            layout.TensorMetadata.DESCRIPTION: packer.text("One RGB picture."),
            layout.TensorMetadata.CONTENT: content,
            layout.TensorMetadata.PROCESS_UNITS: packer.offsets(units if metadata.mean else []),
            layout.TensorMetadata.STATS: _stats(packer, metadata.lowest, metadata.highest),
        }
    )


def _output(packer: Packer, metadata: Metadata) -> int:
    feature = packer.table({})
    units = [_calibration(packer, metadata.calibration)] if metadata.calibration else []
    if metadata.score_threshold is not None:
        threshold = {layout.ScoreThresholding.GLOBAL_THRESHOLD: metadata.score_threshold}
        options = packer.table({}, numbers=threshold)
        units.append(_union(packer, layout.ProcessUnit, layout.UnitKind.SCORE_THRESHOLDING, options))
    files = [kind for kind, (name, _) in FILE_TEXTS.items() if name in associated_files(metadata)]
    return packer.table(
        {
            layout.TensorMetadata.NAME: packer.text("probability"),
            layout.TensorMetadata.DESCRIPTION: packer.text("A probability for each label."),
            layout.TensorMetadata.CONTENT: _union(
                packer, layout.Content, layout.ContentKind.FEATURE, feature
            ),
            layout.TensorMetadata.PROCESS_UNITS: packer.offsets(units),
            layout.TensorMetadata.STATS: _stats(packer, (0.0,), (1.0,)),
            layout.TensorMetadata.ASSOCIATED_FILES: packer.offsets([_file(packer, kind) for kind in files]),
        }
    )


def _calibration(packer: Packer, calibration: ScoreCalibration) -> int:
    options = packer.table(
        {},
        kinds={layout.ScoreCalibrationOptions.TRANSFORMATION: calibration.transformation.value},
        numbers={layout.ScoreCalibrationOptions.DEFAULT_SCORE: calibration.default_score},
    )
    return _union(packer, layout.ProcessUnit, layout.UnitKind.SCORE_CALIBRATION, options)


def _file(packer: Packer, kind: layout.FileType) -> int:
    name, description = FILE_TEXTS[kind]
    return packer.table(
        {
            layout.AssociatedFile.NAME: packer.text(name),
            layout.AssociatedFile.DESCRIPTION: packer.text(description),
        },
        kinds={layout.AssociatedFile.TYPE: kind},
    )


def _stats(packer: Packer, lowest: Sequence[float], highest: Sequence[float]) -> int:
    return packer.table({layout.Stats.MAX: packer.floats(highest), layout.Stats.MIN: packer.floats(lowest)})


def _union(packer: Packer, of: type[layout.Content | layout.ProcessUnit], kind: IntEnum, value: int) -> int:
    """A table that holds one of several kinds; its first two places are the kind and the value."""
    first, second = of
    return packer.table({second: value}, kinds={first: kind})
