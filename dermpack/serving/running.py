"""Run the application with uvicorn on a socket that is bound first, and stop it gracefully."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from dermpack.errors import InputError
from dermpack.serving.settings import ServerSettings

BACKLOG = 128
HEAD_SECONDS = 10.0  # for the first request line and headers of a connection
MAX_HEAD_BYTES = 16 << 10
KEEP_ALIVE_S = 15
GRACE_S = 20  # for requests that are answered while the server stops
MAX_CONNECTIONS = 256
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class PromptProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose first request does not arrive in time."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn limits the time between requests, but not the time before the first one.
        self.loop.call_later(HEAD_SECONDS, self._close_without_request)

    def _close_without_request(self) -> None:
        if cast(object, self.cycle) is None and not self.transport.is_closing():
            self.transport.close()


def bind(settings: ServerSettings) -> socket.socket:
    """Return a socket that is bound to the address of the settings, or raise InputError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
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


def run_server(
    app: ASGIApp, settings: ServerSettings, listener: socket.socket, *, started: Callable[[], None]
) -> None:
    """Answer requests until SIGINT or SIGTERM; requests in progress are finished first."""
    _Server(_configure(app, settings), started).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at a signal; uvicorn would raise it again after it has stopped, which is no success."""
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
        self._announce()


def _configure(app: ASGIApp, settings: ServerSettings) -> uvicorn.Config:
    options: dict[str, Any] = {
        "http": PromptProtocol,
        "loop": "asyncio",
        "lifespan": "off",
        "ws": "none",
        "access_log": False,  # addresses of people are not stored
        "log_level": "warning",
        "server_header": False,
        "limit_concurrency": MAX_CONNECTIONS,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": GRACE_S,
        "h11_max_incomplete_event_size": MAX_HEAD_BYTES,
        # Without a proxy, a client could choose its own address and pass every limit of rate.
        "proxy_headers": settings.is_public,
        "forwarded_allow_ips": list(settings.proxies),
    }
    return uvicorn.Config(app, **options)
