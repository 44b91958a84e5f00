"""Interpret models in a child process: its crash is an error of one line.

This module imports neither numpy nor anything heavy, so that a command can start the child process first
and import the rest while the child imports the interpreter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dermpack.errors import InputError, MissingExtraError
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.inference.interpreter_worker import RUN
from dermpack.processes.child_process import ChildEndedError, ChildProcess, ChildTimeoutError
from dermpack.processes.limits import divide_memory

WORKER = "dermpack.inference.interpreter_worker"
CHILDREN = 2  # that run at the same time, unless a command starts more: an interpreter and a decoder
PATIENCE_SECONDS = 120.0  # for one answer: the largest network takes seconds per picture on a Raspberry Pi
CHUNK = 8  # pictures in one request of `predict`
HINT = (
    "Convert the run again, or use another interpreter: the model is broken, or needs unsupported operators "
    "or more memory than one process may use."
)
BINDING_HINT = (
    "Give a classifier with one input, which takes one square RGB picture, and one output; or one with its "
    "model.json, which names each tensor."
)


class Runtime(Enum):
    """The packages that interpret a .tflite without TensorFlow; the maintained one comes first."""

    LITERT = "ai_edge_litert"
    TFLITE_RUNTIME = "tflite_runtime"

    @property
    def package(self) -> str:
        """The name on PyPI: "ai-edge-litert"."""
        return self.value.replace("_", "-")


class Kernels(Enum):
    """The implementation of the operators: the default XNNPACK, or the interpreter's own kernels."""

    XNNPACK = "xnnpack"
    BUILTIN = "none"


