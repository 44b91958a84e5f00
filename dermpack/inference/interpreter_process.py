"""Talk to the process that interprets a model; its death is an error of one line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

from dermpack.errors import InputError
from dermpack.inference.interpreter_worker import LENGTH, RUN
from dermpack.inference.runtimes import Kernels, Runtime

WORKER = Path(__file__).with_name("interpreter_worker.py")
PATIENCE_SECONDS = 120.0  # for one answer: the largest network takes seconds for a picture on a Pi
MAX_ANSWER_BYTES = 1 << 30  # of an interpreter whose memory a model may have spoilt
BROKEN = (
    "Convert the run again, or use another interpreter: the model is broken or needs unsupported operators."
)

Process: TypeAlias = "subprocess.Popen[bytes]"


class InterpreterSession:
    """A model in its interpreter, until the next one is loaded: what it is, and its outputs."""

    def __init__(
        self, process: Process, where: Path, described: dict[str, Any], patience_seconds: float | None
    ) -> None:
        self._process, self._where, self._patience_seconds = process, where, patience_seconds
        self.described = described

    def run(self, pictures: bytes) -> bytes:
        """The outputs of pictures that are laid out as the input wants them."""
        return _ask(self._process, (RUN, pictures), self._where, self._patience_seconds)


class InterpreterHost:
    """One process for many models, one after the other; it is started again only after it died."""

    def __init__(self, engine: Runtime, *, patience_seconds: float | None = None) -> None:
        self.engine, self._patience_seconds = engine, patience_seconds
        self._process: Process | None = None
        self.starts = 0

    def load(
        self, model: bytes, *, where: Path, threads: int, kernels: Kernels = Kernels.XNNPACK
    ) -> InterpreterSession:
        """Show the process a model; it takes the place of the one before."""
        process, order = self.start(), {"threads": threads, "kernels": kernels.value}
        answer = _ask(process, (json.dumps(order).encode(), model), where, self._patience_seconds)
        try:
            described = json.loads(answer)
        except ValueError as error:
            process.kill()
            what = "the interpreter did not describe the model"
            raise InputError(where, what, BROKEN, code="interpreter-failed") from error
        return InterpreterSession(process, where, described, self._patience_seconds)

    def start(self) -> Process:
        """The process, started where none lives; it imports the interpreter while the caller goes on."""
        if self._process is None or self._process.poll() is not None:
            self.close()
            command = [sys.executable, str(WORKER), self.engine.value]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            self.starts += 1
        return self._process

    def close(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            _close(pipe)
        self._process = None


@contextmanager
def open_host(engine: Runtime, *, patience_seconds: float | None = None) -> Iterator[InterpreterHost]:
    """A place for models; its process starts now, while the caller prepares, and ends with the block."""
    host = InterpreterHost(engine, patience_seconds=patience_seconds)
    try:
        host.start()
        yield host
    finally:
        host.close()


def _ask(
    process: Process, request: tuple[bytes, bytes], where: Path, patience_seconds: float | None
) -> bytes:
    """Send two frames, wait for the two of the answer; a process that thinks too long is ended."""
    assert process.stdin is not None and process.stdout is not None
    late, patience = threading.Event(), patience_seconds or PATIENCE_SECONDS
    watch = threading.Timer(patience, _end, (process, late))
    watch.start()
    try:
        process.stdin.write(b"".join(LENGTH.pack(len(frame)) + frame for frame in request))
        process.stdin.flush()
        problem, answer = (_frame(process.stdout) for _ in range(2))
    except (BrokenPipeError, EOFError) as error:
        raise _death(process, where, None if not late.is_set() else patience) from error
    except OverflowError as error:
        process.kill()
        what = "the output of the interpreter is too large"
        raise InputError(where, what, BROKEN, code="interpreter-failed") from error
    finally:
        watch.cancel()
    if problem:
        line = " ".join(problem.decode("utf-8", "replace").split())
        what = f"the interpreter rejected the model ({line[:200]})"
        raise InputError(where, what, BROKEN, code="interpreter-failed")
    return answer


def _end(process: Process, late: threading.Event) -> None:
    late.set()  # first: the other thread looks at it as soon as the process is gone
    process.kill()


def _frame(stream: IO[bytes]) -> bytes:
    head = stream.read(LENGTH.size)
    length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 1
    if length > MAX_ANSWER_BYTES:
        raise OverflowError
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _death(process: Process, where: Path, waited_seconds: float | None) -> InputError:
    code = process.wait()
    if waited_seconds is not None:
        what = f"the interpreter did not respond within {waited_seconds:g} s"
        return InputError(where, what, BROKEN, code="interpreter-timeout")
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return InputError(where, f"the interpreter process died ({how})", BROKEN, code="interpreter-died")


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except BrokenPipeError:  # what was not yet sent goes nowhere
        pass
