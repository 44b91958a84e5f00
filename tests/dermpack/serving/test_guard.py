"""The guard refuses a request before any route runs, with a problem that has its code."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from dermpack.errors import InputError
from dermpack.serving import running
from dermpack.serving.app import make_app
from dermpack.serving.collection.people import TOKEN_PREFIX, hash_secret, is_secret, new_token
from dermpack.serving.guard import SECURITY_HEADERS
from dermpack.serving.rate_limit import SlidingWindow, group_address
from dermpack.serving.running import HEAD_SECONDS, MAX_CONNECTIONS
from dermpack.serving.settings import PICTURE_BYTES, ServerSettings
from tests.support.bundle_exports import write_export
from tests.support.live_server import LiveServer, live_server, picture

PREDICTIONS = "/api/v1/predictions"
PUBLIC = ServerSettings(port=0, public_url="https://skin.example.org", predictions_per_minute=3)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_export(tmp_path_factory.mktemp("server") / "export")


@pytest.fixture(scope="module")
def server(export: Path) -> Iterator[LiveServer]:
    with live_server(export, body_seconds=0.3) as running:
        yield running


def test_every_response_has_the_security_headers(server: LiveServer) -> None:
    for reply in (
        server.ask("GET", "/"),
        server.ask("GET", "/nothing"),
        server.ask("POST", PREDICTIONS, b"no picture"),
        server.ask("GET", "/", headers={"Host": "evil.example"}),
    ):
        missing = {name for name in SECURITY_HEADERS if name.lower() not in reply.headers}
        assert missing == set()
        assert "server" not in reply.headers


def test_a_public_server_limits_each_client_of_its_proxy(export: Path) -> None:
    with live_server(export, PUBLIC) as server:

        def ask(client: str) -> int:
            headers = {"Host": "skin.example.org", "X-Forwarded-For": client}
            return server.ask("POST", PREDICTIONS, picture(), headers).status

        assert [ask("203.0.113.7") for _ in range(4)] == [200, 200, 200, 429]
        assert ask("203.0.113.8") == 200
        assert "strict-transport-security" in server.ask("GET", "/").headers


def test_a_client_of_a_local_server_cannot_choose_its_address(export: Path) -> None:
    settings = ServerSettings(port=0, predictions_per_minute=1)
    with live_server(export, settings) as server:
        replies = [
            server.ask("POST", PREDICTIONS, picture(), {"X-Forwarded-For": f"203.0.113.{number}"})
            for number in (1, 2)
        ]
        assert replies[1].refusal == (429, "rate-limited")
        assert 0 < int(replies[1].headers["retry-after"]) <= 60


def test_a_body_that_stops_is_refused_and_others_are_answered(server: LiveServer) -> None:
    head = f"POST {PREDICTIONS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(8)]
    for connection in slow:
        connection.sendall(head.encode() + b"x")
    assert server.ask("POST", PREDICTIONS, picture()).status == 200
    for connection in slow:
        with connection:
            assert b"408 Request Timeout" in connection.recv(1 << 16)


def test_each_head_of_a_connection_has_a_time_limit(
    server: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "HEAD_SECONDS", 0.3)
    part = b"GET /hea"
    assert server.send_raw(part) == b""
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        connection.sock.sendall(part)
        assert connection.sock.recv(1) == b""


@pytest.mark.slow
def test_idle_connections_are_closed_and_the_surplus_at_once(server: LiveServer) -> None:
    with ExitStack() as stack:
        idle = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            for _ in range(MAX_CONNECTIONS + 1)
        ]
        idle[-1].settimeout(HEAD_SECONDS / 2)
        assert idle[-1].recv(1) == b""
        idle[0].sendall(b"GET / HTTP/1.1\r\n")
        assert idle[0].recv(1) == b""  # after HEAD_SECONDS
    assert server.ask("GET", "/healthz").status == 200


def test_a_client_that_sends_a_body_above_the_limit_can_read_why(server: LiveServer) -> None:
    reply = server.ask("POST", PREDICTIONS, bytes(PICTURE_BYTES + 1))
    assert reply.refusal == (413, "request-too-large")
    assert reply.headers["connection"] == "close"


def test_a_bug_is_a_problem_without_detail_and_its_traceback_reaches_the_log(server: LiveServer) -> None:
    sent = list[Any]()
    app = make_app(replace(server.services, site=BrokenSite({"index.html": b""})))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    with pytest.raises(RuntimeError):  # uvicorn logs what leaves the application
        asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 500
    assert json.loads(sent[1]["body"])["code"] == "internal-error"
    assert b"secret" not in sent[1]["body"]
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]


class BrokenSite(dict[str, bytes]):
    """The files of a page that cannot be read."""

    def __getitem__(self, name: str) -> bytes:
        raise RuntimeError("a secret")


def test_a_client_that_does_not_read_loses_its_connection(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "STALL_SECONDS", 0.1)
    size = 64 << 20  # more than the buffers of the system
    with live_server(export) as server:
        site = server.services.site
        assert isinstance(site, dict)
        site["large.bin"] = bytes(size)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(b"GET /large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
            with pytest.raises(ConnectionError):  # and not TimeoutError
                connection.sendall(bytes(size))


def test_the_window_slides() -> None:
    now = [0.0]
    window = SlidingWindow(2, 60.0, clock=lambda: now[0])
    assert [window.add("a"), window.add("a"), window.add("b")] == [0, 0, 0]
    now[0] = 45.0
    assert window.add("a") == 15.0
    now[0] = 60.0
    assert window.add("a") == 0.0


def test_the_addresses_of_a_home_count_as_one() -> None:
    assert group_address("2001:db8::1") == group_address("2001:db8::ffff") == "2001:db8::/64"
    assert group_address("203.0.113.7") == "203.0.113.7"


def test_a_token_is_stored_as_its_hash() -> None:
    token = new_token()
    assert token.startswith(TOKEN_PREFIX)
    assert is_secret(token, hash_secret(token))
    assert not is_secret(token[:-1], hash_secret(token))
    assert not is_secret("x" * 1000, hash_secret("x" * 1000))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"host": "0.0.0.0"}, "unsafe-address"),
        ({"host": "skin.example.org"}, "unsafe-address"),
        ({"public_url": "http://skin.example.org"}, "invalid-option"),
        ({"public_url": "https://"}, "invalid-option"),
        ({"public_url": "https://user@skin.example.org"}, "invalid-option"),
        ({"public_url": "https://example.org/skin"}, "invalid-option"),
    ],
)
def test_an_address_without_encryption_is_refused(options: dict[str, str], code: str) -> None:
    with pytest.raises(InputError) as refused:
        ServerSettings(**options)  # type: ignore[arg-type]
    assert refused.value.code == code
