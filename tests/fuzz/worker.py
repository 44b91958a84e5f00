"""The child process that reads one case after the other; what a case breaks or fills is this process.

A request is two frames, the name and the content of a case; the answer is one frame of JSON, an `Outcome`.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from dermpack.errors import DermpackError
from dermpack.processes.child_process import Channel
from tests.fuzz.readers import INPUT_CLASSES, Reader

CODE = re.compile(r"[a-z][a-z0-9-]*\Z")
MOST_LINE_CHARACTERS = 1_700  # of an error: where, what and hint have limits
PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a case ended: the code of its error, or "" for success; `problem` breaks the promise."""

    code: str = ""
    problem: str = ""
    detail: str = ""  # the line of the error, or the end of a traceback
    seconds: float = 0.0
    peak_bytes: int = 0


def main(channel: Channel, class_name: str) -> None:
    """Answer requests until the parent closes the channel."""
    wanted = INPUT_CLASSES[class_name]
    while name := channel.receive():
        data = channel.receive() or b""
        outcome = examine(wanted.reader_of(name.decode()), name.decode(), data)
        channel.send(json.dumps(asdict(outcome)).encode())


def examine(read: Reader, name: str, data: bytes) -> Outcome:
    """Read a case in a folder of its own, and check what is promised about every input."""
    code, problem, detail = "", "", ""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        _reset_peak()
        start = time.monotonic()
        try:
            read(path)
        except DermpackError as error:
            code, problem, detail = error.code, _check_error(error), str(error)
        except Exception as error:  # noqa: BLE001 - this is what fuzzing looks for
            frames = traceback.extract_tb(error.__traceback__)
            place = next((frame for frame in reversed(frames) if "/tests/" not in frame.filename), frames[-1])
            problem = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
            detail = "".join(traceback.format_exception(error))[-3_000:]
        seconds = time.monotonic() - start
        if not path.is_file() or path.read_bytes() != data:
            problem = problem or "the input was changed"
        if left := [each.name for each in Path(folder).rglob("*.partial")]:
            problem = problem or f"{left[0]} was left"
    return Outcome(code=code, problem=problem, detail=detail, seconds=seconds, peak_bytes=_read_peak())


def _check_error(error: DermpackError) -> str:
    """Return what is wrong with the line of an error, or ""."""
    line = str(error)
    if not CODE.match(error.code):
        return f"the code {error.code!r} is not a code"
    if not line.isprintable():
        return f"the line of {error.code} has characters that are not printable"
    if len(line) > MOST_LINE_CHARACTERS:
        return f"the line of {error.code} has {len(line)} characters"
    return ""


def _reset_peak() -> None:
    for process in ("self", *_children()):
        with suppress(OSError):
            Path(f"/proc/{process}/clear_refs").write_text("5")


def _read_peak() -> int:
    """Return the highest peak of this process and its children, those that have ended included."""
    peaks = [getrusage(RUSAGE_CHILDREN).ru_maxrss << 10]
    for process in ("self", *_children()):
        with suppress(OSError):
            found = PEAK.search(Path(f"/proc/{process}/status").read_text())
            peaks += [int(found[1]) << 10] if found else []
    return max(peaks)


def _children() -> list[str]:
    children: list[str] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # a thread that has just ended
            children += (task / "children").read_text().split()
    return children
