"""Render the pages of a collection, and show errors as pages.

A page shows what the API answers about an error, with another hint where that one is for those who run the
server or write a program.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from dermpack.errors import DermpackError, escape_unprintable
from dermpack.reporting.page import render_template
from dermpack.serving.collection.people import Identity
from dermpack.serving.collection.routes import SIGN_IN_PAGE
from dermpack.serving.predictor import NOTICE
from dermpack.serving.problems import problem_response

TEMPLATES = Path(__file__).parent / "templates"
REVIEW_PAGE, HOME_LINK = "/review", "./"
OTHER_PICTURE = "Choose a photograph as JPEG, PNG, WebP, GIF or BMP."
SMALLER_PICTURE = "Choose a smaller picture."
WHOLE_PICTURE = "Choose another picture, or save this one again."
# By code, where the hint of the error names an option, a command or a header.
PAGE_HINTS = {
    "consent-required": "Read the text below, and agree to it.",
    "host-not-allowed": "Use the address that you were given.",
    "length-required": "Use another browser.",
    "not-signed-in": "Ask the person who runs this server for a token.",
    "picture-animated": "Choose a picture that does not move.",
    "picture-broken": WHOLE_PICTURE,
    "picture-decompression-bomb": SMALLER_PICTURE,
    "picture-empty": WHOLE_PICTURE,
    "picture-not-a-picture": OTHER_PICTURE,
    "picture-too-costly": SMALLER_PICTURE,
    "picture-too-heavy": SMALLER_PICTURE,
    "picture-too-large": SMALLER_PICTURE,
    "picture-truncated": WHOLE_PICTURE,
    "picture-unsupported": OTHER_PICTURE,
    "request-timeout": "Try again with a faster connection, or a smaller picture.",
}
SERVER_HINT = "Try again later. If it happens again, tell the person who runs this server."
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageError:
    """An error as a page shows it: the one of the API, with a hint for people who see only the page."""

    status: int
    where: str
    what: str
    hint: str
    retry_after: str | None


class PageRoute(APIRoute):
    """A route whose errors are pages; people who have not signed in are sent to that page."""

    def get_route_handler(self) -> Handler:
        answer = super().get_route_handler()

        async def answer_with_page(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestValidationError:
                what, hint = "A field is missing or invalid.", "Go back and fill in the form again."
                values = {"what": what, "hint": hint, "link": HOME_LINK}
                return render("error.html.j2", values, status=HTTPStatus.UNPROCESSABLE_ENTITY)
            except DermpackError as error:
                if explain(error).status == HTTPStatus.UNAUTHORIZED:
                    return RedirectResponse(SIGN_IN_PAGE[1:], HTTPStatus.SEE_OTHER)
                return show_error(error, link=REVIEW_PAGE[1:])

        return answer_with_page


def render(
    template: str, values: Mapping[str, object], *, identity: Identity | None = None, status: int = 200
) -> HTMLResponse:
    """Return a page of the folder `templates`."""
    known = {"identity": identity, "notice": NOTICE, **values}
    page = render_template(
        TEMPLATES / template, known, escape=lambda text: escape_unprintable(text, keep="\n")
    )
    return HTMLResponse(page, status)


def show_error(error: DermpackError, *, link: str = HOME_LINK) -> Response:
    """Return the page that describes an error, with a link to another page."""
    shown = explain(error)
    values = {"what": f"{shown.where}: {shown.what}.", "hint": shown.hint, "link": link}
    response = render("error.html.j2", values, status=shown.status)
    if shown.retry_after:
        response.headers["Retry-After"] = shown.retry_after
    return response


def explain(error: DermpackError) -> PageError:
    """Return what a page shows of an error."""
    # The response of the API has the status, and no path of the server.
    response = problem_response(error)
    problem = json.loads(bytes(response.body))
    is_own = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return PageError(
        status=response.status_code,
        where=problem["where"],
        what=problem["detail"],
        hint=SERVER_HINT if is_own else PAGE_HINTS.get(error.code, error.hint),
        retry_after=response.headers.get("retry-after"),
    )
