"""A .tflite is read as it is, and refused in one line where it is broken."""

from __future__ import annotations

import random

import numpy as np
import pytest

from dermpack.errors import InputError
from dermpack.tflite.bounded_bytes import Budget
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import ByteShare, Metadata, ModelFile, OperatorInfo
from dermpack.tflite.reading import read_model
from tests.support import flatbuffer_models as made
from tests.support.errors import raises_code

MUTATIONS = 400
METADATA = Metadata(name="lesions", labels=("akiec", "mel", "nv"), mean=(127.5,), std=(127.5,))


def read(data: bytes) -> ModelFile:
    return read_model(data, where="model.tflite")


def assert_invalid(data: bytes, *values: object) -> None:
    with raises_code("invalid-model", "model.tflite", *values) as caught:
        read(data)
    assert isinstance(caught.value, InputError)


def test_inputs_and_outputs_are_those_of_the_graph() -> None:
    model = read(made.model())
    (given,), (given_back,) = model.inputs, model.outputs
    assert (given.name, given.shape, given.dtype) == ("picture", (1, 8, 8, 3), "uint8")
    assert list(given.scales) == pytest.approx([1 / 127.5])
    assert given.zero_points == (127,)
    assert (given.size_bytes, given_back.shape) == (192, (1, 3))


def test_operators_are_counted_with_their_versions() -> None:
    flex = (made.CUSTOM, 1, "FlexErf")
    operators = read(made.model(operators=[(made.SOFTMAX, 2, ""), flex])).operators
    assert operators == (
        OperatorInfo(name="SOFTMAX", version=2, custom=False, count=1),
        OperatorInfo(name="FlexErf", version=1, custom=True, count=1),
    )
    assert [operator.is_flex for operator in operators] == [False, True]


def test_stored_numbers_are_counted_by_type() -> None:
    weights = made.tensor("weights", (4, 2), "int8", steps=(0.1, 0), buffer=1)
    bias = made.tensor("bias", (4,), "int32", buffer=2)
    data = made.model([made.picture(), made.scores(), weights, bias], constants=[bytes(8), bytes(16)])
    model = read(data)
    assert model.parameters == 12
    assert model.shares == (ByteShare(kind="int32", size_bytes=16), ByteShare(kind="int8", size_bytes=8))
    assert [tensor.name for tensor in model.computed] == ["picture", "scores"]


def test_a_side_that_is_not_known_is_dynamic() -> None:
    free = made.tensor("picture", (1, 8, 8, 3), "uint8", steps=made.RAW, signature=(-1, 8, 8, 3))
    assert read(made.model([free, made.scores()])).inputs[0].is_dynamic
    assert not read(made.model()).inputs[0].is_dynamic


def test_a_file_without_metadata_has_none() -> None:
    model = read(made.model())
    assert model.metadata is None and model.min_runtime_version == ""


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PNG\0TFL4" + bytes(64)])
def test_other_files_are_refused(data: bytes) -> None:
    assert_invalid(data)


def test_an_empty_flatbuffer_is_refused() -> None:
    assert_invalid(b"\x08\0\0\0TFL3")


def test_a_reference_beyond_the_tensors_is_refused() -> None:
    assert_invalid(made.model(inputs=[7]), "index 7", "2 entries")
    assert_invalid(made.model(outputs=[-1]), "index -1", "2 entries")


def test_a_file_without_a_graph_is_refused() -> None:
    assert_invalid(b"\x0c\0\0\0TFL3\x04\0\x04\0\x04\0\0\0", "graph")


def test_every_truncation_is_read_or_refused_in_one_line() -> None:
    data = with_metadata(made.model(), METADATA)
    for length in range(0, len(data), 3):
        _survives(data[:length])


def test_mutated_files_are_read_or_refused_in_one_line() -> None:
    data = with_metadata(made.model(), METADATA)
    chance = random.Random(0)
    refused = sum(_survives(_mutated(data, chance)) for _ in range(MUTATIONS))
    assert 0 < refused < MUTATIONS


def test_parts_that_overlap_many_times_are_not_read_again_and_again() -> None:
    budget, numbers = Budget(bytes(100)), np.zeros(10_000, np.int32)
    with pytest.raises(ValueError, match="overlap"):
        for _ in range(10):
            budget.numbers(len(numbers), lambda: numbers)


def test_more_numbers_than_any_network_has_are_refused_before_they_are_copied() -> None:
    with pytest.raises(ValueError, match="8000000 numbers"):
        Budget(bytes(64 << 20)).numbers(9_000_000, lambda: pytest.fail("copied"))


def test_scales_and_zero_points_must_fit() -> None:
    odd = made.picture()
    odd.quantization.scale, odd.quantization.zeroPoint = [0.1, 0.2, 0.3], [1, 2]
    assert_invalid(made.model([odd, made.scores()]), "3 scales", "2 zero points")


def test_a_scale_that_is_no_number_is_refused() -> None:
    odd = made.picture(steps=(float("nan"), 0))
    assert_invalid(made.model([odd, made.scores()]), "finite")


def test_a_zero_point_that_is_left_out_is_zero() -> None:
    plain = made.picture()
    plain.quantization.zeroPoint = None
    assert read(made.model([plain, made.scores()])).inputs[0].zero_points == (0,)


def test_more_tables_than_any_network_has_are_refused() -> None:
    with pytest.raises(ValueError, match="200000 tables"):
        list(Budget(b"").tables(1 << 20, lambda _: object()))


def _mutated(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 2, 8))):
        index = chance.randrange(len(changed) - 4)
        number = chance.choice((0, 1, 0x7F, 0xFF, 0xFFFF, 1 << 20, (1 << 31) - 1, (1 << 32) - 1))
        width = chance.choice((1, 2, 4))
        changed[index : index + width] = (number % (1 << 8 * width)).to_bytes(width, "little")
    return bytes(changed)


def _survives(data: bytes) -> bool:
    """Whether it was refused; another error than ours fails the test."""
    try:
        read(data)
    except InputError as error:
        assert str(error).isprintable()
        return True
    return False
