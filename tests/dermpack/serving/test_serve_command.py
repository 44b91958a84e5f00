"""`dermpack serve` as a process: how it starts, what it prints, and how it stops."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.support.bundle_exports import write_export, write_exports
from tests.support.live_server import picture, started_server

PREDICTIONS = "/api/v1/predictions"


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("served") / "export")


def test_a_request_in_progress_is_answered_before_the_server_stops(export: Path) -> None:
    data = picture("mel")
    head = f"POST {PREDICTIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n"
    with (
        started_server(str(export)) as (process, port),
        socket.create_connection(("127.0.0.1", port), 30) as client,
    ):
        client.sendall(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert b"100" in client.recv(1 << 10)  # the server has begun to read
        process.send_signal(signal.SIGTERM)
        client.sendall(data)
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["pictures"][0]["label"] == "mel"
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_no_process_outlives_a_killed_server(export: Path) -> None:
    with started_server(str(export)) as (process, _):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert children
        descriptors = [os.pidfd_open(int(child)) for child in children]
        process.kill()
        for descriptor in descriptors:
            assert select.select([descriptor], [], [], 30)[0]  # readable when the process has ended
            os.close(descriptor)


def test_a_port_in_use_is_one_line(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main(["serve", str(export), "--port", str(other.getsockname()[1])]) == 1
    assert "error[address-not-available]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--host", "0.0.0.0"], "unsafe-address"),
        (["--public-url", "http://skin.example.org"], "invalid-option"),
    ],
)
def test_a_server_without_encryption_does_not_start(
    export: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: str
) -> None:
    assert main(["serve", str(export), *arguments]) == 1
    assert f"error[{code}]" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", str(tmp_path / "missing"), "--port", "0"]) == 1
    assert main(["serve", str(write_exports(tmp_path / "several")), "--port", "0"]) == 1
    assert capsys.readouterr().err.count("error[model-not-found]") == 2


@pytest.mark.parametrize("arguments", [["--collect"], ["--data", "data"], ["--keep-days", "3"]])
def test_options_of_a_collection_need_a_collection(export: Path, arguments: list[str]) -> None:
    assert main(["serve", str(export), *arguments]) == 2
