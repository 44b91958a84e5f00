"""A real server on loopback, in a thread of the test or as a process, and raw HTTP to send it anything."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

from PIL import Image

from dermpack.serving.app import make_app
from dermpack.serving.guard import BODY_SECONDS
from dermpack.serving.page import read_site
from dermpack.serving.predictor import PredictionService
from dermpack.serving.running import bind, make_server
from dermpack.serving.serve import open_variant, opened_model
from dermpack.serving.services import Services
from dermpack.serving.settings import ServerSettings
from tests.support.colour_model import COLOURS

TIMEOUT_S = 30.0  # of a test that would hang


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server has answered."""

    status: int
    headers: Mapping[str, str]  # with lower-case names
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        """The status and the code of a problem."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.json["status"] == self.status
        return self.status, self.json["code"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveServer:
    """A running server."""

    port: int
    services: Services
    url: str = field(default="")

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        with closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Reply(status=response.status, headers=named, body=response.read())

    def send_raw(self, data: bytes) -> bytes:
        """Send bytes that need not be HTTP, and return all that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as connection:
            connection.sendall(data)
            parts = []
            while part := connection.recv(1 << 16):
                parts.append(part)
            return b"".join(parts)


@contextmanager
def live_server(
    export: Path,
    settings: ServerSettings | None = None,
    *,
    lanes: int = 1,
    body_seconds: float = BODY_SECONDS,
) -> Iterator[LiveServer]:
    """Yield a server of an export that listens on a free port."""
    settings = settings or ServerSettings(port=0)
    variant, ready = open_variant(export), Event()
    with ExitStack() as stack:
        listener = stack.enter_context(closing(bind(settings)))
        collection = None
        if settings.collection is not None:
            from dermpack.serving.collection.store import open_collection

            collection = stack.enter_context(open_collection(settings.collection, variant.contract))
        predictor = stack.enter_context(PredictionService(opened_model(variant), lanes=lanes))
        services = Services(
            settings=settings,
            predictor=predictor,
            contract=variant.contract_bytes,
            site=read_site(export, has_collection=collection is not None),
            collection=collection,
        )
        server = make_server(make_app(services, body_seconds=body_seconds), settings, on_start=ready.set)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        port = listener.getsockname()[1]
        thread.start()
        try:
            assert ready.wait(TIMEOUT_S)
            yield LiveServer(port=port, services=services, url=f"http://127.0.0.1:{port}/")
        finally:
            server.should_exit = True
            thread.join()


@cache
def picture(label: str = "mel", form: str = "PNG", size: tuple[int, int] = (48, 40)) -> bytes:
    """Return a picture file of one colour, which the colour model labels so."""
    file = BytesIO()
    Image.new("RGB", size, COLOURS[label]).save(file, form)
    return file.getvalue()


@contextmanager
def started_server(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Yield the process of `dermpack serve` with these arguments, and its port."""
    command = [sys.executable, "-m", "dermpack", "serve", *arguments, "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, b"}\n")
        url = json.loads(b"".join(lines) + b"}")["url"]
        try:
            yield process, int(url.rpartition(":")[2].strip("/"))
        finally:
            process.kill()
