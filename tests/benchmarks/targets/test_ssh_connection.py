"""Running jobs through the remote script; a stand-in ssh starts it on this machine."""

from __future__ import annotations

import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.protocol.replies import WorkerFailedError, WorkerTimeoutError
from benchmarks.targets.ssh.ssh_target import (
    BLOCK_BYTES,
    BOOTSTRAP,
    REMOTE_SCRIPT,
    SCRIPT_BYTES,
    Connection,
    ConnectionLostError,
    connect,
    quote_python,
    read_address,
)
from dermpack.errors import escape_unprintable
from tests.support import ssh_workers
from tests.support.errors import assert_code, raises_code

JOB = {"patience_seconds": 30.0}
MODULE = "benchmarks.targets.ssh.ssh_target"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the remote machine runs Linux")


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the remote script creates its own."""
    return ssh_workers.install_ssh(tmp_path, monkeypatch)


def connecting(python: str = sys.executable) -> AbstractContextManager[Connection]:
    return connect(read_address("pi@raspberry"), python=python, identity=None, options=())


@pytest.fixture
def connection(remote: Path) -> Iterator[Connection]:
    assert not list(remote.iterdir())
    with connecting() as opened:
        yield opened


def run(connection: Connection, folder: Path, worker: str, *, patience_seconds: float = 30.0) -> Any:
    (folder / "worker.py").write_text(worker)
    connection.put(folder / "worker.py")
    return connection.run_job({"patience_seconds": patience_seconds})


@pytest.mark.parametrize(
    ("text", "destination", "port"),
    [
        ("pi@raspberry", "pi@raspberry", None),
        ("raspberry", "raspberry", None),  # ~/.ssh/config may know more of it
        ("pi@10.0.0.7:2222", "pi@10.0.0.7", 2222),
        ("pi@[fe80::1%eth0]:22", "pi@fe80::1%eth0", 22),
        ("some_user.x-1@pi-4.local:65535", "some_user.x-1@pi-4.local", 65535),
    ],
)
def test_an_address_is_a_user_a_host_and_a_port(text: str, destination: str, port: int | None) -> None:
    address = read_address(text)
    assert (address.destination, address.port, address.name) == (destination, port, f"ssh:{text}")


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "pi@", "-oProxyCommand=touch /tmp/x", "-l@host", "pi@-host", "pi@host:", "pi@host:0"),
        *("pi@host:65536", "pi@host:22x", "pi@ho st", "pi@host;reboot", "pi@$(reboot)", "`x`", "a\nb"),
        *("a\0b", "pi@host/..", "pi@[::1", "pi@host:2²", "ssh://pi@host", "pi@@host", "%h", "host\n"),
    ],
)
def test_what_a_shell_or_ssh_could_misread_is_not_an_address(text: str) -> None:
    with raises_code("invalid-option", escape_unprintable(f"ssh:{text}: "), "ssh:user@host") as caught:
        read_address(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("python", "quoted"),
    [
        ("python3", "python3"),
        ("/opt/my venv/bin/python", "'/opt/my venv/bin/python'"),
        ("~/venv/bin/python", "~/venv/bin/python"),
        ("~/my venv/bin/python", "~/'my venv/bin/python'"),
        ("python3; rm -rf x", "'python3; rm -rf x'"),
        ("$(reboot)", "'$(reboot)'"),
    ],
)
def test_the_interpreter_is_one_word_for_the_remote_shell(python: str, quoted: str) -> None:
    assert quote_python(python) == quoted


@pytest.mark.parametrize("python", ["", "-c", "--version", "python\nreboot", "py\0thon"])
def test_what_is_not_the_path_of_a_program_is_refused(python: str) -> None:
    with raises_code("invalid-option", "--python "), connecting(python):
        pass


def test_the_bootstrap_means_the_same_in_every_login_shell() -> None:
    """Within single quotes, csh interprets exclamation marks and fish interprets backslashes."""
    assert BOOTSTRAP.isascii() and BOOTSTRAP.isprintable()
    assert not set("!`\\") & set(BOOTSTRAP)
    assert shlex.split(BOOTSTRAP)[:3] == ["exec", "sh", "-c"]
    assert len(REMOTE_SCRIPT) < SCRIPT_BYTES / 2  # the rest is for the values


def test_several_jobs_run_in_one_private_folder(connection: Connection, remote: Path, tmp_path: Path) -> None:
    for _ in range(3):
        reply = run(connection, tmp_path, ssh_workers.OBEDIENT)
        assert reply["job"] == JOB
        assert Path(reply["folder"]).is_relative_to(remote)
        (folder,) = remote.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "worker.py").stat().st_mode) == 0o600


def test_nothing_is_left_after_the_connection(remote: Path, tmp_path: Path) -> None:
    with connecting() as connection:
        run(connection, tmp_path, ssh_workers.OBEDIENT)
        assert list(remote.iterdir())
    assert list(remote.iterdir()) == []


def test_a_folder_that_a_power_failure_left_is_removed_a_day_later(remote: Path) -> None:
    old, recent = remote / "dermpack-remote-old", remote / "dermpack-remote-recent"
    for folder in (old, recent):
        folder.mkdir()
    (old / "worker.py").touch()
    two_days_ago = time.time() - 48 * 3600
    os.utime(old, (two_days_ago, two_days_ago))
    with connecting():
        assert not old.exists()
    assert list(remote.iterdir()) == [recent]


@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 17])
def test_a_file_of_any_size_arrives_as_it_is(
    connection: Connection, remote: Path, tmp_path: Path, size: int
) -> None:
    data = os.urandom(size)
    (tmp_path / "model-0.tflite").write_bytes(data)
    connection.put(tmp_path / "model-0.tflite")
    run(connection, tmp_path, ssh_workers.OBEDIENT)
    (folder,) = remote.iterdir()
    assert (folder / "model-0.tflite").read_bytes() == data


@pytest.mark.parametrize(
    ("worker", "why"),
    [
        (ssh_workers.CRASHING, "SIGSEGV"),
        (ssh_workers.COMPLAINING, "ValueError: last words"),
        (ssh_workers.BABBLING, "JSON object"),
        (ssh_workers.MUTE, "JSON object"),
        (ssh_workers.FLOOD, "68157440 bytes"),
    ],
)
def test_a_worker_without_an_answer_fails_and_the_next_job_runs(
    connection: Connection, tmp_path: Path, worker: str, why: str
) -> None:
    with pytest.raises(WorkerFailedError) as caught:
        run(connection, tmp_path, worker)
    assert why in str(caught.value)
    assert run(connection, tmp_path, ssh_workers.OBEDIENT)


def test_a_worker_that_does_not_end_is_killed(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{MODULE}.SLACK_SECONDS", 0.5)
    monkeypatch.setattr(f"{MODULE}.ANSWER_SECONDS", 30.0)
    with pytest.raises(WorkerTimeoutError, match="no answer within 1 s"):
        run(connection, tmp_path, ssh_workers.ENDLESS, patience_seconds=0.0)


@pytest.mark.parametrize("number", [None, signal.SIGHUP, signal.SIGTERM])
def test_an_end_in_the_middle_kills_the_worker_and_all_that_it_started(
    remote: Path, tmp_path: Path, number: signal.Signals | None
) -> None:
    """None: ssh is killed, which closes stdin as a lost connection does."""
    os.mkfifo(tmp_path / "fifo")
    program = f"""
