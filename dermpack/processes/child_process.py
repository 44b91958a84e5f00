"""A Python child process with limits: frames in both directions, and one description of how it ended.

    with ChildProcess("package.worker", "argument", memory_bytes=8 << 30) as child:
        child.send(b"request")
        answer = child.receive()

The child imports `package.worker` and calls `main(channel, "argument")`; `channel.receive()` returns the next
frame or None at the end of the input, `channel.send(frame)` sends one. A frame is eight bytes of length and
then the content, usually JSON. Whatever libraries print in the child goes to its log, never between frames.

A crash, a full memory or an endless loop in foreign code ends the child alone: that is what it is for. The
child ends with its parent: the kernel kills it, and it ends by itself when its input is closed.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import cache
from importlib import import_module
from math import ceil
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from dermpack.errors import InputError
from dermpack.processes.limits import KILL, apply_limits, end_with_parent

if TYPE_CHECKING:
    from queue import SimpleQueue
    from subprocess import Popen

LENGTH = struct.Struct("<Q")
# The child gets the parent's sys.path before its first import: -c adds the working directory, where any
# file could be called json.py.
START = (
    f"import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from {__name__} import run_child; run_child()"
)
# Of this package: an editable installation has it in a hook of `site`, which some children do not import.
PACKAGE_FOLDER = str(Path(__file__).parents[2])
PIPE_BYTES = 1 << 20
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
        memory_bytes: int = 0,
        cpu_seconds: float = 0,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        new_session: bool = False,
        inherit_stderr: bool = False,
        skip_site: bool = False,
        death_signal: int = KILL,
    ) -> None:
        """Start the child; `log` takes its stderr, and `new_session` keeps Ctrl-C from it.

        `memory_bytes` limits its address space and `cpu_seconds` its processor time (0: no limit). With
        `skip_site` it starts 20 ms sooner, without the hooks that packages may have in `site`. It gets
        `death_signal` when this process ends, however that happens.
        """
        import subprocess  # not at the top: the child, which imports this module too, starts faster

        paths = [*sys.path, *([] if PACKAGE_FOLDER in sys.path else [PACKAGE_FOLDER])]
        command = [sys.executable, *(["-S"] if skip_site else []), "-c", START, "\n".join(map(str, paths))]
        command += [
            module,
            f"{memory_bytes} {ceil(cpu_seconds)} {os.getpid()} {int(death_signal)}",
            *arguments,
        ]
        # Each thread of OpenBLAS maps memory; with many cores, that would be more than the limit.
        threads = {"OPENBLAS_NUM_THREADS": "1"} if memory_bytes else {}
        self.log = log
        with log.open("wb") if log else nullcontext() as file:
            process = _start_process(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if inherit_stderr else file or subprocess.DEVNULL,
                env={**os.environ, **threads, **(environment or {})},
                start_new_session=new_session,
            )
        assert process.stdin is not None and process.stdout is not None
        self._process, self._input, self._output = process, process.stdin, process.stdout
        _enlarge_pipes(process.stdin, process.stdout)

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
        try:
            timer.start()
        except RuntimeError as error:  # "can't start new thread"
            raise not_started_error(error) from error
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


def not_started_error(error: Exception) -> InputError:
    """Return the error of a child or a thread for which the system lacks files, processes or memory."""
    what = f"a child process cannot be started ({getattr(error, 'strerror', None) or error})"
    hint = "Raise the limits on open files, processes and memory (see: ulimit -a), or close other programs."
    return InputError("dermpack", what, hint, code="child-not-started")


def _start_process(command: list[str], **options: Any) -> Popen[bytes]:
    """Start a process from a thread that lives as long as this process.

    Linux kills a child when the thread that started it ends, so a thread of a pool must not start it.
    """
    import threading
    from subprocess import Popen

    try:
        if threading.current_thread() is threading.main_thread():
            return Popen(command, **options)
        from concurrent.futures import Future

        started: Future[Popen[bytes]] = Future()
        _starter(os.getpid()).put((started, command, options))
        return started.result()
    except (OSError, RuntimeError, MemoryError) as error:
        raise not_started_error(error) from error


def _enlarge_pipes(*pipes: IO[bytes]) -> None:
    """Enlarge pipes to whole pictures, because a switch between two processes costs more than a copy."""
    try:
        from fcntl import F_SETPIPE_SZ, fcntl
    except ImportError:  # not on Linux
        return
    for pipe in pipes:
        with suppress(OSError):  # the system limits the large pipes of a user
            fcntl(pipe, F_SETPIPE_SZ, PIPE_BYTES)


@cache
def _starter(_process: int) -> SimpleQueue[Any]:
    """Return the queue of a thread that starts processes; a fork of this process needs another one."""
    import threading
    from queue import SimpleQueue
    from subprocess import Popen

    queue: SimpleQueue[Any] = SimpleQueue()

    def serve() -> None:
        while True:
            started, command, options = queue.get()
            try:
                started.set_result(Popen(command, **options))
            except (OSError, RuntimeError, MemoryError, ValueError) as error:
                started.set_exception(error)

    threading.Thread(target=serve, daemon=True, name="start-processes").start()
    return queue


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
    module, limits, *arguments = sys.argv[1:]
    memory_bytes, cpu_seconds, parent, death_signal = map(int, limits.split())
    # The channel and the limits come first: the import of the module can already print or use much memory.
    channel = Channel()
    end_with_parent(parent, death_signal=death_signal)
    apply_limits(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds)
    import_module(module).main(channel, *arguments)


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
