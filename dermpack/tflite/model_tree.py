"""Read a .tflite into a tree of objects that can be changed, and pack the tree into a file again."""

from __future__ import annotations

from typing import Any, TypeAlias

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from dermpack.errors import InputError
from dermpack.tflite.bounded_bytes import Malformed
from dermpack.tflite.reading import IDENTIFIER, MALFORMED, invalid_model

ALIGNMENT = 16  # of constants, as the schema demands; TensorFlow's converter aligns them to 4 bytes only
FIRST_OFFSET = 2  # of constants outside the tables: the schema has 0, and the runtimes ignore 1
SPARE_BYTES = 1 << 16  # more than the tables of a file grow when they are changed
ModelTree: TypeAlias = Any  # schema.ModelT, whose package ships no types


def unpack_model(data: bytes, *, where: object) -> ModelTree:
    """Return the tree of a model that `read_model` has accepted.

    Raise InputError if the file has parts that packing the tree would lose.
    """
    try:
        model = schema.ModelT.InitFromPackedBuf(data, 0)
    except MALFORMED as error:
        raise invalid_model(where, error) from error
    operators = [operator for graph in model.subgraphs for operator in graph.operators or ()]
    options = [(operator.builtinOptionsType, operator.builtinOptions) for operator in operators]
    options += [(operator.builtinOptions2Type, operator.builtinOptions2) for operator in operators]
    if any(kind and value is None for kind, value in options):  # the schema does not have these options
        what = "the model has an operator with unknown options, which would be lost when the file is written"
        hint = "Export the model with a supported converter."
        raise InputError(where, what, hint, code="unsupported-model")
    try:
        _include_constants(model, data)
    except MALFORMED as error:
        raise invalid_model(where, error) from error
    return model


def _include_constants(model: ModelTree, data: bytes) -> None:
    """Read the constants behind the tables of the file, where LiteRT's quantizer writes large ones."""
    left = len(data)  # a hostile file could name the same bytes many times
    for buffer in model.buffers:
        if buffer.offset < FIRST_OFFSET:
            continue
        left -= buffer.size
        if left < 0 or buffer.offset + buffer.size > len(data):
            raise Malformed("a constant outside the file")
        buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0


def pack_model(model: ModelTree) -> bytes:
    """Return the file of a tree; the same tree gives the same bytes.

    Constants are aligned, so that a mapped file can be used without a copy.
    """
    model.buffers = [AlignedBuffer(data=None if buffer is None else buffer.data) for buffer in model.buffers]
    stored = sum(len(buffer.data) for buffer in model.buffers if buffer.data is not None)
    builder = flatbuffers.Builder(stored + SPARE_BYTES)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


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


def attached(model: ModelTree, name: str) -> bytes:
    """Return the data that is attached to the model under a name, or none."""
    for entry in model.metadata or ():
        if entry.name == name.encode() and (data := model.buffers[entry.buffer].data) is not None:
            return bytes(data)
    return b""


def attach(model: ModelTree, name: str, data: bytes) -> None:
    """Attach data to the model under a name, in place of what the name had."""
    entries = model.metadata = list(model.metadata or ())
    entry = next((entry for entry in entries if entry.name == name.encode()), None)
    if entry is None:
        entry = schema.MetadataT(name=name, buffer=len(model.buffers))
        entries.append(entry)
        model.buffers.append(None)
    model.buffers[entry.buffer] = schema.BufferT(data=data)
