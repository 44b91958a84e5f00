"""Run the original model of a Keras file in a child process with limits, and compare its answers.

The file was read as data before: it contains ordinary layers only. Keras loads it here in its safe mode, in a
process of its own, so that its answers can prove those of the rebuilt network.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.sources.keras.rebuild import HeadKind
from dermpack.errors import InputError, OutputError
from dermpack.processes.child_process import Channel, ChildEndedError, ChildProcess, ChildTimeoutError
from dermpack.processes.limits import divide_memory

PICTURES = 32
TOLERANCE = 1e-4
MEMORY_BYTES = 12 << 30  # of addresses: TensorFlow maps much more than it uses
MAX_SECONDS = 180
HINT = "Omit --compare-original to convert the file without this check."


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginalComparison:
    """The greatest difference between the probabilities of the original and those of the rebuilt network."""

    pictures: int
    difference: float


def compare_original(
    path: Path,
    inputs: NDArray[np.float32],
    rebuilt: NDArray[np.float64],
    *,
    head: HeadKind,
    is_keras3: bool,
) -> OriginalComparison:
    """Run the original on its own inputs, and raise OutputError unless the answers are the same."""
    returned = _run_child(path, inputs, is_keras3=is_keras3)
    original = _probabilities(returned, head)
    if original.shape != rebuilt.shape or not np.isfinite(original).all():
        what = f"the original returns {list(original.shape)} values, not {list(rebuilt.shape)} probabilities"
        raise OutputError(path, what, HINT, code="original-differs")
    difference = float(np.abs(original - rebuilt).max())
    if difference > TOLERANCE:
        what = f"the rebuilt network differs from the original (probabilities {difference:.2g} apart)"
        hint = "This is a bug in the converter, or the file computes in half precision; please report it."
        raise OutputError(path, what, hint, code="original-differs")
    return OriginalComparison(pictures=len(inputs), difference=difference)


def _probabilities(returned: NDArray[np.float64], head: HeadKind) -> NDArray[np.float64]:
    """Return what the original returns as probabilities of the labels."""
    values = returned.reshape(len(returned), -1)
    if head is HeadKind.LOGITS and values.shape[1] > 1:
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    if values.shape[1] == 1:
        second = 1 / (1 + np.exp(-values)) if head is HeadKind.LOGITS else values
        return np.concatenate([1 - second, second], axis=1)
    return values


def _run_child(path: Path, inputs: NDArray[np.float32], *, is_keras3: bool) -> NDArray[np.float64]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **{"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"},
            **{"KERAS_HOME": folder, "TF_NUM_INTRAOP_THREADS": "2", "TF_NUM_INTEROP_THREADS": "1"},
        }
        with ChildProcess(
            __name__,
            str(path.absolute()),
            "keras" if is_keras3 else "tf_keras",
            memory_bytes=divide_memory(1, most=MEMORY_BYTES),
            cpu_seconds=MAX_SECONDS,
            log=Path(folder) / "log",
            environment=environment,
        ) as child:
            try:
                with child.time_limit(MAX_SECONDS):
                    child.send(json.dumps(list(inputs.shape)).encode(), inputs.tobytes())
                    answer: dict[str, Any] = json.loads(child.receive())
                    data = child.receive()
            except ChildTimeoutError as error:
                what = f"the original gave no answer within {MAX_SECONDS} s"
                raise InputError(path, what, HINT, code="original-not-run") from error
            except ChildEndedError as error:
                what = f"Keras cannot run the original ({error})"
                raise InputError(path, what, HINT, code="original-not-run") from error
    return np.frombuffer(data, np.float64).reshape(answer["shape"])


# What follows runs in the child.


def main(channel: Channel, path: str, library: str) -> None:
    """Load the model, run it on the inputs, and send its outputs."""
    shape = json.loads(channel.receive() or b"[]")
    inputs = np.frombuffer(channel.receive() or b"", np.float32).reshape(shape)
    os.chdir(os.environ["KERAS_HOME"])  # an empty folder: nothing of the user's is found by a relative path
    keras = import_module(library)  # either version of Keras; an exception of it ends this process
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    outputs = np.asarray(model(inputs, training=False), np.float64)
    channel.send(json.dumps({"shape": list(outputs.shape)}).encode(), outputs.tobytes())
