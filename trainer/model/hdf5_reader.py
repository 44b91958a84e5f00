"""Read a Keras weights file in a child process: libhdf5 can crash on a damaged file.

The child sends one frame of JSON: the layers, or an error. A file may contain a whole model with code in its
`model_config`; the code is never read. Only datasets of plain numbers in the file itself are read: no links,
no external storage, no pickled attributes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dermpack.processes.child_process import Channel

MAX_FILE_BYTES = 1 << 30  # ResNet50 takes 0.1 GiB
MAX_WEIGHT_BYTES = 1 << 30  # decompressed: a small file can declare a large array
MAX_NAMES = 5_000
MAX_NAME_LENGTH = 200
NUMBERS = "iuf"  # kinds of dtype; the count of EfficientNet's Normalization is an integer

Hdf5 = Any  # h5py ships no types
Array = NDArray[np.float32]
Layer = tuple[str, list[tuple[str, Array]]]  # its name, and each weight's last name with its values


class RejectedFileError(Exception):
    """The file is not accepted: the code and the text of the error that the parent process raises."""

    def __init__(self, what: str, *, code: str) -> None:
        super().__init__(what)
        self.code = code


def main(channel: Channel, source: str, target: str) -> None:
    """Write the arrays of the source to the target, and send the names of its layers."""
    try:
        layers = read(Path(source))
    except RejectedFileError as error:
        channel.send(json.dumps({"error": str(error), "code": error.code}).encode())
        return
    arrays = {
        f"{n}.{k}": values for n, (_, weights) in enumerate(layers) for k, (_, values) in enumerate(weights)
    }
    np.savez(target, **arrays)
    names = [[name, [weight_name for weight_name, _ in weights]] for name, weights in layers]
    channel.send(json.dumps({"layers": names}).encode())


def read(path: Path) -> list[Layer]:
    """Return every layer that has weights, in the order of the file."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise RejectedFileError(f"larger than {MAX_FILE_BYTES >> 20} MiB", code="file-too-large")
        with h5py.File(path, "r") as file:
            # A file of weights has the layers at its top; that of a whole model has them in a group.
            group = file if "layer_names" in file.attrs else _follow(file, "model_weights")
            if not isinstance(group, h5py.Group) or "layer_names" not in group.attrs:
                raise RejectedFileError("no attribute layer_names", code="invalid-weights")
            return list(_read_layers(group))
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        raise RejectedFileError(f"not a readable HDF5 file ({error})", code="invalid-weights") from error


def _read_layers(group: Hdf5) -> Iterator[Layer]:
    left_bytes = MAX_WEIGHT_BYTES
    for layer_name in _read_names(group, "layer_names"):
        layer = _follow(group, layer_name)
        weights = []
        for weight_name in _read_names(layer, "weight_names"):
            dataset = _follow(layer, weight_name)
            if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in NUMBERS:
                raise RejectedFileError(f"{weight_name} is not an array of numbers", code="invalid-weights")
            # External storage would let a hostile file read any other file of this user.
            if dataset.external or dataset.is_virtual:
                raise RejectedFileError(f"{weight_name} is stored outside the file", code="hostile-file")
            # The declared size is counted before the values are read.
            left_bytes -= dataset.nbytes
            if left_bytes < 0:
                what = f"contains more than {MAX_WEIGHT_BYTES >> 20} MiB of weights"
                raise RejectedFileError(what, code="file-too-large")
            values = np.asarray(dataset[()], np.float32)
            if not np.isfinite(values).all():
                raise RejectedFileError(f"{weight_name} contains NaN or infinity", code="invalid-weights")
            weights.append((weight_name.rsplit("/", 1)[-1].partition(":")[0], values))
        if weights:
            yield layer_name, weights


def _read_names(group: Hdf5, attribute: str) -> tuple[str, ...]:
    """Return a list of names; Keras splits one that is too long into attribute0, attribute1 …"""
    if attribute in group.attrs:
        return _read_name_list(group, attribute)
    names: list[str] = []
    number = 0
    while f"{attribute}{number}" in group.attrs and len(names) <= MAX_NAMES:
        names += _read_name_list(group, f"{attribute}{number}")
        number += 1
    if number == 0:
        raise RejectedFileError(f"{group.name} has no attribute {attribute}", code="invalid-weights")
    return tuple(names)


def _read_name_list(group: Hdf5, attribute: str) -> tuple[str, ...]:
    # The declared shape is checked before the names are read into memory.
    shape = group.attrs.get_id(attribute).shape
    if shape is None or len(shape) != 1 or shape[0] > MAX_NAMES:
        what = f"{attribute} of {group.name} is not a list of names"
        raise RejectedFileError(what, code="invalid-weights")
    values = group.attrs[attribute]
    decoded = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
    names = tuple(name for name in decoded if isinstance(name, str) and 0 < len(name) <= MAX_NAME_LENGTH)
    if len(names) < len(values):
        what = f"{attribute} of {group.name} contains values that are not names"
        raise RejectedFileError(what, code="invalid-weights")
    return names


def _follow(group: Hdf5, name: str) -> Hdf5:
    """Return the object with this path, following hard links only."""
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise RejectedFileError(f"{name} is missing", code="invalid-weights")
        if not isinstance(link, h5py.HardLink):
            raise RejectedFileError(f"{name} is a soft or external link", code="hostile-file")
        group = group[part]
    return group
