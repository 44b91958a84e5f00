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
from typing import IO, Any

from dermpack.errors import InputError
from dermpack.runtime.engine import Engine
from dermpack.runtime.worker import LENGTH

WORKER = Path(__file__).with_name("worker.py")
PATIENCE_SECONDS = 120.0  # for one answer: the largest network takes seconds for a picture on a Pi
BROKEN = "it is broken or needs what this interpreter lacks; export it again"


class Worker:
    """A running interpreter: `describe` comes once, at the start; `run` as often as wanted."""

    def __init__(self, process: subprocess.Popen[bytes], where: Path, described: dict[str, Any]) -> None:
        self._process, self._where = process, where
        self.described = described

    def run(self, pictures: bytes) -> bytes:
        """The outputs of pictures that are laid out as the input wants them."""
        return _ask(self._process, pictures, self._where)


@contextmanager
def open_worker(model: bytes, *, where: Path, engine: Engine, threads: int) -> Iterator[Worker]:
    """Start a process, show it the model; the process ends with the block."""
    command = [sys.executable, str(WORKER), engine.value, str(threads)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        described = json.loads(_ask(process, model, where))
        yield Worker(process, where, described)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            _close(pipe)


def _ask(process: subprocess.Popen[bytes], data: bytes, where: Path) -> bytes:
    """Send a frame, wait for the two of the answer; a process that thinks too long is ended."""
    assert process.stdin is not None and process.stdout is not None
    late = threading.Event()
    watch = threading.Timer(PATIENCE_SECONDS, _end, (process, late))
    watch.start()
    try:
        process.stdin.write(LENGTH.pack(len(data)) + data)
        process.stdin.flush()
        problem, answer = (_frame(process.stdout) for _ in range(2))
    except (BrokenPipeError, EOFError) as error:
        raise _death(process, where, in_time=not late.is_set()) from error
    finally:
        watch.cancel()
    if problem:
        line = " ".join(problem.decode("utf-8", "replace").split())
        raise InputError(where, f"the interpreter refuses it ({line[:200]})", BROKEN)
    return answer


def _end(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()  # first: the other thread looks at it as soon as the process is gone
    process.kill()


def _frame(stream: IO[bytes]) -> bytes:
    head = stream.read(LENGTH.size)
    length = LENGTH.unpack(head)[0] if len(head) == LENGTH.size else 1
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def _death(process: subprocess.Popen[bytes], where: Path, *, in_time: bool) -> InputError:
    code = process.wait()
    if not in_time:
        return InputError(where, f"the interpreter gave no answer in {PATIENCE_SECONDS:.0f} s", BROKEN)
    how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return InputError(where, f"the interpreter died of it ({how})", BROKEN)


def _close(pipe: IO[bytes] | None) -> None:
    try:
        if pipe is not None:
            pipe.close()
    except BrokenPipeError:  # what was not yet sent goes nowhere
        pass
