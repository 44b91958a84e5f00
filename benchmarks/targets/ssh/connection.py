"""Run benchmark jobs in a private folder on another machine, over one ssh connection.

The remote side is a POSIX shell script, `REMOTE_SCRIPT`, that reads requests from stdin. It kills the running
job and removes its folder when stdin closes: sshd closes it when the connection ends, for whatever reason.
"""

from __future__ import annotations

import json
import math
import os
import re
import select
import shlex
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import IO, Any

from benchmarks.protocol.jobs import JOB_FILE, WORKER_FILE, WorkerFailedError
from benchmarks.targets.worker_process import check_exit_code, parse_answer
from dermpack.errors import InputError

NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"  # of a user or a host; it cannot begin like an option of ssh
IPV6 = r"\[[0-9A-Fa-f:.]+(?:%\w+)?\]"
ADDRESS = re.compile(rf"(?:(?P<user>{NAME})@)?(?P<host>{NAME}|{IPV6})(?::(?P<port>[0-9]{{1,5}}))?", re.ASCII)
MOST_PORT = 65535
HOME = "~/"

SSH_OPTIONS = (
    *("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=15", "ServerAliveCountMax=4"),
    *("ControlMaster=no", "ClearAllForwardings=yes", "ForwardAgent=no", "ForwardX11=no"),
    *("RequestTTY=no", "RemoteCommand=none"),
)
SSH_FAILED = 255  # the exit code of ssh itself when it cannot connect
OLDEST_PYTHON = (3, 9)

GREETING_SECONDS = 60.0  # from the start of ssh until the remote script is ready
SILENT_SECONDS = 60.0  # while the remote side does not read
SLACK_SECONDS = 30.0  # for a job, beyond the time that the job allows; then timeout kills the worker
ANSWER_SECONDS = 30.0  # for the answer, after that
LEAVING_SECONDS = 10.0  # for the remote clean-up
DYING_SECONDS = 2.0

MOST_ANSWER_BYTES = 64 << 20
MOST_COMPLAINT_BYTES = 4096
MOST_DIGITS = 18  # of one number
MOST_LINE_BYTES, MOST_NOISE_LINES = 16 << 10, 1000
BLOCK_BYTES = 1 << 16

# The login shell may be bash, fish or csh, so it only gets this line, which means the same in all of them.
# The script follows on stdin, padded to a fixed size: a shell that reads it from a pipe may read too far.
SCRIPT_BYTES = 8192
BOOTSTRAP = f"""exec sh -c 'eval "$(dd bs={SCRIPT_BYTES} count=1 iflag=fullblock status=none)"'"""
REMOTE_SCRIPT = """\
umask 077
version=$("$python" -c 'import sys; print("%d %d" % sys.version_info[:2])' </dev/null) || exit
temporary=${TMPDIR:-/tmp}
# Only a power failure or a killed script leaves a folder; a day later it is removed.
find "$temporary" -maxdepth 1 -name 'dermpack-remote-*' -user "$(id -u)" -mtime +0 \\
    -exec rm -rf {} + 2>/dev/null
folder= worker= watcher=
# timeout leads a process group: one signal reaches the worker and everything that it started.
end_job() {
    [ -z "$worker" ] || kill -s KILL -- "-$worker" "$worker"
    [ -z "$watcher" ] || kill "$watcher"
    wait
    worker= watcher=
} 2>/dev/null
trap 'end_job; cd /; [ -z "$folder" ] || rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM PIPE
folder=$(mktemp -d "$temporary/dermpack-remote-XXXXXXXX") && cd "$folder" || exit
exec 3<&0
echo "$mark $version"
while read -r request first second; do
    case $request in
    file) name=$first; : >"$name" || exit ;;
    # dd reads exactly what it is asked for, so that the next request stays in the pipe.
    data) dd bs="$first" count="$second" iflag=fullblock status=none >>"$name" || exit ;;
    run)
        touch .
        PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 timeout -s KILL "$first" \\
            "$python" $program </dev/null 3<&- >.answer 2>.complaint &
        worker=$!
        # No request is sent while a job runs: cat ends only when the connection does.
        (trap 'kill $!; exit' TERM; cat <&3 & wait; kill -s KILL -- "-$worker" "$worker") >/dev/null 2>&1 &
        watcher=$!
        wait "$worker"
        code=$?
        end_job
        size=$(($(wc -c <.answer)))
        [ "$size" -le "$second" ] || : >.answer
        tail -c "$most_complaint" .complaint >.end
        echo "$mark $code $size $(($(wc -c <.end)))"
        cat .answer .end
        ;;
    esac
done
"""


class ConnectionLostError(InputError):
    """The remote machine cannot be reached, or the connection to it ended."""


