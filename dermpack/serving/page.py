"""Serve the page: files that are in memory, so that no path of a request reaches the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from dermpack.serving.services import ServicesDep

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
router = APIRouter(include_in_schema=False)


def minimal_site() -> Mapping[str, bytes]:
    """Return a page that only says where the API is."""
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>dermpack serve</title>'
        "<p>Send a picture to <code>POST api/v1/predictions</code>. "
        "Research software, not a medical device: no answer is a diagnosis.</p></html>"
    )
    return {INDEX: page.encode()}


@router.api_route("/{path:path}", methods=["GET", "HEAD"])
async def send_file(path: str, request: Request, services: ServicesDep) -> Response:
    """Return a file of the page; its hash lets a browser keep it."""
    data = services.site.get(path or INDEX)
    if data is None:
        raise HTTPException(404)
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    suffix = (path or INDEX).rpartition(".")[2]
    return Response(data, headers=headers, media_type=MEDIA_TYPES.get(f".{suffix}", OTHER_TYPE))


def add_page(api: FastAPI) -> None:
    """Add the page below every path that no other route has, so it comes last."""
    api.include_router(router)
