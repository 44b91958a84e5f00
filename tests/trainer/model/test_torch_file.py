"""Files of PyTorch: tensors are read as they are stored, and a hostile pickle does nothing."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.support.errors import raises_code
from tests.support.torch_files import (
    EMPTY_DICTIONARY,
    constant,
    joined,
    save_tensors,
    storage,
    tensor,
    torch_file,
    transposed,
)
from trainer.model.torch_file import MAX_MEMO, read_tensors

NUMBERS = np.arange(24, dtype="<f4")
WHOLE = tensor(storage("0", 24), offset=0, shape=(4, 6), strides=(6, 1))


def check_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with raises_code("invalid-weights", path):
        read_tensors(path)


def test_tensors_with_any_strides_are_read(tmp_path: Path) -> None:
    tensors = {"plain": NUMBERS.reshape(2, 12), "depthwise": transposed((5, 1, 3, 2)), "scalar": NUMBERS[:1]}
    assert not tensors["depthwise"].flags.c_contiguous
    path = tmp_path / "weights.pth"
    path.write_bytes(save_tensors(tensors))
    found = read_tensors(path)
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)
    assert all(array.flags.c_contiguous and array.flags.writeable for array in found.values())


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", "<i8"])
def test_every_kind_of_number_is_read(dtype: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(save_tensors({"numbers": np.arange(5).astype(dtype)}))
    assert read_tensors(path)["numbers"].dtype == np.dtype(dtype)


def test_several_tensors_can_share_a_storage(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    column = tensor(storage("0", 24), offset=2, shape=(4,), strides=(6,))
    path.write_bytes(torch_file({"whole": WHOLE, "column": column}, {"0": NUMBERS}))
    assert read_tensors(path)["column"].tolist() == [2, 8, 14, 20]


def test_attributes_of_the_dictionary_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_file({"whole": WHOLE}, {"0": NUMBERS}, after=constant({"_metadata": 1}) + b"b"))
    assert read_tensors(path)["whole"].shape == (4, 6)


def call(module: str, name: str, argument: str) -> bytes:
    return f"c{module}\n{name}\n".encode() + joined(constant(argument)) + b"R"


HOSTILE = {
    "a shell command": call("os", "system", "touch executed"),
    "an expression": call("builtins", "eval", "open('executed', 'w')"),
    "another function of torch": call("torch", "load", "executed"),
    "an attribute by its path": call("collections", "OrderedDict.fromkeys", "executed"),
    "an instance of the old kind": b"(" + constant("touch executed") + b"ios\nsystem\n",
    "a call of the old kind": b"(cos\nsystem\n" + constant("touch executed") + b"o",
    "a name from the stack": constant("os") + constant("system") + b"\x93",
    "a new object": b"ccollections\nOrderedDict\n)\x81",
    "an extension": b"\x82\x01",
    "a persistent object": constant("module") + b"Q",
    "a storage of another kind": storage("0", 24, kind="QInt8Storage"),
    "a high place in the memory": constant(1) + b"r" + (1 << 31).to_bytes(4, "little"),
    "a place above the limit": constant(1) + b"r" + (MAX_MEMO + 1).to_bytes(4, "little"),
    "a place that is empty": b"h\xfe",
    "a call of a text": constant("system") + b")R",
    "a call without an argument": b"R",
    "a key that cannot be one": b"}(" + b"]" + constant(1) + b"u",
    "very deep tuples": b")" + b"\x85" * 100_000,
    "a text that is too short": b"X\xff\xff\xff\x7fshort",
    "an unknown instruction": b"\xff",
}


@pytest.mark.parametrize("program", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pickle_is_refused_and_does_nothing(
    program: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    check_refused(path, torch_file({"whole": WHOLE, "hostile": program}, {"0": NUMBERS}))
    check_refused(path, program + b".")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (0, (5, 6), (6, 1)),
        (1, (4, 6), (6, 1)),
        (-1, (2,), (1,)),
        (0, (4,), (-1,)),
        (0, (1 << 30, 1 << 30), (0, 0)),
        (0, (4, 6), (6,)),
        (0, (1,) * 9, (1,) * 9),
        (0, (0, 6), (6, 1)),
        (0, (2.5,), (1,)),
        (True, (2,), (1,)),
        (1 << 62, (2,), (1,)),
        (0, ("2",), (1,)),
    ],
)
def test_a_tensor_outside_of_its_storage_is_refused(
    offset: object, shape: tuple[object, ...], strides: tuple[object, ...], tmp_path: Path
) -> None:
    view = tensor(storage("0", 24), offset=offset, shape=shape, strides=strides)
    check_refused(tmp_path / "weights.pth", torch_file({"view": view}, {"0": NUMBERS}))


def test_a_storage_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    for declared in (23, 25, 1 << 50, -1):
        view = tensor(storage("0", declared), offset=0, shape=(2,), strides=(1,))
        check_refused(path, torch_file({"view": view}, {"0": NUMBERS}))
    check_refused(path, torch_file({"view": WHOLE}, {}))
    check_refused(path, torch_file({"view": WHOLE}, {"1": NUMBERS}))


def test_what_is_not_a_dictionary_of_tensors_is_refused(tmp_path: Path) -> None:
    path, whole = tmp_path / "weights.pth", torch_file({"whole": WHOLE}, {"0": NUMBERS})
    for value in (constant(3), EMPTY_DICTIONARY, joined(constant("0"))):
        check_refused(path, torch_file({"view": value}, {"0": NUMBERS}))
    check_refused(path, b"")
    check_refused(path, pickle.dumps({"whole": 1}, 2))
    check_refused(path, b"PK\x03\x04" + whole)  # the newer format is a zip file
    for length in (1, 10, 30, 100, len(whole) - 1):
        check_refused(path, whole[:length])
