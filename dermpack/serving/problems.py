"""Errors as RFC 9457 problems: application/problem+json with the codes of dermpack.

A route raises any DermpackError; `RequestError` adds a status and headers. Every other error of FastAPI and
Starlette, such as an unknown path, becomes a problem too. A bug is status 500 without any detail, and its
traceback goes to the log of the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from dermpack.errors import DermpackError, InputError, PictureError, TableError

MEDIA_TYPE = "application/problem+json"
# Statuses of errors that are raised below the server; those of input are 422.
STATUS_OF_CODE = {
    # The model is at fault, not the picture.
    "contract-mismatch": HTTPStatus.INTERNAL_SERVER_ERROR,
    "invalid-output": HTTPStatus.INTERNAL_SERVER_ERROR,
    # A new process answers the next request.
    "child-not-started": HTTPStatus.SERVICE_UNAVAILABLE,
    "interpreter-died": HTTPStatus.SERVICE_UNAVAILABLE,
    "interpreter-failed": HTTPStatus.SERVICE_UNAVAILABLE,
    "interpreter-timeout": HTTPStatus.SERVICE_UNAVAILABLE,
    "picture-too-heavy": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
PROBLEM_SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "where", "hint"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "A code of docs/troubleshooting.md."},
        "where": {"type": "string"},
        "hint": {"type": "string"},
    },
}
_CONTENT = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
# For the `responses` of every router: FastAPI would describe its own format of errors otherwise.
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request is refused.", "content": _CONTENT},
    "5XX": {"description": "The server cannot answer now.", "content": _CONTENT},
}
RETRY_AFTER_S = 2  # after a failure of the server that does not last


class RequestError(InputError):
    """A request is refused; `where` names the part of it, never a path of the server."""

    def __init__(
        self,
        where: str,
        what: str,
        hint: str,
        *,
        code: str,
        status: HTTPStatus,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(where, what, hint, code=code)
        self.status, self.headers = status, dict(headers or {})


def busy_error() -> RequestError:
    """Return the error of a request for which there is no capacity now."""
    what, hint = "too many requests at the same time", "Try again later."
    status = HTTPStatus.SERVICE_UNAVAILABLE
    return RequestError("server", what, hint, code="server-busy", status=status)


def problem_response(error: DermpackError) -> JSONResponse:
    """Return the response that describes an error."""
    status, headers, where = HTTPStatus.UNPROCESSABLE_ENTITY, dict[str, str](), error.where
    if isinstance(error, RequestError):
        status, headers = error.status, error.headers
    elif isinstance(error, PictureError):
        where = "picture"  # not "(bytes)", or a path of the server
    if error.code in STATUS_OF_CODE:
        status = STATUS_OF_CODE[error.code]
    elif isinstance(error, TableError) or not isinstance(error, InputError):
        # A file of the server, which no request names: its path is not for others.
        status = HTTPStatus.INTERNAL_SERVER_ERROR
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        where = "server"
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    record = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": error.what,
        "code": error.code,
        "where": where,
        "hint": error.hint,
    }
    return JSONResponse(record, status.value, headers, media_type=MEDIA_TYPE)


def add_problem_handlers(api: FastAPI) -> None:
    """Let every error of the application end in a problem."""
    api.add_exception_handler(DermpackError, _answer_error)
    api.add_exception_handler(HTTPException, _answer_http_exception)
    api.add_exception_handler(RequestValidationError, _answer_invalid_request)
    api.add_exception_handler(Exception, _answer_bug)


async def _answer_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DermpackError)
    return problem_response(error)


async def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    """Answer what the router refuses: an unknown path, and a method that a path does not have."""
    assert isinstance(error, HTTPException)
    status, headers = HTTPStatus(error.status_code), error.headers
    where = "path"  # not the path itself: a page that shows it would repeat what an attacker wrote
    if status is HTTPStatus.NOT_FOUND:
        known = "Use a path of /openapi.json."
        refused = RequestError(where, "there is nothing here", known, code="not-found", status=status)
    elif status is HTTPStatus.METHOD_NOT_ALLOWED:
        what, hint = f"does not take {request.method}", "Use a method of the header Allow."
        refused = RequestError(where, what, hint, code="method-not-allowed", status=status, headers=headers)
    else:
        hint = "Send what /openapi.json describes."
        refused = RequestError(
            "request", str(error.detail), hint, code="invalid-request", status=status, headers=headers
        )
    return problem_response(refused)


async def _answer_invalid_request(_request: Request, error: Exception) -> JSONResponse:
    """Answer parameters and bodies that do not fit; their values are not repeated."""
    assert isinstance(error, RequestValidationError)
    first: Mapping[str, Any] = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    refused = RequestError(
        where,
        str(first["msg"]),
        "Send what /openapi.json describes.",
        code="invalid-request",
        status=HTTPStatus.UNPROCESSABLE_ENTITY,
    )
    return problem_response(refused)


async def _answer_bug(_request: Request, _error: Exception) -> JSONResponse:
    # Starlette raises the error again afterwards, so the log gets its traceback.
    what, hint = "an unexpected error", "Report it with the log of the server."
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem_response(RequestError("server", what, hint, code="internal-error", status=status))
