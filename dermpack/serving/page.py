"""Serve the page: files that are in memory, so that no path of a request reaches the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

from dermpack.bundle.bundle_record import BundleFormat
from dermpack.bundle.read_bundle import is_bundle, read_bundle
from dermpack.bundle.web.layout import SITE_FILE, seal_site
from dermpack.bundle.web.site import AnsweredBy, site_files
from dermpack.errors import InputError
from dermpack.serving.services import get_services
from dermpack.storage.files import format_json, parse_json

INDEX = "index.html"
# Why a page cannot answer in the browser.
ANSWERED_HERE = ("missing-web-runtime", "web-runtime-mismatch", "web-type-unsupported")
LINK_PLACE = b"</main>"
COLLECTION_LINK = (
    b'<p class="card">This server also collects pictures, with consent, to make models better: '
    b'<a href="submit">give a picture</a>.</p>\n'
)
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".gz": "application/gzip",  # without Content-Encoding: the page unpacks it
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/plain; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
OTHER_TYPE = "application/octet-stream"


class SiteRoute(Route):
    """A route that only files of the page match, so that other paths keep their 404 and 405."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = super().matches(scope)
        name = scope["path"].removeprefix("/") or INDEX
        return found if name in scope["app"].state.services.site else (Match.NONE, {})


def read_site(model: Path, *, has_collection: bool) -> Mapping[str, bytes]:
    """Return the files of the page of an export or a bundle.

    The page answers in the browser; without the runtime for that, or for a model that it cannot run, the page
    asks the server.
    """
    place = AnsweredBy.BROWSER
    if has_collection and is_bundle(model) and read_bundle(model).bundle.format is BundleFormat.WEB:
        # Its scripts may be of anyone, and would act for reviewers who have signed in.
        place = AnsweredBy.SERVER
    try:
        files = site_files(model, answered_by=place)
    except InputError as error:
        if error.code not in ANSWERED_HERE:
            raise
        files = site_files(model, answered_by=AnsweredBy.SERVER)
    # A worker that keeps the page for use without a network would answer 404 for every other route.
    settings = {**parse_json(files[SITE_FILE]), "offline": False}
    files = {**files, SITE_FILE: format_json(settings).encode()}
    if has_collection:
        files[INDEX] = files[INDEX].replace(LINK_PLACE, COLLECTION_LINK + LINK_PLACE, 1)
    return seal_site(files)


def answered_by(site: Mapping[str, bytes]) -> AnsweredBy:
    """Return where the page answers: a page that answers in the browser sends no picture."""
    return AnsweredBy(parse_json(site[SITE_FILE])["answers"])


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