class _BrokenStreamError(Exception):
    """The remote side ended or sent something invalid; `why` is empty if it just ended."""

    def __init__(self, why: str = "") -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A machine that ssh reaches."""

    text: str  # as it was given
    destination: str  # user@host, or a host's name in ~/.ssh/config
    port: int | None

    @property
    def name(self) -> str:
        return f"ssh:{self.text}"


def read_address(text: str) -> Address:
    """Parse [user@]host[:port], such as pi@raspberry:2222; refuse what ssh or a shell could misunderstand."""
    match = ADDRESS.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if not match or port == 0 or (port or 0) > MOST_PORT:
        hint = "Write ssh:user@host or ssh:user@host:port."
        raise InputError(f"ssh:{text}", "not a valid address", hint, code="invalid-option")
    host = match["host"].strip("[]")
    destination = f"{match['user']}@{host}" if match["user"] else host
    return Address(text=text, destination=destination, port=port)


def quote_python(python: str) -> str:
    """Quote the path of the interpreter for the remote shell, which expands a leading ~/."""
    if not python or python.startswith("-") or not python.isprintable():
        hint = "Give the path of a Python interpreter on the remote machine."
        raise InputError(f"--python {python!r}", "not the path of a program", hint, code="invalid-option")
    if python.startswith(HOME):
        return HOME + shlex.quote(python.removeprefix(HOME))
    return shlex.quote(python)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """The remote script behind two pipes; what it sends is trusted neither in size nor in time."""

    to_remote: int  # a file descriptor that does not block
    from_remote: int
    mark: str  # a random word that begins each line of the script: nothing else is taken for one
    received: bytearray = field(default_factory=bytearray)  # read but not used yet

    def put(self, file: Path) -> None:
        """Copy a file into the remote folder."""
        blocks, rest = divmod(file.stat().st_size, BLOCK_BYTES)
        self._send(f"file {file.name}\n".encode())
        with file.open("rb") as opened:
            # dd counts in blocks: first the whole ones, then the rest as one smaller block.
            for size, count in ((BLOCK_BYTES, blocks), (rest, 1)):
                if size and count:
                    self._send(f"data {size} {count}\n".encode())
                for _ in range(count):
                    self._send(opened.read(size))

    def run_job(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the worker on a job over there; raise WorkerFailedError if it does not answer."""
        seconds = math.ceil(float(job["patience_seconds"]) + SLACK_SECONDS)
        data = json.dumps(job, sort_keys=True).encode()
        self._send(f"file {JOB_FILE}\ndata {len(data)} 1\n".encode() + data)
        self._send(f"run {seconds} {MOST_ANSWER_BYTES}\n".encode())
        until = time.monotonic() + seconds + ANSWER_SECONDS
        code, answer_bytes, complaint_bytes = self._parse_line(self._read_line(until), numbers=3)
        if complaint_bytes > MOST_COMPLAINT_BYTES:
            raise _BrokenStreamError("the response has too many bytes")
        is_too_large = answer_bytes > MOST_ANSWER_BYTES  # then it was not sent
        answer = self._read(0 if is_too_large else answer_bytes, until)
        complaint = self._read(complaint_bytes, until)
        check_exit_code(code, complaint, seconds=seconds)
        if is_too_large:
            what = f"the answer has {answer_bytes} bytes, more than {MOST_ANSWER_BYTES}"
            raise WorkerFailedError(what)
        return parse_answer(answer)

    def start(self, python: str) -> tuple[int, ...]:
        """Send the script and return the version of the remote Python, once the script is ready."""
        program = shlex.quote(f"{WORKER_FILE} {JOB_FILE}")
        values = f"mark={self.mark} program={program} most_complaint={MOST_COMPLAINT_BYTES}"
        script = f"{values}\npython={quote_python(python)}\n{REMOTE_SCRIPT}".encode()
        self._send(script.ljust(SCRIPT_BYTES, b"\n"))
        until = time.monotonic() + GREETING_SECONDS
        for _ in range(MOST_NOISE_LINES):  # login scripts may print before ours
            line = self._read_line(until)
            if line.startswith(self.mark.encode()):
                return self._parse_line(line, numbers=2)
        raise _BrokenStreamError("a login script on the remote machine prints too much")

    def _parse_line(self, line: bytes, *, numbers: int) -> tuple[int, ...]:
        words = line.split()
        if words[:1] != [self.mark.encode()] or len(words) != 1 + numbers:
            raise _BrokenStreamError("unexpected response")
        if not all(word.isdigit() and len(word) < MOST_DIGITS for word in words[1:]):
            raise _BrokenStreamError("unexpected response")
        return tuple(map(int, words[1:]))

    def _read_line(self, until: float) -> bytes:
        while (end := self.received.find(b"\n")) < 0:
            if len(self.received) > MOST_LINE_BYTES:
                raise _BrokenStreamError("the response has a line that is too long")
            self._receive(until)
        line = bytes(self.received[:end])
        del self.received[: end + 1]
        return line

    def _read(self, size: int, until: float) -> bytes:
        while len(self.received) < size:
            self._receive(until)
        data = bytes(self.received[:size])
        del self.received[:size]
        return data

    def _receive(self, until: float) -> None:
        if not select.select([self.from_remote], [], [], max(0.0, until - time.monotonic()))[0]:
            raise _BrokenStreamError("no response")
        data = os.read(self.from_remote, BLOCK_BYTES)
        if not data:
            raise _BrokenStreamError
        self.received.extend(data)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            if not select.select([], [self.to_remote], [], SILENT_SECONDS)[1]:
                raise _BrokenStreamError("the remote process does not read its input")
            try:
                view = view[os.write(self.to_remote, view) :]
            except OSError as error:
                raise _BrokenStreamError from error


