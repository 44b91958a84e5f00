"""Write metadata into a .tflite file: a flatbuffer inside the model, and a zip of files at its end."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from dermpack.errors import InputError
from dermpack.tflite import metadata_schema as layout
from dermpack.tflite.model_file import CALIBRATION_FILE, LABELS_FILE, Metadata, ModelFile
from dermpack.tflite.reading import IDENTIFIER, MALFORMED, METADATA_NAME, invalid_model, read_model

WHERE = "model.tflite"
ALIGNMENT = 16  # of constants, as the schema demands; TensorFlow's converter aligns them to 4 bytes only
FIXED_TIME = (1980, 1, 1, 0, 0, 0)
FILE_TEXTS = {
    layout.FileType.TENSOR_AXIS_LABELS: (LABELS_FILE, "One label a line, in the order of the outputs."),
    layout.FileType.TENSOR_AXIS_SCORE_CALIBRATION: (CALIBRATION_FILE, "scale,slope,offset of each label."),
}


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return the same network with metadata, its labels and other files at the end.

    The same input gives the same bytes. The function is meant for files of our own converter: the model is
    checked, but not treated as hostile.
    """
    # 1. Check both, and read the model into a tree of objects.
    _check_metadata(read_model(data, where=WHERE), metadata)
    packed = pack_metadata(metadata)
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    except MALFORMED as error:
        raise invalid_model(WHERE, error) from error
    _refuse_unknown_parts(model)
    # 2. Replace the metadata buffer, or add one.
    entries = model.metadata = list(model.metadata or ())
    entry = next((entry for entry in entries if entry.name == METADATA_NAME.encode()), None)
    if entry is None:
        entry = schema.MetadataT(name=METADATA_NAME, buffer=len(model.buffers))
        entries.append(entry)
        model.buffers.append(None)
    model.buffers[entry.buffer] = schema.BufferT(data=packed)
    # 3. Pack the whole model again, with aligned constants: a mapped file can then be used without a copy.
    model.buffers = [AlignedBuffer(data=buffer.data) for buffer in model.buffers]
    builder = flatbuffers.Builder(len(data) + len(packed) + (1 << 16))
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return append_files(bytes(builder.Output()), associated_files(metadata))


def _check_metadata(model: ModelFile, metadata: Metadata) -> None:
    """Check that the metadata fits the model, and raise InputError."""
    if (len(model.inputs), len(model.outputs)) != (1, 1):
        counts = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        hint = "Give a classifier with one input and one output."
        raise InputError(WHERE, f"the model has {counts}, expected 1 of each", hint, code="unsupported-model")
    outputs, labels = model.outputs[0].shape[-1:], len(metadata.labels)
    if labels and outputs != (labels,):
        what = f"the model has {list(outputs)} outputs, but the metadata has {labels} labels"
        raise InputError(WHERE, what, "Give one label for each output.", code="labels-mismatch")
    for label in metadata.labels:
        if not label or not label.isprintable():
            what = f"label {label!r} is not a single line of printable characters"
            raise InputError(WHERE, what, "Rename the label.", code="invalid-labels")
    if metadata.calibration and len(metadata.calibration.sigmoids) != labels:
        count = len(metadata.calibration.sigmoids)
        what = f"the metadata has {labels} labels, but {count} score calibrations"
        raise InputError(WHERE, what, "Give one score calibration for each label.", code="labels-mismatch")


def _refuse_unknown_parts(model: Any) -> None:
    """Raise InputError if the file has parts that packing the model again would lose."""
    lost = ""
    if any(buffer.offset for buffer in model.buffers):
        lost = "constants outside the flatbuffer"
    # Options that are missing in the schema are read as None.
    for operator in (operator for graph in model.subgraphs for operator in graph.operators or ()):
        if (operator.builtinOptionsType and operator.builtinOptions is None) or (
            operator.builtinOptions2Type and operator.builtinOptions2 is None
        ):
            lost = lost or "an operator with unknown options"
    if lost:
        what = f"the model has {lost}, which would be lost when the metadata is written"
        hint = "Export the model with a supported converter."
        raise InputError(WHERE, what, hint, code="unsupported-model")


