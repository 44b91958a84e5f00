"""Read the tensors of a PyTorch file in its legacy format without torch, and without running anything in it.

The file is a sequence of pickles (a magic number, a version, facts about the machine, the named tensors, the
keys of the storages), followed by the raw numbers of each storage. A tensor is a view of a storage: an
offset, a shape, and strides, which need not be contiguous.

A pickle is a program. Here it may use only the instructions that build dictionaries, tuples, texts and
numbers, and it may name only an ordered dictionary, the types of storages, and the function that rebuilds a
tensor, which is replaced by a plain tuple.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.storage.files import read_error
from dermpack.storage.regular_files import open_regular

Array = NDArray[Any]

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
MAX_FILE_BYTES = 1 << 29
MAX_PICKLE_BYTES = 1 << 22  # 44 kB in the files that are read here
MAX_MEMO = 1 << 16  # places of a pickle's memory, which is allocated up to the highest one
MAX_RANK = 8
STORAGES = {"FloatStorage": "<f4", "HalfStorage": "<f2", "DoubleStorage": "<f8", "LongStorage": "<i8"}
# What a damaged or hostile pickle can raise here.
MALFORMED = (
    *(pickle.UnpicklingError, ValueError, TypeError, LookupError, AttributeError, EOFError),
    *(OverflowError, RecursionError, MemoryError),
)
HINT = "Install the package with the weights again."
# Values, and nothing that imports by a computed name, sets attributes, or calls what is not listed below.
ALLOWED = {
    *("PROTO", "STOP", "MARK", "POP", "GLOBAL", "REDUCE", "BINPERSID"),
    *("BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
    *("EMPTY_DICT", "SETITEM", "SETITEMS"),
}


class Storage(NamedTuple):
    """A run of numbers in the file, by its key."""

    dtype: str
    key: str
    length: int


class View(NamedTuple):
    """A tensor as the file describes it: a view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in numbers, not bytes
    requires_grad: bool
    hooks: object


def read_tensors(path: Path) -> dict[str, Array]:
    """Return the named tensors as contiguous arrays; anything unexpected raises InputError."""
    try:
        with open_regular(path) as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise read_error(path, error) from error
    if len(content) > MAX_FILE_BYTES:
        what = f"larger than {MAX_FILE_BYTES >> 20} MiB"
        raise InputError(path, what, HINT, code="file-too-large")
    try:
        return _parse(io.BytesIO(content))
    except MALFORMED as error:
        what = f"not a file of tensors in the legacy format of PyTorch ({error})"
        raise InputError(path, what, HINT, code="invalid-weights") from error


def _parse(stream: io.BytesIO) -> dict[str, Array]:
    if _load(stream) != MAGIC or _load(stream) != VERSION:
        raise ValueError("unknown magic number or version")
    _load(stream)  # the byte order and the sizes of the machine that wrote it
    views, keys = _load(stream), _load(stream)
    if not isinstance(views, Mapping) or not isinstance(keys, list):
        raise ValueError("no named tensors, or no list of storages")
    storages = {
        view.storage.key: view.storage for view in views.values() if isinstance(view, View) and view.storage
    }
    numbers: dict[str, Array] = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(stream.read(8), "little")
        data = stream.read(storage.length * np.dtype(storage.dtype).itemsize)
        numbers[key] = np.frombuffer(data, storage.dtype)
        if count != storage.length or len(numbers[key]) != count:
            raise ValueError(f"storage {key} has {len(numbers[key])} numbers instead of {storage.length}")
    return {str(name): _view(numbers, view) for name, view in views.items()}


def _view(numbers: Mapping[str, Array], view: object) -> Array:
    """Return the tensor as an array of its own, after checking that it lies within its storage."""
    if not isinstance(view, View):
        raise TypeError("not a tensor")
    storage, shape, strides = numbers[view.storage.key], view.shape, view.strides
    sizes = (view.offset, *shape, *strides)
    if len(shape) != len(strides) or len(shape) > MAX_RANK or not all(_is_count(size) for size in sizes):
        raise ValueError(f"a tensor with shape {shape} and strides {strides}")
    last = view.offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    # Strides of zero would repeat numbers without end.
    if 0 in shape or last >= len(storage) or math.prod(shape) > len(storage):
        raise ValueError(f"a tensor with shape {shape} outside of its storage")
    step = storage.itemsize
    array = np.lib.stride_tricks.as_strided(
        storage[view.offset :], shape, [step * stride for stride in strides], writeable=False
    )
    return array.copy()


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40


def _load(stream: io.BytesIO) -> Any:
    """Return the value of the next pickle, after checking every instruction of it."""
    start, end = stream.tell(), 0
    remaining = stream.getbuffer()[start : start + MAX_PICKLE_BYTES]
    program = bytearray(remaining)
    remaining.release()
    for operation, argument, position in pickletools.genops(bytes(program)):
        assert position is not None
        if operation.name == "BUILD":
            # It would set attributes of the dictionary, which are of no use: its argument is dropped.
            program[position : position + 1] = pickle.POP
        elif operation.name not in ALLOWED:
            raise ValueError(f"instruction {operation.name}")
        if operation.name == "LONG_BINPUT" and argument is not None and int(argument) > MAX_MEMO:
            raise ValueError("too many values")
        end = position + 1
    stream.seek(start + end)
    return _Unpickler(io.BytesIO(program[:end])).load()


class _Unpickler(pickle.Unpickler):
    """Builds dictionaries of views, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return View
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, count, _ = pid
        if kind != "storage" or dtype not in STORAGES.values() or not isinstance(key, str):
            raise pickle.UnpicklingError("an object that is not a storage")
        if not _is_count(count):
            raise pickle.UnpicklingError("a storage without a size")
        return Storage(dtype, key, count)
