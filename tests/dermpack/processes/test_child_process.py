"""A child process answers in frames, and however it ends, its parent gets an error that says how."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dermpack.processes.child_process import ChildEndedError, ChildProcess, ChildTimeoutError, describe_exit

WORKER = "tests.support.child_workers"


def test_frames_of_any_content_and_length_come_back() -> None:
    frames = (b"", b"\0\n", b"x" * 3_000_000)
    with ChildProcess(WORKER, "echo") as child:
        for frame in frames:
            child.send(frame)
            assert child.receive() == frame


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("crash", "SIGSEGV"),
        ("killed", "SIGKILL, possibly out of memory"),
        ("bug", "exit code 1: RuntimeError: out of ideas"),
        ("half", "exit code 0"),
        ("huge", "too large"),
    ],
)
def test_an_end_is_described(way: str, expected: str, tmp_path: Path) -> None:
    with (
        ChildProcess(WORKER, way, log=tmp_path / "log") as child,
        pytest.raises(ChildEndedError, match=expected),
    ):
        child.receive()


def test_memory_is_limited(tmp_path: Path) -> None:
    with (
        ChildProcess(WORKER, "memory", memory_bytes=2 << 30, log=tmp_path / "log") as child,
        pytest.raises(ChildEndedError, match="exit code 1: MemoryError"),
    ):
        child.receive()


def test_a_child_that_takes_too_long_is_killed() -> None:
    with ChildProcess(WORKER, "sleep") as child:
        with pytest.raises(ChildTimeoutError), child.time_limit(0.05):
            child.receive()
        assert not child.is_running


def test_no_child_outlives_its_block() -> None:
    with ChildProcess(WORKER, "sleep") as child:
        pid = child.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_child_ends_by_itself_when_its_input_is_closed() -> None:
    child = ChildProcess(WORKER, "echo")
    child.close(grace_s=30)
    assert child.wait() == 0


def test_a_module_in_the_working_directory_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "struct.py").write_text("raise SystemExit(7)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with ChildProcess(WORKER, "echo") as child:
        child.send(b"frame")
        assert child.receive() == b"frame"


def test_exit_codes_have_one_wording() -> None:
    assert [describe_exit(code) for code in (3, -11, -9)] == [
        *("exit code 3", "SIGSEGV", "SIGKILL, possibly out of memory"),
    ]
