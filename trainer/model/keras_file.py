"""The layers and arrays of a Keras weights file (HDF5), read at arm's length."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dermpack.errors import InputError
from trainer.data.array_file import read_arrays

READER = Path(__file__).with_name("hdf5_reader.py")
MAX_SECONDS = 120  # ResNet50 takes one; a spoiled file can send libhdf5 round in circles
HINT = "Give a file that was saved with model.save_weights('….h5') of tf_keras."


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
    """Every layer with weights; anything odd is an error of one line, a crash of libhdf5 too."""
    if not path.exists():
        raise InputError(path, "file not found", "Check the path.", code="file-not-found")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "weights.npz"
        answer = _ask(path, target)
        if "error" in answer:
            raise InputError(path, answer["error"], HINT, code=answer["code"])
        arrays = read_arrays(target)
    return tuple(
        FileLayer(
            name=name,
            weights=tuple(FileWeight(name=leaf, values=arrays[f"{n}.{k}"]) for k, leaf in enumerate(leaves)),
        )
        for n, (name, leaves) in enumerate(answer["layers"])
    )


def _ask(path: Path, target: Path) -> dict[str, Any]:
    command = [sys.executable, "-I", str(READER), str(path.absolute()), str(target)]
    try:
        reader = subprocess.run(command, capture_output=True, timeout=MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        what = f"not read within {MAX_SECONDS} s"
        raise InputError(path, what, HINT, code="invalid-weights") from error
    if reader.returncode:
        last = reader.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2] or "crashed"
        what = f"the process that reads HDF5 files crashed ({last})"
        raise InputError(path, what, HINT, code="invalid-weights")
    answer: dict[str, Any] = json.loads(reader.stdout)
    return answer
