"""Serve the page: files that are in memory, so that no path of a request reaches the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from dermpack.serving.services import get_services

INDEX = "index.html"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}
OTHER_TYPE = "application/octet-stream"


class SiteRoute(Route):
    """A route that only files of the page match, so that other paths keep their 404 and 405."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = super().matches(scope)
        name = scope["path"].removeprefix("/") or INDEX
        return found if name in scope["app"].state.services.site else (Match.NONE, {})


def minimal_site() -> Mapping[str, bytes]:
    """Return a page that only says where the API is."""
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>dermpack serve</title>'
        "<p>Send a picture to <code>POST api/v1/predictions</code>. "
        "Research software, not a medical device: no answer is a diagnosis.</p></html>"
    )
    return {INDEX: page.encode()}


async def send_file(request: Request) -> Response:
    """Return a file of the page; its hash lets a browser keep it."""
    name = request.path_params["path"] or INDEX
    data = get_services(request).site[name]
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    suffix = name.rpartition(".")[2]
    return Response(data, headers=headers, media_type=MEDIA_TYPES.get(f".{suffix}", OTHER_TYPE))


def add_page(api: FastAPI) -> None:
    """Add the files of the page."""
    api.routes.append(SiteRoute("/{path:path}", send_file, methods=["GET"], include_in_schema=False))
