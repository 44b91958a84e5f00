"""Constants that lie behind the tables of a file become part of its tree, within the limits of the file."""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from dermpack.tflite.model_tree import pack_model, unpack_model
from tests.support import flatbuffer_models as made
from tests.support.errors import raises_code

CONSTANT = bytes(range(200)) * 10


def with_buffers(*buffers: Any) -> bytes:
    """The bytes of a model that has these buffers, too."""
    model = unpack_model(made.model(), where="model.tflite")
    model.buffers = [*model.buffers, *buffers]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def outside(offset: int, size: int) -> schema.BufferT:
    return schema.BufferT(offset=offset, size=size)


def test_a_constant_behind_the_tables_is_packed_into_them() -> None:
    length = len(with_buffers(outside(1000, 1000)))
    data = with_buffers(outside(length, len(CONSTANT))) + CONSTANT
    tree = unpack_model(data, where="model.tflite")
    assert bytes(tree.buffers[-1].data) == CONSTANT
    (*_, last) = unpack_model(pack_model(tree), where="model.tflite").buffers
    assert (bytes(last.data), last.offset, last.size) == (CONSTANT, 0, 0)


def test_an_offset_of_1_is_no_constant() -> None:
    (*_, last) = unpack_model(with_buffers(outside(1, 1)), where="model.tflite").buffers
    assert last.data is None


@pytest.mark.parametrize(
    "buffers",
    [
        [outside(1 << 40, 8)],
        [outside(8, 1 << 40)],
        [outside((1 << 64) - 1, (1 << 64) - 1)],
        [outside(8, 400)] * 1000,  # the same bytes again and again
    ],
)
def test_a_constant_that_is_not_in_the_file_is_refused(buffers: list[schema.BufferT]) -> None:
    with raises_code("invalid-model", "model.tflite", "a constant outside the file"):
        unpack_model(with_buffers(*buffers), where="model.tflite")


def test_numbers_of_a_constant_can_be_changed() -> None:
    length = len(with_buffers(outside(1000, 1000)))
    tree = unpack_model(with_buffers(outside(length, len(CONSTANT))) + CONSTANT, where="model.tflite")
    tree.buffers[-1].data = np.zeros(4, np.uint8)
    (*_, last) = unpack_model(pack_model(tree), where="model.tflite").buffers
    assert bytes(last.data) == bytes(4)
