"""Measure models on a machine that ssh reaches: a Raspberry Pi, a board, a server.

All jobs run in a private folder over there, through one connection. The remote side is a POSIX shell script,
remote.sh, that reads requests from stdin. It kills the running job and removes its folder when stdin closes:
sshd closes it when the connection ends, for whatever reason.
"""

from __future__ import annotations

import json
import math
import os
import re
import select
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from threading import Thread
from typing import IO, Any

from benchmarks.protocol import jobs
from benchmarks.protocol.plan import BenchmarkPlan, Setting, select_settings
from benchmarks.protocol.replies import (
    MOST_ANSWER_BYTES,
    WorkerFailedError,
    WorkerTimeoutError,
    check_exit_code,
    parse_answer,
)
from benchmarks.protocol.results import TargetMeasurement
from dermpack.errors import InputError
from dermpack.processes.child_process import not_started_error
from dermpack.processes.limits import ending_with_parent
from dermpack.progress import Track, silent

KINDS = (jobs.JobKind.TIME, jobs.JobKind.ANSWER, jobs.JobKind.PROFILE)
OLD_RUNTIME = "tflite-runtime"
LAST_NUMPY = 1  # the major version for which the old runtime was built; with 2 the first interpreter crashes
OLDEST_PYTHON = (3, 9)

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
KILLED = 128 + 9  # the exit code of a shell for SIGKILL
SSH_FAILED = 255  # the exit code of ssh itself when it cannot connect

GREETING_SECONDS = 60.0  # from the start of ssh until the remote script is ready
SILENT_SECONDS = 60.0  # while the remote side does not read
SLOWEST_BYTES_PER_SECOND = 16 << 10  # of a file on its way: a slower connection is given up
SLACK_SECONDS = 30.0  # for a job, beyond the time that the job allows; then timeout kills the worker
ANSWER_SECONDS = 30.0  # for the answer, after that
LEAVING_SECONDS = 10.0  # for the remote clean-up
DYING_SECONDS = 2.0

MOST_COMPLAINT_BYTES = 4096
MOST_DIGITS = 18  # of one number
MOST_LINE_BYTES, MOST_NOISE_LINES = 16 << 10, 1000
BLOCK_BYTES = 1 << 16

# The login shell may be bash, fish or csh, so it only gets this line, which means the same in all of them.
# The script follows on stdin, padded to a fixed size: a shell that reads it from a pipe may read too far.
SCRIPT_BYTES = 8192
BOOTSTRAP = f"""exec sh -c 'eval "$(dd bs={SCRIPT_BYTES} count=1 iflag=fullblock status=none)"'"""
REMOTE_SCRIPT = Path(__file__).with_name("remote.sh").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """A machine, and the Python to use there."""

    address: Address
    python: str = "python3"
    identity: Path | None = None  # a private key, in addition to those that ssh tries by itself
    options: Sequence[str] = ()  # for ssh -o

    @property
    def name(self) -> str:
        return self.address.name

    def measure(self, plan: BenchmarkPlan, *, track: Track = silent) -> TargetMeasurement:
        """Measure the whole plan there; a connection that is lost is an error, and leaves nothing there."""
        remote = connect(self.address, python=self.python, identity=self.identity, options=self.options)
        with TemporaryDirectory(prefix="dermpack-ssh-") as folder, remote as connection:
            # Describe the machine first, before anything large is prepared or copied.
            for script in jobs.SCRIPTS:
                connection.put(jobs.WORKER_FOLDER / script)
            hint = self._install("numpy ai-edge-litert")
            machine = jobs.describe_target(connection.run_job, where=self.name, hint=hint)
            settings, left_out = self._select_settings(plan, machine)
            job_models = jobs.write_job_folder(plan, Path(folder))
            files = sorted(file for file in Path(folder).iterdir() if file.name not in jobs.SCRIPTS)
            for file in track(files, total=len(files), what=f"Copying to {self.address.text}"):
                connection.put(file)
            results = jobs.run_jobs(
                plan,
                job_models,
                connection.run_job,
                settings=settings,
                kinds=KINDS,
                track=track,
                what=f"Measuring on {self.address.text}",
            )
        return results.measurement(self.name, machine, notes=left_out)

    def _select_settings(
        self, plan: BenchmarkPlan, machine: jobs.TargetDescription
    ) -> tuple[tuple[Setting, ...], tuple[str, ...]]:
        """Leave out the old runtime if numpy is too new for it; raise InputError if nothing else is left."""
        numpy, runtimes, notes = machine.environment.get("numpy", ""), list(machine.runtimes), []
        major = numpy.partition(".")[0]
        if OLD_RUNTIME in runtimes and major.isdecimal() and int(major) > LAST_NUMPY:
            runtimes.remove(OLD_RUNTIME)
            what = f"{OLD_RUNTIME} {machine.runtimes[OLD_RUNTIME]} does not run with numpy {numpy}"
            if not runtimes or OLD_RUNTIME in plan.runtimes:
                raise InputError(self.name, what, self._install("'numpy<2'"), code="incompatible-numpy")
            notes.append(f"{what} and was left out")
        cores, install = int(machine.environment.get("cores", "1")), self._install("ai-edge-litert")
        settings, left_out = select_settings(
            plan, where=self.name, runtimes=runtimes, cores=cores, install=install
        )
        return settings, (*notes, *left_out)

    def _install(self, packages: str) -> str:
        return f"Run on the machine: {self.python} -m pip install {packages}"


