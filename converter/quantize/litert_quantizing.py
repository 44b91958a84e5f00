"""Quantize a float .tflite of unknown origin with litert-quantizer, in a child process with limits."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converter.quantize.clipping import BINS, Clipping, Counts
from dermpack.errors import InputError
from dermpack.processes.child_process import ChildEndedError, ChildProcess, ChildTimeoutError
from dermpack.processes.limits import divide_memory

WORKER = "converter.quantize.litert_worker"
CHUNK = 8  # pictures in one request
MAX_SECONDS = 300.0  # for one answer: a large network takes a second per picture
MEMORY_BYTES = 8 << 30
HINT = "Quantize the model with the program that made it, and convert the quantized file."
Limits = tuple[float, float]
Array = NDArray[np.float32]


class FloatFile:
    """A float file in a child process, which measures ranges and makes quantized files of it.

    `tensors` are the names of the tensors that have a range.
    """

    def __init__(self, child: ChildProcess, data: bytes, *, where: Path, clipping: Clipping) -> None:
        self._child, self._where, self._clipping = child, where, clipping
        answer = self._ask({"order": "open", "needs_counts": self._clipping.needs_counts}, data)
        names = json.loads(answer)
        self.tensors: tuple[str, ...] = tuple(names["tensors"])
        self.input: str = names["input"]
        self.output: str = names["output"]

    def measure(self, pictures: Array) -> Array:
        """Return the lowest and the highest value of each tensor on each picture: [n, 2, tensors]."""
        data = self._ask({"order": "measure"}, np.ascontiguousarray(pictures, np.float32).tobytes())
        return np.frombuffer(data, np.float32).reshape(len(pictures), 2, len(self.tensors))

    def read_counts(self) -> Counts:
        """Return how often each value occurred on the even and on the odd pictures."""
        data = self._ask({"order": "count"}, b"")
        bins = BINS if self._clipping.needs_counts else 0
        return np.frombuffer(data, np.uint32).reshape(2, len(self.tensors), bins)

    def rank_layers(self, pictures: Array, ranges: Mapping[str, Limits]) -> tuple[str, ...]:
        """Return the outputs of all layers, the one to which int8 adds the largest error first."""
        data = np.ascontiguousarray(pictures, np.float32).tobytes()
        return tuple(json.loads(self._ask({"order": "rank", "ranges": dict(ranges)}, data))["layers"])

    def quantize(
        self,
        recipe: str,
        *,
        io: str,
        input_limits: Limits,
        output_limits: Limits,
        ranges: Mapping[str, Limits] | None = None,
        float_layers: Sequence[str] = (),
    ) -> bytes:
        """Return the file of a recipe: int8, float16, dynamic, or float32 as it is.

        `ranges` are those of the tensors of an int8 file; its layers whose outputs are named stay in floating
        point.
        """
        options = {
            "order": "quantize",
            "recipe": recipe,
            "io": io,
            "ranges": dict(ranges or {}),
            "float_layers": list(float_layers),
            "input_limits": input_limits,
            "output_limits": output_limits,
        }
        return self._ask(options, b"")

    def _ask(self, order: dict[str, Any], data: bytes) -> bytes:
        child = self._child
        try:
            with child.time_limit(MAX_SECONDS):
                child.send(json.dumps(order).encode(), data)
                problem, answer = child.receive(), child.receive()
        except ChildTimeoutError as error:
            what = f"the quantizer did not respond within {MAX_SECONDS:g} s"
            raise InputError(self._where, what, HINT, code="quantizer-failed") from error
        except ChildEndedError as error:
            what = f"the quantizer process died ({error})"
            raise InputError(self._where, what, HINT, code="quantizer-failed") from error
        if problem:
            line = " ".join(problem.decode("utf-8", "replace").split())
            what = f"the quantizer rejected the model ({line[:200]})"
            raise InputError(self._where, what, HINT, code="quantizer-failed")
        return answer


@contextmanager
def open_float_file(
    data: bytes, *, where: Path, clipping: Clipping = Clipping.MINMAX, threads: int = 2
) -> Iterator[FloatFile]:
    """Yield the file in a child process that ends with the block."""
    with (
        tempfile.TemporaryDirectory(prefix="dermpack-quantize-") as folder,
        ChildProcess(
            WORKER,
            str(threads),
            memory_bytes=divide_memory(1, most=MEMORY_BYTES),
            log=Path(folder) / "log",
        ) as child,
    ):
        yield FloatFile(child, data, where=where, clipping=clipping)