from tests.benchmarks.targets.test_ssh_connection import Path, connecting, run, ssh_workers
with connecting() as connection:
    run(connection, Path({str(tmp_path)!r}), ssh_workers.lingering(Path({str(tmp_path / "fifo")!r})))
"""
    reset = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # nohup makes the suite ignore it
    with subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.DEVNULL, preexec_fn=reset
    ) as process:
        lingering = ssh_workers.read_lingering(tmp_path / "fifo")
        assert lingering.folder.is_dir()
        if number is None:
            process.kill()
        else:
            os.kill(lingering.processes[0], number)
        process.wait(ssh_workers.PATIENCE_SECONDS)
    assert all(ssh_workers.ends(pid) for pid in lingering.processes)
    assert list(remote.iterdir()) == []


def test_a_connection_lost_in_the_middle_is_one_line(remote: Path, tmp_path: Path) -> None:
    cutting = f"import os; os.kill(int(open({str(remote.with_name('script'))!r}).read()), 9)"
    with pytest.raises(ConnectionLostError) as caught, connecting() as connection:
        run(connection, tmp_path, cutting)
    assert_code(caught.value, "connection-lost", "ssh:pi@raspberry: ")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_reported_in_the_words_of_the_machine(remote: Path, tmp_path: Path) -> None:
    with pytest.raises(ConnectionLostError) as caught, connecting() as connection:
        (folder,) = remote.iterdir()
        (folder / "worker.py").symlink_to("/dev/full")
        run(connection, tmp_path, ssh_workers.OBEDIENT)
    assert_code(caught.value, "connection-lost", "No space left on device")


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ("exec yes", "unexpected response"),
        ("head -c 100000 /dev/zero; sleep 9", "a line that is too long"),
        ('echo "$mark 0 5"', "unexpected response"),
        ('echo "$mark 0 five 0"', "unexpected response"),
        ('echo "$mark 0 -5 0"', "unexpected response"),
        ('echo "$mark 0 5 4097"', "too many bytes"),
        ('echo "$mark 0 5 99999999999999999999999999"', "unexpected response"),
        ('echo "$mark 0 5 0"; printf abc', "without a message"),
        ("sleep 9", "no response"),
        ("yes", "unexpected response"),
        ("yes >&2", "no response"),
        ("printf '\\033[2J\\033]0;x\\007\\n' >&2; exit 1", "\\x1b[2J"),
        ("while echo -n x; do sleep 0.01; done", "no response"),
    ],
)
def test_a_hostile_response_is_bounded_in_size_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply: str, why: str
) -> None:
    requests = "read -r file; read -r data; read -r run"
    script = f'{ssh_workers.TAKE_MARK}\necho "$mark 3 11"\n{requests}\n{reply}'
    ssh_workers.install_ssh(tmp_path, monkeypatch, script)
    for name in ("SLACK", "ANSWER", "LEAVING", "DYING"):
        monkeypatch.setattr(f"{MODULE}.{name}_SECONDS", 0.5)
    with pytest.raises(ConnectionLostError) as caught, connecting() as connection:
        connection.run_job({"patience_seconds": 0.0})
    assert_code(caught.value, "connection-lost", why)


@pytest.mark.parametrize("answer", ["[[[[", "NaN", '{"models": 1e999}', "\\377", "x"])
def test_an_answer_that_is_not_json_is_a_failure_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    requests = "read -r file; read -r data; read -r run"
    reply = f"printf '{answer}' >{tmp_path}/answer; echo \"$mark 0 $(wc -c <{tmp_path}/answer) 0\""
    script = (
        f'{ssh_workers.TAKE_MARK}\necho "$mark 3 11"\n{requests}\n{reply}\ncat {tmp_path}/answer; sleep 9'
    )
    ssh_workers.install_ssh(tmp_path, monkeypatch, script)
    for name in ("SLACK", "LEAVING", "DYING"):
        monkeypatch.setattr(f"{MODULE}.{name}_SECONDS", 0.5)
    with pytest.raises(WorkerFailedError, match="JSON object"), connecting() as connection:
        connection.run_job({"patience_seconds": 0.0})


def test_an_answer_without_end_breaks_the_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = "read -r file; read -r data; read -r run"
    reply = 'echo "$mark 0 20000000 0"; exec cat /dev/zero'
    ssh_workers.install_ssh(
        tmp_path, monkeypatch, f'{ssh_workers.TAKE_MARK}\necho "$mark 3 11"\n{requests}\n{reply}'
    )
    for name in ("SLACK", "SILENT", "LEAVING", "DYING"):
        monkeypatch.setattr(f"{MODULE}.{name}_SECONDS", 0.5)
    with pytest.raises(ConnectionLostError) as caught, connecting() as connection:
        with pytest.raises(WorkerFailedError):
            connection.run_job({"patience_seconds": 0.0})
        connection.run_job({"patience_seconds": 0.0})
    assert_code(caught.value, "connection-lost", "a line that is too long")


def test_a_machine_that_reads_too_slowly_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_slowly = "while dd bs=4096 count=1 status=none >/dev/null; do sleep 0.02; done"
    script = f'{ssh_workers.TAKE_MARK}\necho "$mark 3 11"\n{read_slowly}'
    ssh_workers.install_ssh(tmp_path, monkeypatch, script)
    for name in ("SILENT", "LEAVING", "DYING"):
        monkeypatch.setattr(f"{MODULE}.{name}_SECONDS", 0.3)
    monkeypatch.setattr(f"{MODULE}.SLOWEST_BYTES_PER_SECOND", 64 << 20)
    (tmp_path / "large").write_bytes(bytes(4 << 20))
    with pytest.raises(ConnectionLostError) as caught, connecting() as connection:
        connection.put(tmp_path / "large")
    assert_code(caught.value, "connection-lost", "too slowly")


def test_a_machine_that_reads_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f'{ssh_workers.TAKE_MARK}\necho "$mark 3 11"\nsleep 9'
    ssh_workers.install_ssh(tmp_path, monkeypatch, script)
    for name in ("SILENT", "LEAVING", "DYING"):
        monkeypatch.setattr(f"{MODULE}.{name}_SECONDS", 0.1)
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    with pytest.raises(ConnectionLostError) as caught, connecting() as connection:
        connection.put(tmp_path / "large")
    assert_code(caught.value, "connection-lost", "does not read its input")
