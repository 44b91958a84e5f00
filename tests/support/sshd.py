"""Run a real sshd on loopback, with its own keys, for the time of a block."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

REQUIRED = "DERMPACK_SSHD"  # set by make remote: a test that cannot run is then a failure
SERVER = next((path for path in ("/usr/sbin/sshd", "/usr/local/sbin/sshd") if Path(path).exists()), None)
SEPARATION = Path("/run/sshd")  # sshd needs it if root starts it
CONFIGURATION = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
PidFile none
AuthorizedKeysFile {folder}/key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
SetEnv TMPDIR={folder}/tmp
"""


@dataclass(frozen=True)
class Server:
    """The address, the keys and the process of a running sshd."""

    folder: Path
    port: int
    process: subprocess.Popen[str]

    @property
    def address(self) -> str:
        return f"{getpass.getuser()}@127.0.0.1:{self.port}"

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def temporary(self) -> Path:
        """The folder in which remote commands create temporary files."""
        return self.folder / "tmp"

    @property
    def options(self) -> tuple[str, ...]:
        """Options for ssh -o, with which the user's own files are neither read nor written."""
        known = f"UserKnownHostsFile={self.folder / 'known_hosts'}"
        return (known, "GlobalKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "IdentityAgent=none")

    def cut(self) -> None:
        """Kill the processes of every session, which ends the connections."""
        for session in _descendants(self.process.pid):
            with suppress(ProcessLookupError):
                if _proc(session, "comm").startswith("sshd"):
                    os.kill(session, signal.SIGKILL)


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    _refuse_without()
    (folder / "tmp").mkdir()
    for name in ("host_key", "key", "other_key"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name))
    port = _free_port()
    (folder / "config").write_text(CONFIGURATION.format(folder=folder, port=port), encoding="utf-8")
    host_key = (folder / "host_key.pub").read_text(encoding="utf-8")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}", encoding="utf-8")
    command = [str(SERVER), "-D", "-e", "-f", str(folder / "config")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            line = process.stderr.readline()
            assert "Server listening" in line, line
            yield Server(folder, port, process)
        finally:
            process.terminate()


def _refuse_without() -> None:
    missing = "" if SERVER else "sshd is not installed"
    missing = missing or ("" if shutil.which("ssh") else "ssh is not installed")
    if os.getuid() == 0 and not SEPARATION.is_dir():
        missing = missing or f"{SEPARATION} is missing"
    if missing and os.environ.get(REQUIRED):
        pytest.fail(missing)
    elif missing:
        pytest.skip(f"{missing}; run: make remote")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _descendants(process: int) -> list[int]:
    children = _proc(process, f"task/{process}/children").split()
    return [below for child in map(int, children) for below in (child, *_descendants(child))]


def _proc(process: int, name: str) -> str:
    """Read a file of a process in /proc; empty if the process has ended."""
    try:
        return Path(f"/proc/{process}/{name}").read_text(encoding="utf-8").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
