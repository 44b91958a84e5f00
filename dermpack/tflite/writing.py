"""Put metadata into a .tflite, and its constants where a mapped file is computed on without a copy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from dermpack.errors import InputError
from dermpack.tflite.associated_files import attach
from dermpack.tflite.metadata import Metadata
from dermpack.tflite.metadata_packing import associated_files, pack_metadata
from dermpack.tflite.reading import IDENTIFIER, MALFORMED, METADATA_NAME, invalid_model, read_model

WHERE = "model.tflite"
ALIGNMENT = 16  # of constants, as the schema wants it; the stock converter leaves them at multiples of 4


class Constant(schema.BufferT):  # type: ignore[misc] # the schema ships no types
    """A buffer at a multiple of ALIGNMENT."""

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - the schema's Model calls it by this name
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


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """The same network with metadata, its labels and other files at the end; the same bytes each time.

    Meant for files of our own converter: the bytes are checked, but not as hostile ones.
    """
    model = read_model(data, where=WHERE)
    if (len(model.inputs), len(model.outputs)) != (1, 1):
        what = (
            f"the model has {len(model.inputs)} inputs and {len(model.outputs)} outputs, expected 1 of each"
        )
        raise InputError(
            WHERE, what, "Give a classifier with one input and one output.", code="unsupported-model"
        )
    _check_labels(model.outputs[0].shape[-1:], metadata)
    return attach(_repacked(data, pack_metadata(metadata)), associated_files(metadata))


def _check_labels(outputs: tuple[int, ...], metadata: Metadata) -> None:
    many = len(metadata.labels)
    if many and outputs != (many,):
        what = f"the model has {list(outputs)} outputs, but the metadata has {many} labels"
        raise InputError(WHERE, what, "Give one label for each output.", code="labels-mismatch")
    for label in metadata.labels:
        if not label or not label.isprintable():
            what = f"label {label!r} is not a single line of printable characters"
            raise InputError(WHERE, what, "Rename the label.", code="invalid-labels")
    if metadata.calibration and len(metadata.calibration.sigmoids) != many:
        what = f"the metadata has {many} labels, but {len(metadata.calibration.sigmoids)} score calibrations"
        raise InputError(WHERE, what, "Give one score calibration for each label.", code="labels-mismatch")


def _repacked(data: bytes, packed: bytes) -> bytes:
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    except MALFORMED as error:
        raise invalid_model(WHERE, error) from error
    for what in _unknown(model):
        raise InputError(
            WHERE,
            f"the model has {what}, which would be lost when the metadata is written",
            "Export the model with a supported converter.",
            code="unsupported-model",
        )
    _put(model, packed)
    builder = flatbuffers.Builder(len(data) + len(packed) + (1 << 16))
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _put(model: Any, packed: bytes) -> None:
    """Replace the metadata, or add it, in the tree that was just read."""
    entries = model.metadata = list(model.metadata or ())
    mine = next((entry for entry in entries if entry.name == METADATA_NAME.encode()), None)
    if mine is None:
        mine = schema.MetadataT(name=METADATA_NAME, buffer=len(model.buffers))
        entries.append(mine)
        model.buffers.append(None)
    model.buffers[mine.buffer] = schema.BufferT(data=packed)
    model.buffers = [Constant(data=buffer.data) for buffer in model.buffers]


def _unknown(model: Any) -> Iterator[str]:
    """What a newer or a larger kind of file has, and repacking would lose."""
    if any(buffer.offset for buffer in model.buffers):
        yield "constants outside the flatbuffer"
    for operator in (of for graph in model.subgraphs for of in graph.operators or ()):
        lost = operator.builtinOptionsType and operator.builtinOptions is None
        if lost or (operator.builtinOptions2Type and operator.builtinOptions2 is None):
            yield "an operator with unknown options"
