"""Read a Keras weights file, as a process of its own: libhdf5 can crash on a spoiled file.

    python -I hdf5.py WEIGHTS.h5 OUT.npz

It imports nothing of the house. Answers in JSON on stdout: the layers, or the one line of what is wrong.
A file may hold a whole model with code in its `model_config`; that is never looked at. Only datasets of
plain numbers that lie in the file itself are read: no link, no outside storage, no pickled attribute.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

MAX_FILE_BYTES = 1 << 30  # ResNet50 takes 0.1 GiB
MAX_WEIGHT_BYTES = 1 << 30  # unpacked: a small file can claim a large array
MAX_MEMORY_BYTES = 6 << 30  # a spoiled file can ask libhdf5 for any amount
MAX_NAMES = 5_000
MAX_NAME_LENGTH = 200
NUMBERS = "iuf"  # kinds of dtype: EfficientNet's Normalization counts in integers

Hdf5 = Any  # h5py ships no types
Array = NDArray[np.float32]
Layer = tuple[str, list[tuple[str, Array]]]  # its name, and each weight's last name with its values


class OddFileError(Exception):
    """The file is not accepted: the code and the text of the error that the parent process raises."""

    def __init__(self, what: str, *, code: str) -> None:
        super().__init__(what)
        self.code = code


def main(source: Path, target: Path) -> None:
    _limit_memory()
    try:
        layers = read(source)
    except OddFileError as error:
        print(json.dumps({"error": str(error), "code": error.code}))  # noqa: T201 - stdout is the answer
        return
    arrays = {
        f"{n}.{k}": values for n, (_, weights) in enumerate(layers) for k, (_, values) in enumerate(weights)
    }
    np.savez(target, **arrays)
    names = [[name, [leaf for leaf, _ in weights]] for name, weights in layers]
    print(json.dumps({"layers": names}))  # noqa: T201 - stdout is the answer


def read(path: Path) -> list[Layer]:
    """Every layer that has weights, in the order of the file."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise OddFileError(f"larger than {MAX_FILE_BYTES >> 20} MiB", code="file-too-large")
        with h5py.File(path, "r") as file:
            return list(_layers(_weights_group(file)))
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        raise OddFileError(f"not a readable HDF5 file ({error})", code="invalid-weights") from error


def _limit_memory() -> None:
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _weights_group(file: Hdf5) -> Hdf5:
    """The file itself, or the part of a whole model that holds its weights."""
    group = file if "layer_names" in file.attrs else _inside(file, "model_weights")
    if not isinstance(group, h5py.Group) or "layer_names" not in group.attrs:
        raise OddFileError("no attribute layer_names", code="invalid-weights")
    return group


def _layers(group: Hdf5) -> Iterator[Layer]:
    left = MAX_WEIGHT_BYTES
    for layer_name in _names(group, "layer_names"):
        layer = _inside(group, layer_name)
        weights = []
        for weight_name in _names(layer, "weight_names"):
            dataset = _inside(layer, weight_name)
            _check_dataset(dataset, weight_name)
            left -= dataset.nbytes
            if left < 0:
                what = f"contains more than {MAX_WEIGHT_BYTES >> 20} MiB of weights"
                raise OddFileError(what, code="file-too-large")
            leaf = weight_name.rsplit("/", 1)[-1].partition(":")[0]
            weights.append((leaf, _values(dataset, weight_name)))
        if weights:
            yield layer_name, weights


def _names(group: Hdf5, attribute: str) -> tuple[str, ...]:
    """A list of names; Keras cuts one that outgrows an attribute into attribute0, attribute1 …"""
    if attribute in group.attrs:
        return _name_list(group, attribute)
    names: list[str] = []
    number = 0
    while f"{attribute}{number}" in group.attrs and len(names) <= MAX_NAMES:
        names += _name_list(group, f"{attribute}{number}")
        number += 1
    if number == 0:
        raise OddFileError(f"{group.name} has no attribute {attribute}", code="invalid-weights")
    return tuple(names)


def _name_list(group: Hdf5, attribute: str) -> tuple[str, ...]:
    shape = group.attrs.get_id(attribute).shape
    if shape is None or len(shape) != 1 or shape[0] > MAX_NAMES:
        what = f"{attribute} of {group.name} is not a list of names"
        raise OddFileError(what, code="invalid-weights")
    values = [_text(value) for value in group.attrs[attribute]]
    names = tuple(value for value in values if value is not None and 0 < len(value) <= MAX_NAME_LENGTH)
    if len(names) < len(values):
        what = f"{attribute} of {group.name} contains values that are not names"
        raise OddFileError(what, code="invalid-weights")
    return names


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _inside(group: Hdf5, name: str) -> Hdf5:
    """What the name leads to, by hard links only."""
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise OddFileError(f"{name} is missing", code="invalid-weights")
        if not isinstance(link, h5py.HardLink):
            raise OddFileError(f"{name} is a soft or external link", code="hostile-file")
        group = group[part]
    return group


def _check_dataset(dataset: Hdf5, name: str) -> None:
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in NUMBERS:
        raise OddFileError(f"{name} is not an array of numbers", code="invalid-weights")
    if dataset.external or dataset.is_virtual:
        raise OddFileError(f"{name} is stored outside the file", code="hostile-file")


def _values(dataset: Hdf5, name: str) -> Array:
    values = np.asarray(dataset[()], np.float32)
    if not np.isfinite(values).all():
        raise OddFileError(f"{name} contains NaN or infinity", code="invalid-weights")
    return values


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
