"""Serve a model: open it, start its processes, bind the address, and run until a signal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from dermpack.bundle.read_bundle import is_bundle, read_bundle
from dermpack.bundle.variants import MODEL_FILE, Variant, read_variants
from dermpack.bundle.web.site import AnsweredBy
from dermpack.errors import InputError
from dermpack.inference.model_files import OpenedModel, apply_contract
from dermpack.serving.app import make_app
from dermpack.serving.page import answered_by, read_site
from dermpack.serving.predictor import PredictionService
from dermpack.serving.running import bind, local_url, make_server
from dermpack.serving.services import Services
from dermpack.serving.settings import ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedServer:
    """A server that accepts connections."""

    url: str
    answered_by: AnsweredBy  # who answers the pictures that are given to the page


def serve(path: Path, settings: ServerSettings, *, on_start: Callable[[StartedServer], None]) -> None:
    """Serve the model in an export or a bundle until SIGINT or SIGTERM; call `on_start` when it is ready."""
    if path.name == MODEL_FILE and path.is_file():
        path = path.parent  # its contract is next to it
    variant = open_variant(path)
    # The address is bound first: the processes start in vain if another program uses it.
    with ExitStack() as stack:
        listener = stack.enter_context(closing(bind(settings)))
        collection = None
        if settings.collection is not None:
            from dermpack.serving.collection.store import open_collection

            collection = stack.enter_context(open_collection(settings.collection, variant.contract))
        services = Services(
            settings=settings,
            predictor=stack.enter_context(PredictionService(opened_model(variant))),
            contract=variant.contract_bytes,
            site=read_site(path, has_collection=collection is not None),
            collection=collection,
        )
        url = f"{settings.public_url.rstrip('/')}/" if settings.public_url else local_url(settings, listener)
        ready = StartedServer(url=url, answered_by=answered_by(services.site))
        server = make_server(make_app(services), settings, on_start=lambda: on_start(ready))
        server.run(sockets=[listener])


def open_variant(path: Path) -> Variant:
    """Return the model of an export, or the main one of a bundle."""
    if is_bundle(path):
        return read_bundle(path).variants[0]
    try:
        return read_variants(path)[0]
    except InputError as error:
        if error.code != "missing-option":
            raise
        # Its hint is an option that this command does not have.
        raise InputError(path, error.what, "Give one of them.", code="model-not-found") from error


def opened_model(variant: Variant) -> OpenedModel:
    """Return the model and the interpretation of its outputs."""
    return apply_contract(Path(MODEL_FILE), variant.model, variant.contract, where=variant.where)
