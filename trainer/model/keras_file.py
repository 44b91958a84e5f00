"""Read the layers of a Keras weights file (HDF5) in a child process: libhdf5 can crash on a damaged file.

The child writes the arrays to an .npz file and sends one frame of JSON: the names of the layers, or an error.
A file may contain a whole model with code in its `model_config`; the code is never read. Only datasets of
plain numbers in the file itself are read: no links, no external storage, no pickled attributes.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.processes.child_process import Channel, ChildEndedError, ChildProcess, ChildTimeoutError
from dermpack.processes.limits import divide_memory
from dermpack.storage.regular_files import open_regular
from trainer.data.array_file import read_arrays

MEMORY_BYTES = 2 << 30  # a damaged file can make libhdf5 allocate any amount
MAX_SECONDS = 30  # ResNet50 takes one second; a damaged file can make libhdf5 loop forever
MAX_FILE_BYTES = 1 << 29  # ResNet50 takes 0.1 GiB
MAX_WEIGHT_BYTES = 1 << 29  # decompressed: a small file can declare a large array
MAX_NAMES = 5_000
MAX_NAME_LENGTH = 200
NUMBERS = "iuf"  # kinds of dtype; the count of EfficientNet's Normalization is an integer
HINT = "Give a file that was saved with model.save_weights('….h5') of tf_keras."

Hdf5 = Any  # h5py ships no types
Array = NDArray[Any]


class FileLayer(NamedTuple):
    """One layer with its arrays, each with the last part of its name: kernel, gamma, moving_mean …"""

    name: str
    weights: list[tuple[str, Array]]


def read_layers(path: Path) -> list[FileLayer]:
    """Return every layer with weights in the order of the file; anything unexpected raises InputError."""
    if not path.exists():
        raise InputError(path, "file not found", "Check the path.", code="file-not-found")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "weights.npz"
        answer = _run_child(path, target)
        if "error" in answer:
            raise InputError(path, answer["error"], HINT, code=answer["code"])
        arrays = read_arrays(target)
    return [
        FileLayer(name, [(weight, arrays[f"{n}.{k}"]) for k, weight in enumerate(weights)])
        for n, (name, weights) in enumerate(answer["layers"])
    ]


def _run_child(path: Path, target: Path) -> dict[str, Any]:
    log = target.with_name("log")
    arguments = (str(path.absolute()), str(target))
    memory_bytes = divide_memory(1, most=MEMORY_BYTES)
    with ChildProcess(
        __name__, *arguments, memory_bytes=memory_bytes, cpu_seconds=MAX_SECONDS, log=log
    ) as child:
        try:
            with child.time_limit(MAX_SECONDS):
                answer: dict[str, Any] = json.loads(child.receive())
        except ChildTimeoutError as error:
            raise InputError(
                path, f"not read within {MAX_SECONDS} s", HINT, code="invalid-weights"
            ) from error
        except ChildEndedError as error:
            what = f"the process that reads HDF5 files crashed ({error})"
            raise InputError(path, what, HINT, code="invalid-weights") from error
    return answer


# What follows runs in the child.


class RejectedFileError(Exception):
    """The file is not accepted: the text and the code of the error that the parent raises."""

    def __init__(self, what: str, *, code: str = "invalid-weights") -> None:
        super().__init__(what)
        self.code = code


def main(channel: Channel, source: str, target: str) -> None:
    """Write the arrays of the source to the target, and send the names of its layers."""
    try:
        layers = _read(Path(source))
    except RejectedFileError as error:
        channel.send(json.dumps({"error": str(error), "code": error.code}).encode())
        return
    arrays = {
        f"{n}.{k}": values for n, layer in enumerate(layers) for k, (_, values) in enumerate(layer.weights)
    }
    np.savez(target, **arrays)
    names = [[layer.name, [name for name, _ in layer.weights]] for layer in layers]
    channel.send(json.dumps({"layers": names}).encode())


def _read(path: Path) -> list[FileLayer]:
    try:
        with open_regular(path) as opened, h5py.File(opened, "r") as file:
            if os.fstat(opened.fileno()).st_size > MAX_FILE_BYTES:
                raise RejectedFileError(f"larger than {MAX_FILE_BYTES >> 20} MiB", code="file-too-large")
            # A file of weights has the layers at its top; that of a whole model has them in a group.
            group = file if "layer_names" in file.attrs else _follow(file, "model_weights")
            if not isinstance(group, h5py.Group) or "layer_names" not in group.attrs:
                raise RejectedFileError("no attribute layer_names")
            return list(_walk_layers(group))
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        raise RejectedFileError(f"not a readable HDF5 file ({error})") from error


def _walk_layers(group: Hdf5) -> Iterator[FileLayer]:
    left_bytes = MAX_WEIGHT_BYTES
    for layer_name in _read_names(group, "layer_names"):
        layer = _follow(group, layer_name)
        weights = []
        for weight_name in _read_names(layer, "weight_names"):
            dataset = _follow(layer, weight_name)
            if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in NUMBERS:
                raise RejectedFileError(f"{weight_name} is not an array of numbers")
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
                raise RejectedFileError(f"{weight_name} contains NaN or infinity")
            weights.append((weight_name.rsplit("/", 1)[-1].partition(":")[0], values))
        if weights:
            yield FileLayer(layer_name, weights)


def _read_names(group: Hdf5, attribute: str) -> list[str]:
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


def _follow(group: Hdf5, name: str) -> Hdf5:
    """Return the object with this path, following hard links only."""
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise RejectedFileError(f"{name} is missing")
        if not isinstance(link, h5py.HardLink):
            raise RejectedFileError(f"{name} is a soft or external link", code="hostile-file")
        group = group[part]
    return group
