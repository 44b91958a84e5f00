"""One ssh connection that holds a private folder on another machine, and takes it along when it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread
from typing import IO, Any

from benchmarks.protocol.jobs import JOB_FILE, WorkerDied
from benchmarks.targets.ssh.address import Address, quoted_python
from benchmarks.targets.ssh.frame_stream import Stream, StreamBrokenError
from dermpack.errors import InputError

KEEPER = Path(__file__).with_name("remote_agent.py")
TOO_OLD = "dermpack-python-"
# One line that every shell hands on unchanged, and every Python understands.
BOOTSTRAP = (
    f'import sys;v=sys.version_info;v<(3,9)and sys.exit("{TOO_OLD}%d.%d"%v[:2]);'
    "b=sys.stdin.buffer;exec(b.read(int(b.readline())))"
)
OPTIONS = (
    *("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "ServerAliveCountMax=4"),
    *("ControlMaster=no", "ClearAllForwardings=yes", "ForwardAgent=no", "ForwardX11=no"),
    *("RequestTTY=no", "RemoteCommand=none"),
)
GREETING_SECONDS, LEAVING_SECONDS, DYING_SECONDS = 60.0, 10.0, 2.0
SLACK_SECONDS = 30.0  # beyond what a job may take
MOST_ANSWER_BYTES, MOST_NOISE_LINES = 64 << 20, 1000
TAIL_BYTES = 4096  # of what ssh complains
UNREACHED = 255  # as ssh ends where it did not get there


class ConnectionLostError(InputError):
    """The other machine is not reached, or not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """`remote_agent.py` answers at the other end."""

    stream: Stream
    removed: int  # folders of ours that killed connections had left there

    def put(self, file: Path) -> None:
        """Copy a file into the folder on the other side."""
        self.stream.say_file({"do": "file", "name": file.name}, file)

    def carry(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the worker there on one job."""
        seconds = float(job["patience_seconds"]) + SLACK_SECONDS
        self.stream.say({"do": "file", "name": JOB_FILE}, json.dumps(job, sort_keys=True).encode())
        self.stream.say({"do": "run", "seconds": seconds, "most_bytes": MOST_ANSWER_BYTES})
        frame, answer = self.stream.answer(seconds=seconds + SLACK_SECONDS, most_bytes=MOST_ANSWER_BYTES)
        if frame.get("code") != 0 or not answer:
            raise WorkerDied(_ending(frame))
        try:
            return _object(answer)
        except ValueError as error:
            raise WorkerDied("the answer is not a JSON object") from error


@contextmanager
def connected(
    address: Address, *, python: str, identity: Path | None, options: Sequence[str]
) -> Iterator[Connection]:
    """While the block runs, a folder stands on the other side; whatever ends the block, it goes with it."""
    with ExitStack() as stack:
        process = stack.enter_context(_started(_command(address, python, identity, options)))
        tail, is_greeted = _Tail(process.stderr), False
        try:
            stream = Stream(to=_pipe(process.stdin), of=_pipe(process.stdout))
            connection = Connection(stream=stream, removed=_greeted(stream))
            is_greeted = True
            stack.enter_context(_breathing(stream))
            yield connection
        except StreamBrokenError as broken:
            code, words = _ended(process), broken.why or tail.last_line()
            raise _explained(address, python, code, words, is_greeted=is_greeted) from broken


def _command(address: Address, python: str, identity: Path | None, options: Sequence[str]) -> tuple[str, ...]:
    chosen = [part for option in (*options, *OPTIONS) for part in ("-o", option)]  # the first one counts
    port = ["-p", str(address.port)] if address.port else []
    key = ["-i", str(identity.absolute())] if identity else []
    remote = f"exec {quoted_python(python)} -c '{BOOTSTRAP}'"
    return ("ssh", *chosen, *port, *key, "--", address.destination, remote)


@contextmanager
def _started(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """ssh, deaf to the Ctrl-C that we hear: the other side is told to clean up, and given time for it."""
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
        )
    except OSError as error:
        hint = "Install openssh-client."
        raise InputError("ssh", "not installed", hint, code="missing-tool") from error
    try:
        os.set_blocking(_pipe(process.stdin), False)
        yield process
    finally:
        try:
            _close(process.stdin)
            process.wait(LEAVING_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
            _close(process.stdout)


@contextmanager
def _breathing(stream: Stream) -> Iterator[None]:
    stopped = Event()
    thread = Thread(target=stream.breathe, args=(stopped,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(DYING_SECONDS)  # it may be waiting for the other side


def _greeted(stream: Stream) -> int:
    """Send the keeper and wait until it stands; whatever a login script prints before is skipped."""
    greeting, until = token_hex(16), time.monotonic() + GREETING_SECONDS
    source = KEEPER.read_bytes() + f"\nmain({greeting!r})\n".encode()
    stream.say_raw(f"{len(source)}\n".encode() + source)
    for _ in range(MOST_NOISE_LINES):
        line = stream.line(until)
        if greeting.encode() in line or line.startswith(b'{"error": '):
            return _removed(line)
    raise StreamBrokenError("a login script on the remote machine prints too much")


def _removed(line: bytes) -> int:
    try:
        said = _object(line)
        if "error" not in said:
            return int(said["removed"])
    except (ValueError, KeyError, TypeError) as error:
        raise StreamBrokenError("the remote process sent an unexpected greeting") from error
    raise StreamBrokenError(str(said["error"]))


class _Tail:
    """The last that ssh complained, however much it says."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        assert pipe
        self._pipe, self._kept = pipe, b""
        self._thread = Thread(target=self._follow, daemon=True)
        self._thread.start()

    def last_line(self) -> str:
        self._thread.join(DYING_SECONDS)
        lines = [line.strip() for line in self._kept.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1] if lines else "the process ended without a message"

    def _follow(self) -> None:
        with self._pipe:
            while data := self._pipe.read(TAIL_BYTES):
                self._kept = (self._kept + data)[-TAIL_BYTES:]


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    """How ssh ended, if it did."""
    try:
        return process.wait(DYING_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _explained(
    address: Address, python: str, code: int | None, words: str, *, is_greeted: bool
) -> ConnectionLostError:
    if is_greeted:
        what = f"the connection was lost ({words})"
        hint = "Measure again; the remote process ends by itself and removes its files."
        return ConnectionLostError(address.name, what, hint, code="connection-lost")
    if TOO_OLD in words:
        version = words.partition(TOO_OLD)[2]
        what = f"{python} is Python {version}, but 3.9 or newer is required"
        hint = "Give a newer interpreter with --python."
        return ConnectionLostError(address.name, what, hint, code="remote-python")
    if code == UNREACHED:
        port = f"-p {address.port} " if address.port else ""
        what = f"cannot connect ({words})"
        command = f"ssh -o BatchMode=yes {port}{address.destination} true"
        hint = f"Make sure that this command works without a prompt: {command}"
        return ConnectionLostError(address.name, what, hint, code="cannot-connect")
    hint = "Give the path of the interpreter on the remote machine with --python."
    return ConnectionLostError(address.name, f"{python} does not start ({words})", hint, code="remote-python")


def _ending(frame: Mapping[str, Any]) -> str:
    """The signal's name, or the worker's last line."""
    code, why = frame.get("code"), frame.get("why")
    if isinstance(code, int) and code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return why if isinstance(why, str) and why else f"exit code {code}"


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(data)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error
    if not isinstance(said, dict):
        raise ValueError("not a JSON object")
    return said


def _pipe(file: IO[bytes] | None) -> int:
    assert file
    return file.fileno()


def _close(file: IO[bytes] | None) -> None:
    if file:
        file.close()
