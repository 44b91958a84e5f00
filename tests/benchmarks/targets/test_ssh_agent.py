"""What holds the folder on the other side: here it runs without ssh."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.protocol.jobs import WorkerDied
from benchmarks.targets.ssh.connection import BOOTSTRAP, KEEPER, Connection
from benchmarks.targets.ssh.frame_stream import Stream, StreamBrokenError
from tests.support import ssh_workers

JOB = {"patience_seconds": 30.0}
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the other side is Linux")


@dataclass(frozen=True)
class Kept:
    """A keeper and the connection to it."""

    process: subprocess.Popen[bytes]
    connection: Connection

    def run(self, worker: str, *, patience_seconds: float = 30.0) -> object:
        self.put("worker.py", worker)
        return self.connection.carry({"patience_seconds": patience_seconds})

    def put(self, name: str, text: str) -> None:
        self.connection.stream.say({"do": "file", "name": name}, text.encode())


@contextmanager
def keeping(folder: Path) -> Iterator[Kept]:
    """A keeper whose folder stands below the folder."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", BOOTSTRAP],
        stdin=pipe,
        stdout=pipe,
        env={**os.environ, "TMPDIR": str(folder)},
        bufsize=0,
    )
    assert process.stdin and process.stdout
    os.set_blocking(process.stdin.fileno(), False)
    stream = Stream(to=process.stdin.fileno(), of=process.stdout.fileno())
    source = KEEPER.read_bytes() + b'\nmain("hello")\n'
    try:
        stream.say_raw(f"{len(source)}\n".encode() + source)
        frame, _ = stream.answer(seconds=30.0, most_bytes=0)
        assert frame["greeting"] == "hello"
        yield Kept(process, Connection(stream=stream, removed=frame["removed"]))
    finally:
        process.stdin.close()
        process.wait(30.0)
        process.stdout.close()


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with keeping(tmp_path) as made:
        yield made


def test_a_job_is_run_and_its_answer_comes_back(kept: Kept, tmp_path: Path) -> None:
    said = kept.run(ssh_workers.OBEDIENT)
    assert isinstance(said, dict)
    assert said["job"] == JOB
    assert Path(said["folder"]).is_relative_to(tmp_path)


def test_the_folder_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with keeping(tmp_path) as kept:
        kept.run(ssh_workers.OBEDIENT)
        (folder,) = tmp_path.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / "worker.py").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("worker", "why"),
    [
        (ssh_workers.CRASHING, "SIGSEGV"),
        (ssh_workers.COMPLAINING, "ValueError: last words"),
        (ssh_workers.BABBLING, "JSON object"),
        (ssh_workers.MUTE, "exit code 0"),
        (ssh_workers.FLOOD, "68157440 bytes"),
    ],
)
def test_a_worker_without_an_answer_is_told_and_the_keeper_goes_on(kept: Kept, worker: str, why: str) -> None:
    with pytest.raises(WorkerDied) as caught:
        kept.run(worker)
    assert why in caught.value.why
    assert kept.run(ssh_workers.OBEDIENT)


def test_a_worker_that_does_not_end_is_ended(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.targets.ssh.connection.SLACK_SECONDS", 0.5)
    with pytest.raises(WorkerDied, match="SIGKILL"):
        kept.run(ssh_workers.ENDLESS, patience_seconds=0.0)


@pytest.mark.parametrize("number", [None, signal.SIGHUP, signal.SIGTERM])
def test_an_end_in_the_middle_ends_the_worker_and_all_that_it_started(
    tmp_path: Path, number: signal.Signals | None
) -> None:
    """None: stdin ends, as it does when the connection is killed."""
    os.mkfifo(tmp_path / "fifo")
    with keeping(tmp_path) as kept:
        kept.put("worker.py", ssh_workers.lingering(tmp_path / "fifo"))
        kept.put("job.json", "{}")
        kept.connection.stream.say({"do": "run", "seconds": 600, "most_bytes": 1})
        lingering = ssh_workers.told(tmp_path / "fifo")
        if number is not None:
            kept.process.send_signal(number)
            kept.process.wait(30.0)
    assert all(ssh_workers.ends(process) for process in lingering.processes)
    assert not lingering.folder.exists()


def test_silence_ends_the_keeper(tmp_path: Path) -> None:
    source = KEEPER.read_text(encoding="utf-8").replace("SILENCE_SECONDS = 60.0", "SILENCE_SECONDS = 0.1")
    program = source + '\nmain("hello")\n'
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, env=environment) as process:
        assert process.wait(30.0) == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_keeper_left_is_removed_by_the_next_one_and_its_worker_is_dead(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with keeping(tmp_path) as kept:
        kept.put("worker.py", ssh_workers.lingering(tmp_path / "fifo"))
        kept.put("job.json", "{}")
        kept.connection.stream.say({"do": "run", "seconds": 600, "most_bytes": 1})
        lingering = ssh_workers.told(tmp_path / "fifo")
        kept.process.kill()
        kept.process.wait(30.0)
        _, worker, child = lingering.processes
        assert ssh_workers.ends(worker)
        os.kill(child, signal.SIGKILL)  # only what the worker itself started outlives it
        assert lingering.folder.exists()
    with keeping(tmp_path) as kept:
        assert kept.connection.removed == 1
        assert not lingering.folder.exists()


def test_the_folder_of_a_living_keeper_stays(tmp_path: Path) -> None:
    with keeping(tmp_path) as first, keeping(tmp_path) as second:
        assert second.connection.removed == 0
        assert first.run(ssh_workers.OBEDIENT)


@pytest.mark.parametrize("name", ["../escape", "/tmp/escape", ".alive", "", "a/b"])
def test_a_file_has_a_plain_name(kept: Kept, name: str, tmp_path: Path) -> None:
    with pytest.raises(StreamBrokenError, match="ValueError: "):
        kept.put(name, "x")
        kept.connection.carry(JOB)
    assert not (tmp_path / "escape").exists()


def test_a_file_that_cannot_be_written_there_is_told(kept: Kept, tmp_path: Path) -> None:
    (folder,) = tmp_path.iterdir()
    (folder / "worker.py").mkdir()
    with pytest.raises(StreamBrokenError, match="IsADirectoryError"):
        kept.put("worker.py", "x" * (1 << 20))
        kept.connection.carry(JOB)


def test_the_keeper_is_written_for_python_3_9() -> None:
    ast.parse(KEEPER.read_text(encoding="utf-8"), feature_version=(3, 9))


def test_the_bootstrap_is_one_line_for_every_shell() -> None:
    assert BOOTSTRAP.isascii() and BOOTSTRAP.isprintable()
    assert not set("'!`$\\") & set(BOOTSTRAP)
