"""Read the arrays of a Keras weights file (HDF5), and nothing else of it.

A file may hold a whole model with code in its `model_config`; that is never looked at. Only datasets of
plain numbers that lie in the file itself are read: no link, no outside storage, no pickled attribute.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError

MAX_FILE_BYTES = 1 << 30  # ResNet50 takes 0.1 GiB
MAX_WEIGHT_BYTES = 1 << 30  # unpacked: a small file can claim a large array
NUMBERS = "iuf"  # kinds of dtype: EfficientNet's Normalization counts in integers
MAX_NAMES = 5_000
MAX_NAME_LENGTH = 200
CURE = "give a file saved by tf_keras's model.save_weights('….h5')"

Hdf5 = Any  # h5py ships no types


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWeight:
    """One array, and the last part of its name: kernel, gamma, moving_mean …"""

    name: str
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLayer:
    """One layer that has weights, in the order of the file."""

    name: str
    weights: tuple[FileWeight, ...]


def read_layers(path: Path) -> tuple[FileLayer, ...]:
    """Every layer with weights; anything odd is an error of one line."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(path, f"is larger than {MAX_FILE_BYTES >> 20} MiB", CURE)
        with h5py.File(path, "r") as file:
            return tuple(_layers(path, _weights_group(path, file)))
    except FileNotFoundError as error:
        raise InputError(path, "does not exist", "check the path") from error
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise InputError(path, f"is no readable HDF5 file ({error})", CURE) from error


def _weights_group(path: Path, file: Hdf5) -> Hdf5:
    """The file itself, or the part of a whole model that holds its weights."""
    group = file if "layer_names" in file.attrs else _inside(path, file, "model_weights")
    if not isinstance(group, h5py.Group) or "layer_names" not in group.attrs:
        raise InputError(path, "names no layers", CURE)
    return group


def _layers(path: Path, group: Hdf5) -> Iterator[FileLayer]:
    left = MAX_WEIGHT_BYTES
    for layer_name in _names(path, group, "layer_names"):
        layer = _inside(path, group, layer_name)
        weights = []
        for weight_name in _names(path, layer, "weight_names"):
            dataset = _inside(path, layer, weight_name)
            _check_dataset(path, dataset, weight_name)
            left -= dataset.nbytes
            if left < 0:
                raise InputError(path, f"holds more than {MAX_WEIGHT_BYTES >> 20} MiB of weights", CURE)
            leaf = weight_name.rsplit("/", 1)[-1].partition(":")[0]
            weights.append(FileWeight(name=leaf, values=_values(path, dataset, weight_name)))
        if weights:
            yield FileLayer(name=layer_name, weights=tuple(weights))


def _names(path: Path, group: Hdf5, attribute: str) -> tuple[str, ...]:
    """A list of names; Keras cuts one that outgrows an attribute into attribute0, attribute1 …"""
    if attribute in group.attrs:
        return _name_list(path, group, attribute)
    names: list[str] = []
    number = 0
    while f"{attribute}{number}" in group.attrs and len(names) <= MAX_NAMES:
        names += _name_list(path, group, f"{attribute}{number}")
        number += 1
    if number == 0:
        raise InputError(path, f"{group.name} has no {attribute}", CURE)
    return tuple(names)


def _name_list(path: Path, group: Hdf5, attribute: str) -> tuple[str, ...]:
    shape = group.attrs.get_id(attribute).shape
    if shape is None or len(shape) != 1 or shape[0] > MAX_NAMES:
        raise InputError(path, f"{attribute} of {group.name} is no list of names", CURE)
    values = [_text(value) for value in group.attrs[attribute]]
    names = tuple(value for value in values if value is not None and 0 < len(value) <= MAX_NAME_LENGTH)
    if len(names) < len(values):
        raise InputError(path, f"{attribute} of {group.name} holds something else than names", CURE)
    return names


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def _inside(path: Path, group: Hdf5, name: str) -> Hdf5:
    """What the name leads to, by hard links only."""
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise InputError(path, f"has no {name}", CURE)
        if not isinstance(link, h5py.HardLink):
            raise InputError(path, f"{name} is a link to somewhere else", CURE)
        group = group[part]
    return group


def _check_dataset(path: Path, dataset: Hdf5, name: str) -> None:
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in NUMBERS:
        raise InputError(path, f"{name} is no array of numbers", CURE)
    if dataset.external or dataset.is_virtual:
        raise InputError(path, f"{name} lies outside the file", CURE)


def _values(path: Path, dataset: Hdf5, name: str) -> NDArray[np.float32]:
    values = np.asarray(dataset[()], np.float32)
    if not np.isfinite(values).all():
        raise InputError(path, f"{name} holds a NaN or an infinity", CURE)
    return values
