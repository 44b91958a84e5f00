"""Read the layers and arrays of a Keras weights file (HDF5) in a process of its own."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from dermpack.processes.child_process import ChildEndedError, ChildProcess, ChildTimeoutError
from trainer.data.array_file import read_arrays

READER = "trainer.model.hdf5_reader"
MEMORY_BYTES = 6 << 30  # a damaged file can make libhdf5 allocate any amount
MAX_SECONDS = 120  # ResNet50 takes one second; a damaged file can make libhdf5 loop forever
HINT = "Give a file that was saved with model.save_weights('….h5') of tf_keras."


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWeight:
    """One array, and the last part of its name: kernel, gamma, moving_mean …"""

    name: str
    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileLayer:
    """One layer with its weights."""

    name: str
    weights: tuple[FileWeight, ...]


def read_layers(path: Path) -> tuple[FileLayer, ...]:
    """Return every layer with weights in the order of the file; anything unexpected raises InputError.

    The file is read in another process, because libhdf5 can crash on a damaged or hostile file.
    """
    if not path.exists():
        raise InputError(path, "file not found", "Check the path.", code="file-not-found")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "weights.npz"
        answer = _run_reader(path, target)
        if "error" in answer:
            raise InputError(path, answer["error"], HINT, code=answer["code"])
        arrays = read_arrays(target)
    layers = []
    for n, (name, weight_names) in enumerate(answer["layers"]):
        weights = [
            FileWeight(name=weight_name, values=arrays[f"{n}.{k}"])
            for k, weight_name in enumerate(weight_names)
        ]
        layers.append(FileLayer(name=name, weights=tuple(weights)))
    return tuple(layers)


def _run_reader(path: Path, target: Path) -> dict[str, Any]:
    log = target.with_name("log")
    with ChildProcess(READER, str(path.absolute()), str(target), memory_bytes=MEMORY_BYTES, log=log) as child:
        try:
            with child.time_limit(MAX_SECONDS):
                answer: dict[str, Any] = json.loads(child.receive())
        except ChildTimeoutError as error:
            what = f"not read within {MAX_SECONDS} s"
            raise InputError(path, what, HINT, code="invalid-weights") from error
        except ChildEndedError as error:
            what = f"the process that reads HDF5 files crashed ({error})"
            raise InputError(path, what, HINT, code="invalid-weights") from error
    return answer
