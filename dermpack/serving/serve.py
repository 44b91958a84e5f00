"""Serve a model: open it, start its processes, bind the address, and run until a signal."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from dermpack.bundle.read_bundle import is_bundle, read_bundle
from dermpack.bundle.variants import MODEL_FILE, Variant, read_variants
from dermpack.inference.model_files import OpenedModel, apply_contract
from dermpack.serving.app import make_app
from dermpack.serving.page import minimal_site
from dermpack.serving.predictor import Predictor
from dermpack.serving.running import bind, local_url, make_server
from dermpack.serving.services import Services
from dermpack.serving.settings import ServerSettings


def serve(path: Path, settings: ServerSettings, *, started: Callable[[str], None]) -> None:
    """Serve the model in an export or a bundle until SIGINT or SIGTERM; `started` gets its address."""
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
            predictor=stack.enter_context(Predictor(opened_model(variant))),
            contract=variant.contract_bytes,
            site=minimal_site(),
            collection=collection,
        )
        url = settings.public_url or local_url(settings, listener)
        make_server(make_app(services), settings, started=lambda: started(url)).run(sockets=[listener])


def open_variant(path: Path) -> Variant:
    """Return the model of an export, or the main one of a bundle."""
    if path.name == MODEL_FILE and path.is_file():
        path = path.parent  # its contract is next to it
    return read_bundle(path).variants[0] if is_bundle(path) else read_variants(path)[0]


def opened_model(variant: Variant) -> OpenedModel:
    """Return the model and the interpretation of its outputs."""
    return apply_contract(Path(MODEL_FILE), variant.model, variant.contract, where=variant.where)
