"""One emulated process: what its worker says, or how it ended."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any, BinaryIO

from benchmarks.protocol.jobs import MEMORY_BYTES, WorkerDied
from dermpack.errors import printable

LEAVE_SECONDS = 5.0  # the worker ends itself a second after its time
EMULATOR_BYTES = 4 << 30  # of addresses, beside what a model may take
MOST_BYTES = 1 << 30  # of what a worker says


def say(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, seconds: float
) -> dict[str, Any]:
    """The worker's JSON; WorkerDied where it ends otherwise. It never outlives this call."""
    with (folder / "stdout").open("w+b") as stdout, (folder / "stderr").open("w+b") as stderr:
        process = Popen(command, cwd=folder, env=environment, stdin=DEVNULL, stdout=stdout, stderr=stderr)
        try:
            _limit(process.pid)  # the worker's own limits do not reach an emulator
            code = process.wait(seconds + LEAVE_SECONDS)
        except TimeoutExpired:
            code = -signal.SIGALRM
        finally:
            process.kill()
            process.wait()
        if code == -signal.SIGALRM:
            raise WorkerDied(f"no answer within {seconds:g} s")
        if code:
            raise WorkerDied(_ending(code, _text(stderr)))
        return _object(_text(stdout))


def _limit(pid: int) -> None:
    most = MEMORY_BYTES + EMULATOR_BYTES
    with suppress(ProcessLookupError):  # where it ended at once
        resource.prlimit(pid, resource.RLIMIT_AS, (most, most))


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read(MOST_BYTES).decode("utf-8", "replace")


def _ending(code: int, stderr: str) -> str:
    """The signal's name, or the worker's own last line."""
    if code < 0:
        return signal.Signals(-code).name
    return printable((stderr.strip().splitlines() or [f"exit code {code}"])[-1])


def _object(text: str) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WorkerDied("the answer is not a JSON object") from error
    if not isinstance(said, dict):
        raise WorkerDied("the answer is not a JSON object")
    return said
