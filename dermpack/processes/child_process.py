"""A Python child process with limits: frames in both directions, and one description of how it ended.

    with ChildProcess("package.worker", "argument", memory_bytes=8 << 30) as child:
        child.send(b"request")
        answer = child.receive()

The child imports `package.worker` and calls `main(channel, "argument")`; `channel.receive()` returns the next
frame or None at the end of the input, `channel.send(frame)` sends one. A frame is eight bytes of length and
then the content, usually JSON. Whatever libraries print in the child goes to its log, never between frames.

A crash, a full memory or an endless loop in foreign code ends the child alone: that is what it is for.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import IO, BinaryIO

LENGTH = struct.Struct("<Q")
# The child gets the parent's sys.path before its first import: -c adds the working directory, where any
# file could be called json.py.
START = (
    f"import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from {__name__} import run_child; run_child()"
)
MAX_FRAME_BYTES = 1 << 30  # a child whose memory is corrupt can announce any length
TAIL_BYTES, MAX_LINE_CHARACTERS = 4096, 300  # of the log, to describe how the child ended


class ChildEndedError(Exception):
    """The child ended before it answered; the text describes how, for example "SIGSEGV"."""


class ChildTimeoutError(Exception):
    """The child did not answer in time and was killed."""


class ChildProcess:
    """The parent's side: start, send and receive frames, end."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        memory_bytes: int | None = None,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        new_session: bool = False,
        inherit_stderr: bool = False,
    ) -> None:
        """Start the child; `log` takes its stderr, and `new_session` keeps Ctrl-C from it."""
        import subprocess  # not at the top: the child, which imports this module too, starts faster

        command = [sys.executable, "-c", START, "\n".join(map(str, sys.path))]
        command += [module, str(memory_bytes or 0), *arguments]
        self.log = log
        with Path(log or os.devnull).open("wb") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if inherit_stderr else file,
                env={**os.environ, **environment} if environment else None,
                start_new_session=new_session,
            )
        assert process.stdin is not None and process.stdout is not None
        self._process, self._input, self._output = process, process.stdin, process.stdout

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output_descriptor(self) -> int:
        return self._output.fileno()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def send(self, *frames: bytes) -> None:
        """Send frames; if the child has ended, the next `receive` reports it."""
        with suppress(BrokenPipeError):
            _write_frames(self._input, frames)

    def receive(self) -> bytes:
        """Return the next frame, or raise ChildEndedError."""
        try:
            frame = _read_frame(self._output)
        except OverflowError as error:
            self._process.kill()
            raise ChildEndedError("its output is too large") from error
        if frame is None:
            raise ChildEndedError(self.describe_end())
        return frame

    @contextmanager
    def time_limit(self, seconds: float) -> Iterator[None]:
        """Kill the child if the block takes longer, and raise ChildTimeoutError."""
        import threading

        is_late = threading.Event()

        def kill() -> None:
            is_late.set()  # before the kill, which wakes the thread that waits for the child
            self._process.kill()

        timer = threading.Timer(seconds, kill)
        timer.start()
        try:
            yield
        except ChildEndedError as error:
            if is_late.is_set():
                raise ChildTimeoutError(f"no answer within {seconds:g} s") from error
            raise
        finally:
            timer.cancel()

    def describe_end(self) -> str:
        """Wait for the end and describe it with the last line of the log: "exit code 1: MemoryError"."""
        ending = describe_exit(self._process.wait())
        line = _read_last_line(self.log) if self.log else ""
        return f"{ending}: {line}" if line else ending

    def wait(self) -> int:
        """Return the exit code after the child has ended; it is negative for a signal."""
        return self._process.wait()

    def close(self, *, grace_s: float = 0.0) -> None:
        """End the child: close its input, wait for the grace period, then kill it."""
        import subprocess

        if grace_s:
            self._close_input()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(grace_s)
        # Without a grace period the kill comes first: another thread may be blocked in a pipe.
        self._process.kill()
        self._process.wait()
        self._close_input()
        self._output.close()

    def _close_input(self) -> None:
        with suppress(BrokenPipeError):  # what was not sent yet is lost
            self._input.close()


def describe_exit(code: int) -> str:
    """Return how a process ended: describe_exit(-9) → "SIGKILL, possibly out of memory"."""
    import signal

    if code == -signal.SIGKILL:
        return "SIGKILL, possibly out of memory"
    if code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


class Channel:
    """The child's side: frames from and to the parent."""

    def __init__(self) -> None:
        self._input: BinaryIO = sys.stdin.buffer
        # Libraries print to file descriptor 1: keep a copy for the frames and send the rest to the log.
        self._output: BinaryIO = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)

    def receive(self) -> bytes | None:
        """Return the next frame, or None if the parent has closed the input or has ended."""
        return _read_frame(self._input)

    def send(self, *frames: bytes) -> None:
        """Send frames to the parent."""
        _write_frames(self._output, frames)


def run_child() -> None:
    """Run the child's side of `ChildProcess`: set the limits, then call `main` of the module."""
    module, memory_bytes, *arguments = sys.argv[1:]
    # The channel and the limits come first: the import of the module can already print or use much memory.
    channel = Channel()
    limit_memory(int(memory_bytes))
    import_module(module).main(channel, *arguments)


def limit_memory(memory_bytes: int) -> None:
    """Limit the address space of this process (0: no limit) and write no core file."""
    try:
        import resource
    except ModuleNotFoundError:  # not on Windows
        return
    # Only address space can be limited on Linux; a limit on resident memory has no effect.
    limits = [(resource.RLIMIT_CORE, 0)]
    if memory_bytes:
        limits.append((resource.RLIMIT_AS, memory_bytes))
    for limit, value in limits:
        # A process cannot raise its hard limit, which is negative if there is none.
        hard = resource.getrlimit(limit)[1]
        resource.setrlimit(limit, (value if hard < 0 else min(value, hard), hard))


def _write_frames(stream: IO[bytes], frames: tuple[bytes, ...]) -> None:
    stream.write(b"".join(LENGTH.pack(len(frame)) + frame for frame in frames))
    stream.flush()


def _read_frame(stream: IO[bytes]) -> bytes | None:
    """Return a whole frame, or None if the stream ends before it."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    length = LENGTH.unpack(head)[0]
    if length > MAX_FRAME_BYTES:
        raise OverflowError(f"a frame of {length} bytes")
    frame = stream.read(length)
    return frame if len(frame) == length else None


def _read_last_line(path: Path) -> str:
    """Return the last line of a log that is not empty."""
    try:
        with path.open("rb") as file:
            # A library can write megabytes of warnings: read only the end.
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:MAX_LINE_CHARACTERS] for line in reversed(lines) if line.strip()), "")
