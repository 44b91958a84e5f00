"""What the routes of a server share; a route gets it as the parameter `services: ServicesDep`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request

from dermpack.serving.predictor import PredictionService
from dermpack.serving.settings import ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of a running server."""

    settings: ServerSettings
    predictor: PredictionService
    contract: bytes  # model.json as it is in the export or the bundle
    site: Mapping[str, bytes]  # the files of the page by their paths
    collection: Any = None  # of dermpack.serving.collection, with --collect


def get_services(request: Request) -> Services:
    """Return the services of the application that answers the request."""
    services = request.app.state.services
    assert isinstance(services, Services)
    return services


# At the top of a module, not in a function: FastAPI resolves annotations by the names of the module.
ServicesDep = Annotated[Services, Depends(get_services)]
