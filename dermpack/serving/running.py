"""Run the application with uvicorn on a socket that is bound first, and stop it gracefully."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from dermpack.errors import InputError
from dermpack.serving.guard import MAX_HEAD_BYTES
from dermpack.serving.problems import RequestError, problem_response
from dermpack.serving.settings import ServerSettings

BACKLOG = 128
HEAD_SECONDS = 10.0  # for the request line and the headers
STALL_SECONDS = 60.0  # in which a client reads nothing of a response
KEEP_ALIVE_S = 15
GRACE_S = 20  # for requests that are answered while the server stops
MAX_CONNECTIONS = 512  # descriptors are limited, often to 1,024
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LimitedProtocol(H11Protocol):
    """HTTP/1.1 with a limit of connections, time limits for heads and for stalls, and errors as problems."""

    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > MAX_CONNECTIONS:
            transport.abort()  # a response would wait for a client that may never read it
            return
        # uvicorn limits the time between requests, but not the time before the first one.
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:  # the head is complete
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        elif self._head_timer is None and self.conn.trailing_data[0]:
            # The first byte of another request ends uvicorn's limit of the time between requests.
            self._start_head_timer()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size() + 1)

    def _watch_reader(self, former_bytes: int) -> None:
        """Close the connection if the client has read nothing since the last call."""
        left_bytes = self.transport.get_write_buffer_size()
        if left_bytes >= former_bytes:
            self.transport.abort()
        else:
            self._stall_timer = self.loop.call_later(STALL_SECONDS, self._watch_reader, left_bytes)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer is not None:
            self._stall_timer.cancel()

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the signature of uvicorn
        """Answer what is not HTTP, or has a head that is too long."""
        what, hint = "not a valid HTTP request", "Send HTTP/1.1 with a head of at most 16 KiB."
        status = HTTPStatus.BAD_REQUEST
        refused = problem_response(RequestError("request", what, hint, code="invalid-request", status=status))
        headers = [*refused.raw_headers, (b"connection", b"close")]
        events: tuple[h11.Event, ...] = (
            h11.Response(status_code=refused.status_code, headers=headers),
            h11.Data(data=bytes(refused.body)),
            h11.EndOfMessage(),
        )
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def bind(settings: ServerSettings) -> socket.socket:
    """Return a socket that is bound to the address of the settings, or raise InputError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sets TCP_NODELAY only where the protocol is given: without it, each answer takes 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host.strip("[]"), settings.port))
        listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        listener.close()
        where, what = f"{settings.host}:{settings.port}", "cannot bind to this address"
        reason = getattr(error, "strerror", None) or str(error)
        hint = "Choose another --port, or stop the program that uses it."
        raise InputError(where, f"{what} ({reason})", hint, code="address-not-available") from error
    return listener


def local_url(settings: ServerSettings, listener: socket.socket) -> str:
    """Return the address of the page on this machine."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}/"


def make_server(app: ASGIApp, settings: ServerSettings, *, on_start: Callable[[], None]) -> uvicorn.Server:
    """Return the server; `run(sockets=[listener])` answers until SIGINT, SIGTERM or `should_exit`.

    It finishes the requests that it is working on. `on_start` is called when it accepts connections.
    """
    options: dict[str, Any] = {
        "http": LimitedProtocol,
        "loop": "asyncio",
        "lifespan": "off",
        "ws": "none",
        "access_log": False,  # addresses of people are not stored
        "log_level": "warning",
        "log_config": None,  # warnings and tracebacks go to stderr, as those of every other library
        "server_header": False,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": GRACE_S,
        "h11_max_incomplete_event_size": MAX_HEAD_BYTES,
        # Without a proxy, a client could choose its own address and pass every limit of rate.
        "proxy_headers": settings.is_public,
        "forwarded_allow_ips": list(settings.proxies),
    }
    return _Server(uvicorn.Config(app, **options), on_start)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal; uvicorn would raise it again after the stop, and change the exit code."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {number: signal.signal(number, self.handle_exit) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()