class AlignedBuffer(schema.BufferT):  # type: ignore[misc] # the schema ships no types
    """A buffer whose data begins at a multiple of ALIGNMENT."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the schema's Model calls it by this name
        """Write the buffer; the generated method would align the data to one byte."""
        if self.data is None:
            return super().Pack(builder)
        data = bytes(self.data)
        builder.StartVector(1, len(data), ALIGNMENT)
        builder.head -= len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        vector = builder.EndVector()
        schema.BufferStart(builder)
        schema.BufferAddData(builder, vector)
        return schema.BufferEnd(builder)


def append_files(model: bytes, files: Mapping[str, bytes]) -> bytes:
    """Append the files as an uncompressed zip with a fixed time; its offsets count from the first byte."""
    stream = io.BytesIO()
    stream.write(model)
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.create_system = 0  # the same bytes on every operating system
            archive.writestr(entry, data)
    return stream.getvalue()


def associated_files(metadata: Metadata) -> dict[str, bytes]:
    """Return the files that the metadata refers to, by name."""
    files = {LABELS_FILE: "".join(f"{label}\n" for label in metadata.labels)} if metadata.labels else {}
    if metadata.calibration:
        sigmoids = metadata.calibration.sigmoids
        lines = [f"{sigmoid.scale!r},{sigmoid.slope!r},{sigmoid.offset!r}" for sigmoid in sigmoids]
        files[CALIBRATION_FILE] = "\n".join(lines)  # MediaPipe reads a final newline as another line
    return {name: text.encode("utf-8") for name, text in files.items()}


# --- The metadata's flatbuffer ---


def pack_metadata(metadata: Metadata) -> bytes:
    """Return the flatbuffer of the metadata.

    A flatbuffer is written from its leaves to its root: a table stores the positions of its parts, so the
    parts must exist first. The packer's methods therefore return a position, or 0 for an omitted part.
    """
    packer = Packer()
    graph = packer.table(
        {
            layout.SubGraphMetadata.INPUT_TENSOR_METADATA: packer.offsets([_pack_input(packer, metadata)]),
            layout.SubGraphMetadata.OUTPUT_TENSOR_METADATA: packer.offsets([_pack_output(packer, metadata)]),
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
    return packer.finish(model)


def _pack_input(packer: Packer, metadata: Metadata) -> int:
    """Write the input tensor: an RGB image, its normalisation, and the range of the normalised pixels."""
    image = packer.table({}, kinds={layout.ImageProperties.COLOR_SPACE: layout.ColorSpace.RGB})
    content = packer.union(layout.Content, layout.ContentKind.IMAGE, image)
    normalization = packer.table(
        {
            layout.Normalization.MEAN: packer.floats(metadata.mean),
            layout.Normalization.STD: packer.floats(metadata.std),
        }
    )
    units = [packer.union(layout.ProcessUnit, layout.UnitKind.NORMALIZATION, normalization)]
    return packer.table(
        {
            layout.TensorMetadata.NAME: packer.text("image"),
            layout.TensorMetadata.DESCRIPTION: packer.text("One RGB picture."),
            layout.TensorMetadata.CONTENT: content,
            layout.TensorMetadata.PROCESS_UNITS: packer.offsets(units if metadata.mean else []),
            layout.TensorMetadata.STATS: packer.stats(metadata.lowest, metadata.highest),
        }
    )


def _pack_output(packer: Packer, metadata: Metadata) -> int:
    """Write the output tensor: its calibration, its threshold, and the names of its files."""
    feature = packer.table({})
    units = []
    if metadata.calibration:
        options = packer.table(
            {},
            kinds={layout.ScoreCalibrationOptions.TRANSFORMATION: metadata.calibration.transformation.value},
            numbers={layout.ScoreCalibrationOptions.DEFAULT_SCORE: metadata.calibration.default_score},
        )
        units.append(packer.union(layout.ProcessUnit, layout.UnitKind.SCORE_CALIBRATION, options))
    if metadata.score_threshold is not None:
        threshold = {layout.ScoreThresholding.GLOBAL_THRESHOLD: metadata.score_threshold}
        options = packer.table({}, numbers=threshold)
        units.append(packer.union(layout.ProcessUnit, layout.UnitKind.SCORE_THRESHOLDING, options))
    names = associated_files(metadata)
    return packer.table(
        {
            layout.TensorMetadata.NAME: packer.text("probability"),
            layout.TensorMetadata.DESCRIPTION: packer.text("A probability for each label."),
            layout.TensorMetadata.CONTENT: packer.union(layout.Content, layout.ContentKind.FEATURE, feature),
            layout.TensorMetadata.PROCESS_UNITS: packer.offsets(units),
            layout.TensorMetadata.STATS: packer.stats((0.0,), (1.0,)),
            layout.TensorMetadata.ASSOCIATED_FILES: packer.offsets(
                [
                    packer.table(
                        {
                            layout.AssociatedFile.NAME: packer.text(name),
                            layout.AssociatedFile.DESCRIPTION: packer.text(description),
                        },
                        kinds={layout.AssociatedFile.TYPE: kind},
                    )
                    for kind, (name, description) in FILE_TEXTS.items()
                    if name in names
                ]
            ),
        }
    )


class Packer:
    """A flatbuffer under construction."""

    def __init__(self) -> None:
        self._builder = flatbuffers.Builder(1024)

    def text(self, text: str) -> int:
        """Write a string."""
        return int(self._builder.CreateString(text)) if text else 0

    def offsets(self, parts: Sequence[int]) -> int:
        """Write a vector of tables."""
        return self._vector(parts, self._builder.PrependUOffsetTRelative)

    def floats(self, numbers: Sequence[float]) -> int:
        """Write a vector of numbers."""
        return self._vector(numbers, self._builder.PrependFloat32)

    def _vector(self, items: Sequence[Any], prepend: Callable[[Any], None]) -> int:
        """Write a vector of 4-byte items; a flatbuffer grows towards its start, so the last item is first."""
        if not items:
            return 0
        self._builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            prepend(item)
        return int(self._builder.EndVector())

    def table(
        self,
        parts: dict[Any, int],
        *,
        kinds: dict[Any, int] | None = None,
        numbers: dict[Any, float] | None = None,
    ) -> int:
        """Write a table of parts, of bytes that are the kind of something, and of numbers."""
        fields = [*parts, *(kinds or {}), *(numbers or {})]
        self._builder.StartObject(max(fields, default=-1) + 1)
        for field, part in sorted(parts.items()):
            self._builder.PrependUOffsetTRelativeSlot(field, part, 0)
        for field, number in sorted((numbers or {}).items()):
            self._builder.PrependFloat32Slot(field, number, 0.0)
        for field, kind in sorted((kinds or {}).items()):
            self._builder.PrependUint8Slot(field, kind, 0)
        return int(self._builder.EndObject())

    def union(self, fields: type[layout.Content | layout.ProcessUnit], kind: IntEnum, value: int) -> int:
        """Write a table whose two fields are the kind and the value of a union."""
        kind_field, value_field = fields
        return self.table({value_field: value}, kinds={kind_field: kind})

    def stats(self, lowest: Sequence[float], highest: Sequence[float]) -> int:
        """Write the range of a tensor."""
        return self.table({layout.Stats.MAX: self.floats(highest), layout.Stats.MIN: self.floats(lowest)})

    def finish(self, root: int) -> bytes:
        """Return the bytes of the whole flatbuffer."""
        self._builder.Finish(root, file_identifier=layout.IDENTIFIER)
        return bytes(self._builder.Output())
