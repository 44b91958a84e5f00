"""Check every request before any code of a route runs, and add the security headers to every response.

The checks, in this order: the Host header (DNS rebinding), Fetch Metadata (requests that another site
forges), the rate of the address, the size of the body, and the time that it takes to arrive. A route gets a
body that is complete and within its limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil
from typing import Any

import anyio
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dermpack.serving.problems import RequestError, busy_error, problem_response
from dermpack.serving.rate_limit import SlidingWindow, group_address
from dermpack.serving.settings import ServerSettings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
SMALL_BODY_BYTES = 64 << 10  # of a route without a policy: JSON and forms
MAX_HEAD_BYTES = 16 << 10
BODY_SECONDS = 30.0  # for a whole body to arrive
DISCARD_SECONDS = 1.0  # to read a body that is refused
MAX_BODIES, MAX_BODIES_OF_ADDRESS = 32, 8  # that arrive or are worked on at the same time
CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePolicy:
    """Limits of the requests with a method and one of the paths, which are counted together."""

    method: str
    paths: tuple[str, ...]
    max_body_bytes: int = SMALL_BODY_BYTES
    most: int | None = None  # requests of one address within `seconds`; None: no limit
    seconds: float = 60.0


class Guard:
    """The outermost part of the application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: ServerSettings,
        policies: Sequence[RoutePolicy],
        body_seconds: float = BODY_SECONDS,
        show_error: Callable[[RequestError], Response] | None = None,
    ) -> None:
        self.app, self._settings, self._body_seconds = app, settings, body_seconds
        self._show_error = show_error  # to people who have sent a form; None: there are no forms
        self._hosts = frozenset(settings.allowed_hosts)
        self._policies = {(policy.method, path): policy for policy in policies for path in policy.paths}
        self._windows = dict[tuple[str, str], SlidingWindow]()
        for policy in policies:
            if policy.most:
                window = SlidingWindow(policy.most, policy.seconds)
                self._windows.update({(policy.method, path): window for path in policy.paths})
        # Behind a proxy, one address must not take every place with bodies that arrive slowly.
        self._most_of_address = MAX_BODIES_OF_ADDRESS if settings.is_public else MAX_BODIES
        self._bodies = Counter[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it with a problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with_headers = _adding_headers(send, is_public=self._settings.is_public)
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            self._check_origin(scope["method"], headers)
            _check_head(scope)
            self._check_rate(scope)
            if not self._check_size(scope, headers):
                await self.app(scope, receive, with_headers)
                return
            with self._place_for_body(_client(scope)):
                body = await self._read_body(receive)
                await self.app(scope, _replaying(body, receive), with_headers)
        except RequestError as error:
            show = self._show_error if "text/html" in headers.get("accept", "") else None
            response = (show or problem_response)(error)
            if "content-length" in headers or "transfer-encoding" in headers:
                # Without this, the server would wait for the rest of the body.
                response.headers["Connection"] = "close"
                if error.status is not HTTPStatus.REQUEST_TIMEOUT and "expect" not in headers:
                    await _discard_body(receive)
            await response(scope, receive, with_headers)

    @contextmanager
    def _place_for_body(self, address: str) -> Iterator[None]:
        """Take one of the places for bodies in memory, or raise RequestError."""
        if self._bodies.total() >= MAX_BODIES or self._bodies[address] >= self._most_of_address:
            raise busy_error()
        self._bodies[address] += 1
        try:
            yield
        finally:
            self._bodies[address] -= 1
            self._bodies += Counter()  # drops addresses without a body

    def _check_host(self, headers: Headers) -> None:
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() not in self._hosts or len(headers.getlist("host")) != 1:
            what, hint = "not a name of this server", "Use its address, or restart it with --public-url."
            status = HTTPStatus.MISDIRECTED_REQUEST
            raise RequestError("Host", what, hint, code="host-not-allowed", status=status)

    def _check_origin(self, method: str, headers: Headers) -> None:
        """Refuse what a page of another site sends with the cookies or from the network of a person."""
        if method in SAFE_METHODS:
            return
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            is_own = site in ("same-origin", "none")
        elif origin is not None:  # a browser without Fetch Metadata
            is_own = origin.partition("://")[2].lower() == headers.get("host", "").lower()
        else:
            is_own = True  # not a browser
        if not is_own:
            what, hint = "sent by a page of another site", "Send it from the page of this server."
            status = HTTPStatus.FORBIDDEN
            raise RequestError("Sec-Fetch-Site", what, hint, code="cross-site-request", status=status)

    def _check_rate(self, scope: Scope) -> None:
        window = self._windows.get((scope["method"], scope["path"]))
        wait_s = window.add(_client(scope)) if window else 0.0
        if wait_s:
            assert window is not None
            raise RequestError(
                "client",
                f"more than {window.most} requests in {window.seconds:g} s",
                "Try again later.",
                code="rate-limited",
                status=HTTPStatus.TOO_MANY_REQUESTS,
                headers={"Retry-After": str(ceil(wait_s))},
            )

    def _check_size(self, scope: Scope, headers: Headers) -> int:
        """Return the size of the body, which the headers declare."""
        if "transfer-encoding" in headers:
            what, hint = "the size of the body is unknown", "Send the header Content-Length."
            status = HTTPStatus.LENGTH_REQUIRED
            raise RequestError("body", what, hint, code="length-required", status=status)
        policy = self._policies.get((scope["method"], scope["path"]))
        most = policy.max_body_bytes if policy else SMALL_BODY_BYTES
        size_bytes = int(headers.get("content-length") or 0)  # digits: the parser of HTTP has checked it
        if size_bytes > most:
            what, hint = f"has {size_bytes} bytes, more than {most}", "Send a smaller one."
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            raise RequestError("body", what, hint, code="request-too-large", status=status)
        return size_bytes

    async def _read_body(self, receive: Receive) -> bytes:
        parts, has_more = list[bytes](), True
        with anyio.move_on_after(self._body_seconds):
            while has_more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    break
                parts.append(message.get("body", b""))
                has_more = message.get("more_body", False)
        if has_more:
            what, hint = f"did not arrive within {self._body_seconds:g} s", "Send it faster."
            status = HTTPStatus.REQUEST_TIMEOUT
            raise RequestError("body", what, hint, code="request-timeout", status=status)
        return b"".join(parts)


def _check_head(scope: Scope) -> None:
    """Refuse a head that is too long, and characters that databases and logs treat in their own way."""
    size_bytes = sum(len(name) + len(value) for name, value in scope["headers"]) + len(scope["query_string"])
    if size_bytes > MAX_HEAD_BYTES:
        what, hint = f"has {size_bytes} bytes, more than {MAX_HEAD_BYTES}", "Send fewer or shorter headers."
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise RequestError("headers", what, hint, code="request-too-large", status=status)
    if not scope["path"].isprintable():
        what, hint = "contains a character that no path has", "Use a path of /openapi.json."
        raise RequestError("path", what, hint, code="not-found", status=HTTPStatus.NOT_FOUND)


async def _discard_body(receive: Receive) -> None:
    """Read what a client is sending: it reads the response only after that."""
    with anyio.move_on_after(DISCARD_SECONDS):
        while (await receive()).get("more_body", False):
            pass


def _client(scope: Scope) -> str:
    """Return the address whose requests are counted."""
    return group_address(scope["client"][0]) if scope.get("client") else ""


def _replaying(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that returns the body, and then the events of the connection."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _adding_headers(send: Send, *, is_public: bool) -> Send:
    added: Mapping[str, str] = SECURITY_HEADERS
    if is_public:
        added = {**added, "Strict-Transport-Security": "max-age=31536000"}

    async def send_with_headers(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
