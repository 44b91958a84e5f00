"""Read Keras files (.h5, .keras) as data, in a child process: libhdf5 can crash on a damaged file.

The child writes the arrays to an .npz file and sends one frame of JSON: the names of the layers and the
configuration of the model, or an error. The configuration may contain code; it is only text here, and Keras
never loads the file.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.processes.child_process import Channel, ChildEndedError, ChildProcess, ChildTimeoutError
from dermpack.processes.limits import divide_memory
from dermpack.storage.files import parse_json, parse_relative_path
from dermpack.storage.regular_files import open_regular
from trainer.data.array_file import read_arrays
from trainer.model.hdf5_reading import (
    DAMAGED,
    Hdf5,
    RejectedFileError,
    WeightBudget,
    follow,
    read_names,
    read_text,
    walk_variables,
)

MEMORY_BYTES = 2 << 30  # a damaged file can make libhdf5 allocate any amount
MAX_SECONDS = 30  # ResNet50 takes one second; a damaged file can make libhdf5 loop forever
MAX_FILE_BYTES = 1 << 29  # ResNet50 takes 0.1 GiB
MAX_CONFIG_BYTES = 8 << 20  # ResNet152 takes 1 MiB
MAX_MEMBERS = 100  # of a .keras file: three, and assets
ZIP = b"PK\x03\x04"
CONFIG, METADATA, STORE = "config.json", "metadata.json", "model.weights.h5"
ASSETS = "assets/"  # of layers that read tables, which no picture classifier has; never read
WEIGHTS_HINT = "Give a file that was saved with model.save_weights('….h5') of tf_keras."
MODEL_HINT = "Give a file that was saved with model.save('….keras') or model.save('….h5')."

Array = NDArray[Any]


class FileLayer(NamedTuple):
    """One layer with its arrays, each with its name; in a .keras file the name is a number."""

    name: str
    weights: list[tuple[str, Array]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KerasModelFile:
    """The content of a file that contains a whole model."""

    is_archive: bool  # a .keras file, in which layers are stored by their classes; else .h5, by their names
    keras_version: str  # "" in files of old versions
    config: Mapping[str, Any]
    layers: tuple[FileLayer, ...]


def read_layers(path: Path) -> list[FileLayer]:
    """Return every layer with weights in the order of an .h5 file; anything unexpected raises InputError.

    The names of weights are their last parts: kernel, gamma, moving_mean …
    """
    _, layers = _read_in_child(path, "weights", WEIGHTS_HINT, code="invalid-weights")
    return [
        FileLayer(name, [(weight.rsplit("/", 1)[-1].partition(":")[0], values) for weight, values in weights])
        for name, weights in layers
    ]


def read_keras_model(path: Path) -> KerasModelFile:
    """Return configuration and weights of a model in a .keras or .h5 file, or raise InputError."""
    answer, layers = _read_in_child(path, "model", MODEL_HINT, code="invalid-model-file")
    try:
        config = parse_json(answer["config"].encode())
    except (ValueError, RecursionError) as error:
        what = f"the configuration of the model is not valid JSON ({error})"
        raise InputError(path, what, MODEL_HINT, code="invalid-model-file") from error
    if not isinstance(config, dict):
        what = "the configuration of the model is not a JSON object"
        raise InputError(path, what, MODEL_HINT, code="invalid-model-file")
    return KerasModelFile(
        is_archive=answer["is_archive"],
        keras_version=answer["keras_version"],
        config=config,
        layers=tuple(layers),
    )


def _read_in_child(
    path: Path, content: str, hint: str, *, code: str
) -> tuple[dict[str, Any], list[FileLayer]]:
    """Return what the child sends, and the layers that it wrote."""
    if not path.exists():
        raise InputError(path, "file not found", "Check the path.", code="file-not-found")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "weights.npz"
        answer = _run_child(path, target, content, hint, code=code)
        if "error" in answer:
            raise InputError(path, answer["error"], hint, code=answer["code"] or code)
        arrays = read_arrays(target)
    layers = [
        FileLayer(name, [(weight, arrays[f"{n}.{k}"]) for k, weight in enumerate(weights)])
        for n, (name, weights) in enumerate(answer["layers"])
    ]
    return answer, layers


def _run_child(path: Path, target: Path, content: str, hint: str, *, code: str) -> dict[str, Any]:
    log = target.with_name("log")
    arguments = (str(path.absolute()), str(target), content)
    memory_bytes = divide_memory(1, most=MEMORY_BYTES)
    with ChildProcess(
        __name__, *arguments, memory_bytes=memory_bytes, cpu_seconds=MAX_SECONDS, log=log
    ) as child:
        try:
            with child.time_limit(MAX_SECONDS):
                answer: dict[str, Any] = json.loads(child.receive())
        except ChildTimeoutError as error:
            raise InputError(path, f"not read within {MAX_SECONDS} s", hint, code=code) from error
        except ChildEndedError as error:
            what = f"the process that reads HDF5 files crashed ({error})"
            raise InputError(path, what, hint, code=code) from error
    return answer


# What follows runs in the child.


def main(channel: Channel, source: str, target: str, content: str) -> None:
    """Write the arrays of the source to the target, and send the names of its layers and its model."""
    try:
        layers, answer = _read(Path(source), has_model=content == "model")
    except RejectedFileError as error:
        channel.send(json.dumps({"error": str(error), "code": error.code}).encode())
        return
    arrays = {
        f"{n}.{k}": values for n, layer in enumerate(layers) for k, (_, values) in enumerate(layer.weights)
    }
    np.savez(target, **arrays)
    names = [[layer.name, [name for name, _ in layer.weights]] for layer in layers]
    channel.send(json.dumps({**answer, "layers": names}).encode())


def _read(path: Path, *, has_model: bool) -> tuple[list[FileLayer], dict[str, Any]]:
    try:
        with open_regular(path) as opened:
            if os.fstat(opened.fileno()).st_size > MAX_FILE_BYTES:
                raise RejectedFileError(f"larger than {MAX_FILE_BYTES >> 20} MiB", code="file-too-large")
            if has_model and opened.read(len(ZIP)) == ZIP:
                return _read_archive(opened)
            opened.seek(0)
            with h5py.File(opened, "r") as file:
                answer = _read_config(file) if has_model else {}
                # A file of weights has the layers at its top; that of a whole model has them in a group.
                group = file if "layer_names" in file.attrs else follow(file, "model_weights")
                if not isinstance(group, h5py.Group) or "layer_names" not in group.attrs:
                    raise RejectedFileError("no attribute layer_names")
                return _read_named_layers(group), answer
    except (*DAMAGED, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise RejectedFileError(f"not a readable HDF5 or .keras file ({error})") from error


def _read_config(file: Hdf5) -> dict[str, Any]:
    if "model_config" not in file.attrs:
        what = "contains weights, but no model (no attribute model_config)"
        raise RejectedFileError(what)
    version = read_text(file, "keras_version", most=100) if "keras_version" in file.attrs else ""
    config = read_text(file, "model_config", most=MAX_CONFIG_BYTES)
    return {"is_archive": False, "keras_version": version, "config": config}


def _read_named_layers(group: Hdf5) -> list[FileLayer]:
    """Return the layers of an .h5 file that have weights, in its order."""
    budget, layers = WeightBudget(), []
    for layer_name in read_names(group, "layer_names"):
        layer = follow(group, layer_name)
        names = read_names(layer, "weight_names")
        weights = [(name, budget.read(follow(layer, name), name)) for name in names]
        if weights:
            layers.append(FileLayer(layer_name, weights))
    return layers


def _read_archive(opened: Any) -> tuple[list[FileLayer], dict[str, Any]]:
    """Return layers and configuration of a .keras file, a zip of JSON and HDF5; nothing is unpacked."""
    with zipfile.ZipFile(opened) as archive:
        members = archive.infolist()
        names = [member.filename for member in members]
        if len(members) > MAX_MEMBERS or len(set(names)) < len(names):
            raise RejectedFileError(f"contains a file twice, or more than {MAX_MEMBERS} files")
        for name in names:
            relative = parse_relative_path(name)
            if relative is None or not name.isprintable():
                what = f"contains the file name {name!r}, which leads out of the folder"
                raise RejectedFileError(what, code="hostile-file")
            if name not in (CONFIG, METADATA, STORE) and not name.startswith(ASSETS):
                raise RejectedFileError(f"contains {name!r}, which is not part of a .keras file")
        for name in (CONFIG, METADATA, STORE):
            if name not in names:
                raise RejectedFileError(f"contains no {name}")
        config = _read_member(archive, CONFIG, MAX_CONFIG_BYTES).decode("utf-8")
        metadata = parse_json(_read_member(archive, METADATA, MAX_CONFIG_BYTES))
        store = io.BytesIO(_read_member(archive, STORE, MAX_FILE_BYTES))
    version = metadata.get("keras_version") if isinstance(metadata, dict) else None
    answer = {"is_archive": True, "keras_version": str(version or "")[:100], "config": config}
    with h5py.File(store, "r") as file:
        budget = WeightBudget()
        layers = [
            FileLayer(path, [(name, budget.read(dataset, f"{path}/{name}")) for name, dataset in variables])
            for path, variables in walk_variables(file)
        ]
    return layers, answer


def _read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """Return a file of the zip after checking its declared and its real size."""
    with archive.open(name) as member:
        is_declared = archive.getinfo(name).file_size <= most
        data = member.read(most + 1) if is_declared else b""
    if not is_declared or len(data) > most:
        raise RejectedFileError(f"{name} is larger than {most >> 20} MiB", code="file-too-large")
    return data
