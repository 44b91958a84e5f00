"""Write metadata into a .tflite file: a flatbuffer inside the model, and a zip of files at its end."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from dermpack.contract import PICTURE, PROBABILITIES
from dermpack.errors import InputError
from dermpack.tflite import metadata_schema as layout
from dermpack.tflite.model_file import (
    CALIBRATION_FILE,
    INPUT_NAME,
    LABELS_FILE,
    OUTPUT_NAME,
    Metadata,
    ModelFile,
    TensorInfo,
)
from dermpack.tflite.reading import IDENTIFIER, MALFORMED, METADATA_NAME, invalid_model, read_model

WHERE = "model.tflite"
ALIGNMENT = 16  # of constants, as the schema demands; TensorFlow's converter aligns them to 4 bytes only
Fields = dict[Any, Any]  # of a table, by their numbers in the schema
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
    content = read_model(data, where=WHERE)
    _check_metadata(content, metadata)
    packed = pack_metadata(metadata, content)
    model = unpack_model(data)
    # 2. Replace the metadata buffer, or add one.
    entries = model.metadata = list(model.metadata or ())
    entry = next((entry for entry in entries if entry.name == METADATA_NAME.encode()), None)
    if entry is None:
        entry = schema.MetadataT(name=METADATA_NAME, buffer=len(model.buffers))
        entries.append(entry)
        model.buffers.append(None)
    model.buffers[entry.buffer] = schema.BufferT(data=packed)
    # 3. Pack the whole model again.
    written = pack_model(model, size_bytes=len(data) + len(packed))
    return append_files(written, associated_files(metadata))


def unpack_model(data: bytes) -> Any:
    """Return the model as a tree of objects; raise InputError if packing it again would lose a part."""
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    except MALFORMED as error:
        raise invalid_model(WHERE, error) from error
    _refuse_unknown_parts(model)
    return model


def pack_model(model: Any, *, size_bytes: int) -> bytes:
    """Return the file of a tree of objects, with aligned constants: a mapped file needs no copy of them.

    `size_bytes` is about the size of the file.
    """
    buffers = [None if buffer is None else buffer.data for buffer in model.buffers]
    model.buffers = [AlignedBuffer(data=data) for data in buffers]
    builder = flatbuffers.Builder(size_bytes + (1 << 16))
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _check_metadata(model: ModelFile, metadata: Metadata) -> None:
    """Check that the metadata fits the model, and raise InputError."""
    picture, answer = _find_ends(model)
    if picture is None or answer is None:
        counts = f"{len(model.inputs)} inputs and {len(model.outputs)} outputs"
        hint = "Give a classifier with one input and one output, or one with a signature."
        raise InputError(WHERE, f"the model has {counts}, expected 1 of each", hint, code="unsupported-model")
    outputs, labels = answer.shape[-1:], len(metadata.labels)
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


def _find_ends(model: ModelFile) -> tuple[TensorInfo | None, TensorInfo | None]:
    """Return the picture and the probabilities: by the names of a signature, or the only tensors."""
    for signature in model.signatures:
        return signature.inputs.get(PICTURE), signature.outputs.get(PROBABILITIES)
    is_plain = (len(model.inputs), len(model.outputs)) == (1, 1)
    return (model.inputs[0], model.outputs[0]) if is_plain else (None, None)


def _refuse_unknown_parts(model: Any) -> None:
    """Raise InputError if the file has parts that packing the model again would lose."""
    operators = [operator for graph in model.subgraphs for operator in graph.operators or ()]
    options = [(operator.builtinOptionsType, operator.builtinOptions) for operator in operators]
    options += [(operator.builtinOptions2Type, operator.builtinOptions2) for operator in operators]
    if any(buffer.offset for buffer in model.buffers):
        lost = "constants outside the flatbuffer"
    elif any(kind and value is None for kind, value in options):  # the schema does not have these options
        lost = "an operator with unknown options"
    else:
        return
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


def pack_metadata(metadata: Metadata, model: ModelFile) -> bytes:
    """Return the flatbuffer of the metadata, which lists the tensors in the order of the file."""
    builder = flatbuffers.Builder(1024)
    picture, answer = _find_ends(model)
    inputs = _write(
        builder,
        [
            _describe_input(builder, metadata) if tensor is picture else _describe_other(builder, tensor)
            for tensor in model.inputs
        ],
    )
    outputs = _write(
        builder,
        [
            _describe_output(builder, metadata) if tensor is answer else _describe_other(builder, tensor)
            for tensor in model.outputs
        ],
    )
    graph = {
        layout.SubGraphMetadata.INPUT_TENSOR_METADATA: inputs,
        layout.SubGraphMetadata.OUTPUT_TENSOR_METADATA: outputs,
    }
    record = {
        layout.ModelMetadata.NAME: metadata.name,
        layout.ModelMetadata.DESCRIPTION: metadata.description,
        layout.ModelMetadata.VERSION: metadata.version,
        layout.ModelMetadata.SUBGRAPH_METADATA: [_write(builder, graph)],
        layout.ModelMetadata.AUTHOR: metadata.author,
        layout.ModelMetadata.LICENSE: metadata.licence,
        layout.ModelMetadata.MIN_PARSER_VERSION: layout.PARSER_VERSION,
    }
    builder.Finish(_write(builder, record), file_identifier=layout.IDENTIFIER)
    return bytes(builder.Output())


def _describe_input(builder: Any, metadata: Metadata) -> Fields:
    """Return the input tensor: an RGB image, its normalisation, and the range of the normalised pixels."""
    image = {layout.ImageProperties.COLOR_SPACE: layout.ColorSpace.RGB}
    normalization = {layout.Normalization.MEAN: metadata.mean, layout.Normalization.STD: metadata.std}
    # These are written before the texts below: another order would change the bytes of every export.
    content = _write(builder, _content(layout.ContentKind.IMAGE, image))
    unit = _write(builder, _unit(layout.UnitKind.NORMALIZATION, normalization))
    return {
        layout.TensorMetadata.NAME: INPUT_NAME,
        layout.TensorMetadata.DESCRIPTION: "One RGB picture.",
        layout.TensorMetadata.CONTENT: content,
        layout.TensorMetadata.PROCESS_UNITS: [unit] if metadata.mean else [],
        layout.TensorMetadata.STATS: {layout.Stats.MAX: metadata.highest, layout.Stats.MIN: metadata.lowest},
    }


def _describe_output(builder: Any, metadata: Metadata) -> Fields:
    """Return the output tensor: its calibration, its threshold, and the names of its files."""
    feature = _write(builder, {})
    units: list[Fields] = []
    if metadata.calibration:
        options = {
            layout.ScoreCalibrationOptions.DEFAULT_SCORE: float(metadata.calibration.default_score),
            layout.ScoreCalibrationOptions.TRANSFORMATION: metadata.calibration.transformation,
        }
        units.append(_unit(layout.UnitKind.SCORE_CALIBRATION, options))
    if metadata.score_threshold is not None:
        threshold = {layout.ScoreThresholding.GLOBAL_THRESHOLD: float(metadata.score_threshold)}
        units.append(_unit(layout.UnitKind.SCORE_THRESHOLDING, threshold))
    names = associated_files(metadata)
    files = [
        {
            layout.AssociatedFile.NAME: name,
            layout.AssociatedFile.DESCRIPTION: description,
            layout.AssociatedFile.TYPE: kind,
        }
        for kind, (name, description) in FILE_TEXTS.items()
        if name in names
    ]
    written_units = [_write(builder, unit) for unit in units]
    return {
        layout.TensorMetadata.NAME: OUTPUT_NAME,
        layout.TensorMetadata.DESCRIPTION: "A probability for each label.",
        layout.TensorMetadata.CONTENT: _content(layout.ContentKind.FEATURE, feature),
        layout.TensorMetadata.PROCESS_UNITS: written_units,
        layout.TensorMetadata.STATS: {layout.Stats.MAX: (1.0,), layout.Stats.MIN: (0.0,)},
        layout.TensorMetadata.ASSOCIATED_FILES: files,
    }


def _describe_other(builder: Any, tensor: TensorInfo) -> Fields:
    """Return a tensor besides picture and probabilities, which only the contract describes in full."""
    feature = _write(builder, {})
    return {
        layout.TensorMetadata.NAME: tensor.name,
        layout.TensorMetadata.DESCRIPTION: "See model.json.",
        layout.TensorMetadata.CONTENT: _content(layout.ContentKind.FEATURE, feature),
    }


def _content(kind: layout.ContentKind, properties: Any) -> Fields:
    return {layout.Content.PROPERTIES: properties, layout.Content.KIND: kind}


def _unit(kind: layout.UnitKind, options: Fields) -> Fields:
    return {layout.ProcessUnit.OPTIONS: options, layout.ProcessUnit.KIND: kind}


def _write(builder: Any, part: Any) -> Any:
    """Write a text, a vector or a table and return its position, 0 if it is empty; anything else is kept.

    A flatbuffer is written from its leaves to its root, because a table stores the positions of its parts. A
    table is a dict of its fields in the order of writing, a list a vector of tables, a tuple one of numbers.
    """
    if isinstance(part, str):
        return builder.CreateString(part) if part else 0
    if isinstance(part, list | tuple):
        items = [_write(builder, item) for item in part]
        prepend = builder.PrependFloat32 if isinstance(part, tuple) else builder.PrependUOffsetTRelative
        if not items:
            return 0
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):  # a flatbuffer grows towards its start
            prepend(item)
        return builder.EndVector()
    if not isinstance(part, dict):
        return part
    values = {field: _write(builder, value) for field, value in part.items()}
    builder.StartObject(max(values, default=-1) + 1)
    for field, value in values.items():
        if isinstance(value, float):
            builder.PrependFloat32Slot(field, value, 0.0)
        elif isinstance(value, IntEnum):
            builder.PrependUint8Slot(field, value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(field, value, 0)
    return builder.EndObject()