def count_hosts(pictures: int, *, threads: int | None) -> int:
    """Return how many interpreter processes to start: one per chunk of pictures, at most one per core."""
    if pictures <= CHUNK:
        return 1
    # Imported here because multiprocessing would delay the answer for a single picture.
    from dermpack.processes.process_pool import available_jobs

    return min(threads or available_jobs(), -(-pictures // CHUNK))


def installed_runtimes() -> tuple[Runtime, ...]:
    """Return the interpreters that are installed, in the order of preference."""
    return tuple(runtime for runtime in Runtime if find_spec(runtime.value) is not None)


def first_installed_runtime() -> Runtime:
    """Return the default interpreter, or raise MissingExtraError if none is installed."""
    for runtime in installed_runtimes():
        return runtime
    raise MissingExtraError(Runtime.LITERT.value, "device")


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorNames:
    """The names by which the tensors of a model are fed and read.

    With a signature, its names are those of the file, whatever the order of the tensors. Without one, the
    file has a single input and a single output, and the names stand for these.
    """

    signature: str | None = None
    inputs: tuple[str, ...] = ("picture",)
    outputs: tuple[str, ...] = ("probabilities",)


SINGLE_TENSORS = TensorNames()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribedTensor:
    """One tensor as the interpreter describes it; a scale of 0 means that its numbers are not quantized."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    size_bytes: int
    scale: float
    zero_point: int


class InterpreterSession:
    """A loaded model; it is valid until the host loads the next one."""

    def __init__(self, described: dict[str, Any], pid: int, request: Callable[[bytes, bytes], bytes]) -> None:
        self.engine, self.delegated = str(described["engine"]), int(described["delegated"])
        self.inputs = _read_tensors(described["inputs"])
        self.outputs = _read_tensors(described["outputs"])
        self.pid, self._request = pid, request

    def run(self, inputs: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return the outputs of pictures by name; each input has the type and layout of its tensor."""
        rows = len(inputs[self.inputs[0].name]) // self.inputs[0].size_bytes
        data = self._request(RUN, b"".join(inputs[tensor.name] for tensor in self.inputs))
        outputs, start = {}, 0
        for tensor in self.outputs:
            end = start + rows * tensor.size_bytes
            outputs[tensor.name] = data[start:end]
            start = end
        return outputs


def _read_tensors(described: Sequence[dict[str, Any]]) -> tuple[DescribedTensor, ...]:
    return tuple(
        DescribedTensor(**{**tensor, "shape": tuple(int(side) for side in tensor["shape"])})
        for tensor in described
    )


class InterpreterHost:
    """One child process for many models, one after the other; it is restarted only after a crash."""

    def __init__(
        self,
        engine: Runtime,
        *,
        patience_seconds: float | None = None,
        children: int = CHILDREN,
        new_session: bool = False,
    ) -> None:
        """`new_session` keeps Ctrl-C from the process."""
        self.engine, self._patience_seconds, self._new_session = engine, patience_seconds, new_session
        self._memory_bytes = divide_memory(children)
        self._process: ChildProcess | None = None
        self._decoder: PictureDecoder | None = None
        self.starts = 0

    def load(
        self,
        model: bytes,
        *,
        where: Path,
        threads: int,
        kernels: Kernels = Kernels.XNNPACK,
        names: TensorNames = SINGLE_TENSORS,
    ) -> InterpreterSession:
        """Load a model in place of the previous one; `where` names it in errors.

        Raise InputError if its tensors do not have these names.
        """
        process = self.start()
        options: dict[str, Any] = {"threads": threads, "kernels": kernels.value}
        options |= {"signature": names.signature, "inputs": names.inputs, "outputs": names.outputs}
        request = partial(_request, process, where, self._patience_seconds)
        try:
            described = json.loads(request(json.dumps(options).encode(), model))
        except ValueError as error:
            process.close()
            what = "the interpreter did not describe the model"
            raise InputError(where, what, HINT, code="interpreter-failed") from error
        if problem := described["problem"]:
            raise InputError(where, problem, BINDING_HINT, code="unsupported-model")
        return InterpreterSession(described, process.pid, request)

    def start(self) -> ChildProcess:
        """Return the running process, or start it; it imports the interpreter while the caller continues."""
        # A crashed process is replaced; a rejected model leaves the process usable.
        if self._process is None or not self._process.is_running:
            self.close()
            self._process = ChildProcess(
                WORKER,
                self.engine.value,
                str(self._patience_seconds or PATIENCE_SECONDS),
                memory_bytes=self._memory_bytes,
                new_session=self._new_session,
                skip_site=True,
            )
            self.starts += 1
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether its process has started and has not ended."""
        return self._process is not None and self._process.is_running

    def decoder(self, jobs: int) -> PictureDecoder:
        """Return the decoder for picture files, which starts on first use and ends with the host."""
        if self._decoder is None:
            self._decoder = PictureDecoder(jobs=jobs)
        return self._decoder

    def close(self) -> None:
        """End the processes; the host can be used again."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
        if self._process is not None:
            self._process.close()
            self._process = None


@contextmanager
def open_host(
    engine: Runtime, *, patience_seconds: float | None = None, children: int = CHILDREN
) -> Iterator[InterpreterHost]:
    """Yield a host whose process starts now and ends with the block.

    `children` is the number of processes of the command that share its memory budget.
    """
    host = InterpreterHost(engine, patience_seconds=patience_seconds, children=children)
    try:
        host.start()
        yield host
    finally:
        host.close()


def _request(
    process: ChildProcess, where: Path, patience_seconds: float | None, order: bytes, content: bytes
) -> bytes:
    """Send a request and return the data of its answer, or raise InputError."""
    patience = patience_seconds or PATIENCE_SECONDS
    try:
        with process.time_limit(patience):
            process.send(order, content)
            problem, data = process.receive(), process.receive()
    except ChildTimeoutError as error:
        what = f"the interpreter did not respond within {patience:g} s"
        raise InputError(where, what, HINT, code="interpreter-timeout") from error
    except ChildEndedError as error:
        what = f"the interpreter process died ({error})"
        raise InputError(where, what, HINT, code="interpreter-died") from error
    if problem:
        line = " ".join(problem.decode("utf-8", "replace").split())
        what = f"the interpreter rejected the model ({line[:200]})"
        raise InputError(where, what, HINT, code="interpreter-failed")
    return data