class ConnectionLostError(InputError):
    """The remote machine cannot be reached, or the connection to it ended."""


class _BrokenStreamError(Exception):
    """The remote side ended or sent something invalid; the text is empty if it just ended."""


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
        size_bytes = file.stat().st_size
        blocks, rest = divmod(size_bytes, BLOCK_BYTES)
        until = time.monotonic() + SILENT_SECONDS + size_bytes / SLOWEST_BYTES_PER_SECOND
        self._send(f"file {file.name}\n".encode())
        with file.open("rb") as opened:
            # dd counts in blocks: first the whole ones, then the rest as one smaller block.
            for size, count in ((BLOCK_BYTES, blocks), (rest, 1)):
                if size and count:
                    self._send(f"data {size} {count}\n".encode())
                for _ in range(count):
                    self._send(opened.read(size))
                    if time.monotonic() > until:
                        raise _BrokenStreamError("the remote process reads its input too slowly")

    def run_job(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the worker on a job over there; raise WorkerFailedError if it does not answer."""
        seconds = math.ceil(float(job["patience_seconds"]) + SLACK_SECONDS)
        data = json.dumps(job, sort_keys=True).encode()
        self._send(f"file {jobs.JOB_FILE}\ndata {len(data)} 1\n".encode() + data)
        self._send(f"run {seconds} {MOST_ANSWER_BYTES}\n".encode())
        start = time.monotonic()
        until = start + seconds + ANSWER_SECONDS
        code, answer_bytes, complaint_bytes = self._parse_line(self._read_line(until), numbers=3)
        if complaint_bytes > MOST_COMPLAINT_BYTES:
            raise _BrokenStreamError("the response has too many bytes")
        is_too_large = answer_bytes > MOST_ANSWER_BYTES  # then it was not sent
        answer = self._read(0 if is_too_large else answer_bytes, until)
        complaint = self._read(complaint_bytes, until)
        if code == KILLED and time.monotonic() - start >= seconds:  # by timeout, not for its memory
            raise WorkerTimeoutError(f"no answer within {seconds} s")
        check_exit_code(code, complaint, seconds=seconds)
        if is_too_large:
            raise WorkerFailedError(f"the answer has {answer_bytes} bytes, more than {MOST_ANSWER_BYTES}")
        return parse_answer(answer)

    def start(self, python: str) -> tuple[int, ...]:
        """Send the script and return the version of the remote Python, once the script is ready."""
        program = shlex.quote(f"{jobs.WORKER_FILE} {jobs.JOB_FILE}")
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
        mark, *words = line.split() or [b""]
        are_numbers = all(word.isdigit() and len(word) < MOST_DIGITS for word in words)
        if mark != self.mark.encode() or len(words) != numbers or not are_numbers:
            raise _BrokenStreamError("unexpected response")
        return tuple(map(int, words))

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
            words = str(broken) or tail.last_line()
            raise _explain(address, python, code, words, is_ready=version is not None) from broken


@contextmanager
def _start_ssh(
    address: Address, identity: Path | None, options: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    chosen = [part for option in (*options, *SSH_OPTIONS) for part in ("-o", option)]  # the first one counts
    port = ["-p", str(address.port)] if address.port else []
    key = ["-i", str(identity.absolute())] if identity else []
    if (ssh := shutil.which("ssh")) is None:
        raise InputError("ssh", "not installed", "Install openssh-client.", code="missing-tool")
    command = [ssh, *chosen, *port, *key, "--", address.destination, BOOTSTRAP]
    pipe = subprocess.PIPE
    try:
        # In a session of its own, ssh does not receive our Ctrl-C and stays until the clean-up is done.
        process = subprocess.Popen(
            # SIGTERM: ssh then ends its ProxyCommand too.
            ending_with_parent(command, death_signal=signal.SIGTERM),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,
            start_new_session=True,
        )
    except OSError as error:
        raise not_started_error(error) from error
    assert process.stdin and process.stdout
    try:
        yield process
    finally:
        try:
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(LEAVING_SECONDS)
        finally:
            # The whole session: a ProxyCommand would go on and keep the pipe for errors open.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


class _Tail(Thread):
    """The end of the stderr of ssh, which is read continuously so that ssh never blocks."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe, self._end = pipe, b""
        self.start()

    def run(self) -> None:
        with self._pipe:
            while data := self._pipe.read(MOST_COMPLAINT_BYTES):
                self._end = (self._end + data)[-MOST_COMPLAINT_BYTES:]

    def last_line(self) -> str:
        self.join(DYING_SECONDS)
        lines = [line.strip() for line in self._end.decode("utf-8", "replace").splitlines() if line.strip()]
        return lines[-1] if lines else "the process ended without a message"


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
