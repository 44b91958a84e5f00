"""Run the benchmark worker in a child process, and read its answer or the reason why there is none."""

from __future__ import annotations

import json
import resource
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired
from typing import Any

from benchmarks.protocol.jobs import WorkerFailedError
from dermpack.errors import escape_unprintable

GRACE_SECONDS = 10.0  # the worker ends itself a second after its time
MOST_ANSWER_BYTES = 1 << 30
MOST_COMPLAINT_BYTES = 1 << 16
SHELL_SIGNAL = 128  # a shell reports signal 11 as exit code 139


def run_worker(
    command: Sequence[str],
    *,
    folder: Path,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    address_bytes: int | None = None,
) -> Mapping[str, Any]:
    """Run the command in the folder and return the JSON object that it prints."""
    answer, complaint = folder / "stdout", folder / "stderr"
    with answer.open("wb") as stdout, complaint.open("wb") as stderr:
        process = Popen(command, cwd=folder, env=environment, stdin=DEVNULL, stdout=stdout, stderr=stderr)
        try:
            if address_bytes is not None:
                with suppress(ProcessLookupError):  # the process has already ended
                    resource.prlimit(process.pid, resource.RLIMIT_AS, (address_bytes, address_bytes))
            code = process.wait(seconds + GRACE_SECONDS)
        except TimeoutExpired:
            code = -signal.SIGALRM
        finally:
            process.kill()
            process.wait()
    with complaint.open("rb") as file:
        file.seek(max(complaint.stat().st_size - MOST_COMPLAINT_BYTES, 0))
        check_exit_code(code, file.read(), seconds=seconds)
    with answer.open("rb") as file:
        return parse_answer(file.read(MOST_ANSWER_BYTES))


def check_exit_code(code: int, complaint: bytes, *, seconds: float) -> None:
    """Raise WorkerFailedError with the signal's name or the worker's last line unless the exit code is 0."""
    if code > SHELL_SIGNAL:
        code = SHELL_SIGNAL - code
    if code == -signal.SIGALRM:
        raise WorkerFailedError(f"no answer within {seconds:g} s")
    if code < 0:
        names = {number.value: number.name for number in signal.Signals}
        raise WorkerFailedError(names.get(-code, f"signal {-code}"))
    if code:
        lines = [line.strip() for line in complaint.decode("utf-8", "replace").split("\n") if line.strip()]
        raise WorkerFailedError(escape_unprintable(lines[-1]) if lines else f"exit code {code}")


def parse_answer(data: bytes) -> Mapping[str, Any]:
    """Return the worker's JSON object; anything else raises WorkerFailedError."""
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise WorkerFailedError("the answer is not a JSON object") from error
    if not isinstance(answer, dict):
        raise WorkerFailedError("the answer is not a JSON object")
    return answer
