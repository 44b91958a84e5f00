"""Assemble the application of a server from its routes.

With a collection, its routes are added before those of the page, which take every other path. Annotations of
routes are resolved by the names of their module, so parameters such as `ServicesDep` are defined at its top.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from dermpack.serving import page, prediction_routes
from dermpack.serving.guard import BODY_SECONDS, Guard, RoutePolicy
from dermpack.serving.problems import PROBLEM_SCHEMA, RequestError, add_problem_handlers
from dermpack.serving.services import Services
from dermpack.serving.settings import ServerSettings

TITLE, API_VERSION = "dermpack serve", "1"
DESCRIPTION = (
    "Answers pictures with one model and, with --collect, gathers pictures with consent and the labels of "
    "reviewers. Errors are problems of RFC 9457 with the codes of docs/troubleshooting.md. "
    "Research software, not a medical device: no answer is a diagnosis."
)


def make_app(services: Services, *, body_seconds: float = BODY_SECONDS) -> Guard:
    """Return the application that a server runs."""
    api = make_api(services.settings)
    api.state.services = services
    show_error: Callable[[RequestError], Response] | None = None
    if services.settings.collection is not None:
        from dermpack.serving.collection import page_rendering

        show_error = page_rendering.show_error
    return Guard(
        api,
        settings=services.settings,
        policies=list_policies(services.settings),
        body_seconds=body_seconds,
        show_error=show_error,
    )


def make_api(settings: ServerSettings) -> FastAPI:
    """Return the routes without the guard before them; `state.services` is needed to answer."""
    # Pages of the documentation would load scripts from another host.
    api = FastAPI(docs_url=None, redoc_url=None, generate_unique_id_function=lambda route: route.name)
    add_problem_handlers(api)
    api.include_router(prediction_routes.router)
    if settings.collection is not None:
        from dermpack.serving.collection.routes import add_collection

        add_collection(api)
    page.add_page(api)
    api.openapi = lambda: describe_api(api)  # type: ignore[method-assign] # FastAPI documents this way
    return api


def list_policies(settings: ServerSettings) -> list[RoutePolicy]:
    """Return the limits of the routes that differ from the default."""
    policies = [prediction_routes.prediction_policy(settings)]
    if settings.collection is not None:
        from dermpack.serving.collection import routes

        policies += routes.list_policies(settings.collection)
    return policies


def describe_api(api: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document; it does not depend on the model."""
    if api.openapi_schema is None:
        api.openapi_schema = get_openapi(
            title=TITLE, version=API_VERSION, description=DESCRIPTION, routes=api.routes
        )
        schemas = api.openapi_schema.setdefault("components", {}).setdefault("schemas", {})
        schemas["Problem"] = PROBLEM_SCHEMA
    return api.openapi_schema
