"""Write files in PyTorch's legacy format without torch, also such that torch would never write."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
KINDS = {"<f4": "FloatStorage", "<f2": "HalfStorage", "<f8": "DoubleStorage", "<i8": "LongStorage"}
EMPTY_DICTIONARY = b"ccollections\nOrderedDict\n)R"


def constant(value: object) -> bytes:
    """Return the instructions that push a number or a text."""
    return pickle.dumps(value, 2)[2:-1]


def joined(*parts: bytes) -> bytes:
    """Return the instructions that push a tuple."""
    return b"(" + b"".join(parts) + b"t"


def storage(key: str, length: int, *, kind: str = "FloatStorage") -> bytes:
    name = f"ctorch\n{kind}\n".encode()
    parts = (constant("storage"), name, constant(key), constant("cpu"), constant(length), b"N")
    return joined(*parts) + b"Q"


def tensor(of: bytes, *, offset: Any, shape: Sequence[Any], strides: Sequence[Any]) -> bytes:
    parts = (
        *(of, constant(offset), joined(*map(constant, shape)), joined(*map(constant, strides))),
        *(b"\x89", EMPTY_DICTIONARY),
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + joined(*parts) + b"R"


def torch_file(
    tensors: Mapping[str, bytes], storages: Mapping[str, NDArray[Any]], *, after: bytes = b""
) -> bytes:
    """Return a file; `after` are instructions after the dictionary of tensors was built."""
    named = b"".join(constant(name) + value for name, value in tensors.items())
    program = b"\x80\x02" + EMPTY_DICTIONARY + b"(" + named + b"u" + after + b"."
    heads = [pickle.dumps(value, 2) for value in (MAGIC, VERSION, {"little_endian": True})]
    data = [len(array).to_bytes(8, "little") + array.tobytes() for array in storages.values()]
    return b"".join([*heads, program, pickle.dumps(list(storages), 2), *data])


def save_tensors(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Return a file of these arrays, each stored in the order of its memory, as torch does."""
    views, storages = {}, {}
    for number, (name, array) in enumerate(tensors.items()):
        flat = array.ravel(order="K")
        key, kind = str(number), KINDS[array.dtype.str]
        strides = [stride // array.itemsize for stride in array.strides]
        views[name] = tensor(storage(key, flat.size, kind=kind), offset=0, shape=array.shape, strides=strides)
        storages[key] = flat
    return torch_file(views, storages)


def transposed(shape: Sequence[int]) -> NDArray[np.float32]:
    """Return numbers in an order of memory that is not that of their axes."""
    numbers = np.arange(np.prod(shape), dtype=np.float32).reshape(tuple(reversed(shape)))
    return numbers.transpose()