@contextmanager
def connect(
    address: Address, *, python: str, identity: Path | None, options: Sequence[str]
) -> Iterator[Connection]:
    """Yield a connection to a new folder on the machine; nothing of it is left there after the block."""
    quote_python(python)  # refuse before ssh starts
    version: tuple[int, ...] | None = None
    with _start_ssh(address, identity, options) as process:
        assert process.stdin and process.stdout and process.stderr
        tail = _Tail(process.stderr)
        try:
            os.set_blocking(process.stdin.fileno(), False)
            to_remote, from_remote = process.stdin.fileno(), process.stdout.fileno()
            connection = Connection(to_remote=to_remote, from_remote=from_remote, mark=token_hex(16))
            version = connection.start(python)
            if version < OLDEST_PYTHON:
                found, oldest = (".".join(map(str, numbers)) for numbers in (version, OLDEST_PYTHON))
                what = f"{python} is Python {found}, but {oldest} or newer is required"
                hint = "Give a newer interpreter with --python."
                raise ConnectionLostError(address.name, what, hint, code="remote-python")
            yield connection
        except _BrokenStreamError as broken:
            # Why it broke depends on how ssh ended, which may take a moment.
            code = None
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(DYING_SECONDS)
            words = broken.why or tail.last_line()
            raise _explain(address, python, code, words, is_ready=version is not None) from broken


@contextmanager
def _start_ssh(
    address: Address, identity: Path | None, options: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    chosen = [part for option in (*options, *SSH_OPTIONS) for part in ("-o", option)]  # the first one counts
    port = ["-p", str(address.port)] if address.port else []
    key = ["-i", str(identity.absolute())] if identity else []
    command = ["ssh", *chosen, *port, *key, "--", address.destination, BOOTSTRAP]
    pipe = subprocess.PIPE
    try:
        # In a session of its own, ssh does not receive our Ctrl-C and stays until the clean-up is done.
        process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
        )
    except OSError as error:
        raise InputError("ssh", "not installed", "Install openssh-client.", code="missing-tool") from error
    assert process.stdin and process.stdout
    try:
        yield process
    finally:
        try:
            process.stdin.close()
            process.wait(LEAVING_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


class _Tail:
    """The end of what ssh writes to stderr, which is read all the time so that ssh never blocks."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._end = pipe, b""
        self._thread = Thread(target=self._follow, daemon=True)
        self._thread.start()

    def last_line(self) -> str:
        self._thread.join(DYING_SECONDS)
        lines = [line.strip() for line in self._end.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1] if lines else "the process ended without a message"

    def _follow(self) -> None:
        with self._pipe:
            while data := self._pipe.read(MOST_COMPLAINT_BYTES):
                self._end = (self._end + data)[-MOST_COMPLAINT_BYTES:]


def _explain(
    address: Address, python: str, code: int | None, words: str, *, is_ready: bool
) -> ConnectionLostError:
    """Return the error for a connection that broke, by the time at which and the way in which ssh ended."""
    if is_ready:
        what = f"the connection was lost ({words})"
        hint = "Measure again; the remote process ends by itself and removes its files."
        return ConnectionLostError(address.name, what, hint, code="connection-lost")
    if code == SSH_FAILED:
        port = f"-p {address.port} " if address.port else ""
        command = f"ssh -o BatchMode=yes {port}{address.destination} true"
        hint = f"Make sure that this command works without a prompt: {command}"
        return ConnectionLostError(address.name, f"cannot connect ({words})", hint, code="cannot-connect")
    hint = "Give the path of the interpreter on the remote machine with --python."
    return ConnectionLostError(address.name, f"{python} does not start ({words})", hint, code="remote-python")
