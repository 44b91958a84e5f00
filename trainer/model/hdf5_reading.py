"""Read an HDF5 file of unknown origin within limits; runs only in a child process, because libhdf5 can crash.

Only datasets of plain numbers in the file itself are read: no links, no external storage, no pickled
attributes. Everything that a file declares is checked before memory is allocated for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

MAX_WEIGHT_BYTES = 1 << 29  # decompressed: a small file can declare a large array
MAX_NAMES = 5_000
MAX_NAME_LENGTH = 200
MAX_DEPTH = 24  # of groups: a model in a model in a model
MAX_GROUPS = 20_000  # hard links can form a cycle
VARIABLES = "vars"  # the group with the variables of a layer of a .keras file
OPTIMIZER = "optimizer"
NUMBERS = "iuf"  # kinds of dtype; the count of EfficientNet's Normalization is an integer
# What h5py raises for a damaged file.
DAMAGED = (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError)

Hdf5 = Any  # h5py ships no types
Array = NDArray[Any]


class RejectedFileError(Exception):
    """The file is not accepted: the text of the error that the parent raises, and its code if it has one."""

    def __init__(self, what: str, *, code: str | None = None) -> None:
        super().__init__(what)
        self.code = code


class WeightBudget:
    """Reads datasets until their sizes exceed the limit of one file."""

    def __init__(self) -> None:
        self._left_bytes = MAX_WEIGHT_BYTES

    def read(self, dataset: Hdf5, name: str) -> Array:
        """Return the numbers of a dataset as float32."""
        if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in NUMBERS:
            raise RejectedFileError(f"{name} is not an array of numbers")
        # External storage would let a hostile file read any other file of this user.
        if dataset.external or dataset.is_virtual:
            raise RejectedFileError(f"{name} is stored outside the file", code="hostile-file")
        # The declared size is counted before the values are read.
        self._left_bytes -= dataset.nbytes
        if self._left_bytes < 0:
            what = f"contains more than {MAX_WEIGHT_BYTES >> 20} MiB of weights"
            raise RejectedFileError(what, code="file-too-large")
        values = np.asarray(dataset[()], np.float32)
        if not np.isfinite(values).all():
            raise RejectedFileError(f"{name} contains NaN or infinity")
        return values


def read_names(group: Hdf5, attribute: str) -> list[str]:
    """Return a list of names; Keras splits one that is too long into attribute0, attribute1 …"""
    numbered = (f"{attribute}{number}" for number in range(MAX_NAMES))
    parts = [attribute] if attribute in group.attrs else takewhile(group.attrs.__contains__, numbered)
    names: list[str] = []
    for part in parts:
        # The declared shape is checked before the names are read into memory.
        shape = group.attrs.get_id(part).shape
        if shape is None or len(shape) != 1 or shape[0] + len(names) > MAX_NAMES:
            raise RejectedFileError(f"{part} of {group.name} is not a list of names")
        for value in group.attrs[part]:
            name = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
            if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH:
                raise RejectedFileError(f"{part} of {group.name} contains values that are not names")
            names.append(name)
    if attribute not in group.attrs and f"{attribute}0" not in group.attrs:
        raise RejectedFileError(f"{group.name} has no attribute {attribute}")
    return names


def follow(group: Hdf5, name: str) -> Hdf5:
    """Return the object with this path, following hard links only."""
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise RejectedFileError(f"{name} is missing")
        if not isinstance(link, h5py.HardLink):
            raise RejectedFileError(f"{name} is a soft or external link", code="hostile-file")
        group = group[part]
    return group


def read_text(file: Hdf5, attribute: str, *, most: int) -> str:
    """Return a text attribute of the file; raise RejectedFileError if it is longer than `most` bytes."""
    found = file.attrs.get_id(attribute)
    if found.shape != () or h5py.check_string_dtype(found.dtype) is None:
        raise RejectedFileError(f"attribute {attribute} is not a text")
    value = file.attrs[attribute]
    data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")
    if len(data) > most:
        raise RejectedFileError(f"attribute {attribute} is larger than {most} bytes", code="file-too-large")
    return data.decode("utf-8")


def walk_variables(file: Hdf5) -> Iterator[tuple[str, list[tuple[str, Hdf5]]]]:
    """Yield each layer of a .keras file that has variables: its path, and the variables in their order."""
    waiting, seen = [("", file, 0)], 0
    while waiting:
        path, group, depth = waiting.pop()
        seen += 1
        if depth > MAX_DEPTH or seen > MAX_GROUPS or len(group) > MAX_NAMES:
            raise RejectedFileError("contains too many groups, or groups in a cycle", code="hostile-file")
        for name in sorted(group, reverse=True):
            # Variables of the optimizer are as many as those of the model, and are not read.
            if depth == 0 and name == OPTIMIZER:
                continue
            child = follow(group, name)
            if not isinstance(child, h5py.Group):
                raise RejectedFileError(f"{path}/{name} is not where Keras stores variables")
            if name == VARIABLES:
                numbers = sorted(child, key=lambda name: (len(name), name))
                if numbers:
                    yield path, [(number, follow(child, number)) for number in numbers]
            else:
                waiting.append((f"{path}/{name}".strip("/"), child, depth + 1))
