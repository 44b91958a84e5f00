"""The routes that every server has: predictions, the model, and whether the server works."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from dermpack.serving.guard import RoutePolicy
from dermpack.serving.problems import PROBLEM_RESPONSES
from dermpack.serving.services import ServicesDep
from dermpack.serving.settings import PICTURE_BYTES, ServerSettings

PREDICTIONS = "/api/v1/predictions"
PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary", "maxLength": PICTURE_BYTES}}
DESCRIBED_REQUEST: dict[str, Any] = {
    "requestBody": {"required": True, "content": dict.fromkeys(PICTURE_TYPES, BINARY)},
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "description": "Fields of the patient metadata, such as age=34, if the model takes them.",
            "style": "form",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ],
}
router = APIRouter(responses=PROBLEM_RESPONSES)


def prediction_policy(settings: ServerSettings) -> RoutePolicy:
    """Return the limits of the requests for a prediction."""
    return RoutePolicy(
        method="POST",
        path=PREDICTIONS,
        max_body_bytes=PICTURE_BYTES,
        most=settings.predictions_per_minute,
    )


@router.post(PREDICTIONS, openapi_extra=DESCRIBED_REQUEST)
async def predict(request: Request, services: ServicesDep) -> JSONResponse:
    """Answer a picture, which is the body; nothing is stored."""
    picture, metadata = await request.body(), dict(request.query_params)
    predicted = await run_in_threadpool(services.predictor.answer, picture, metadata)
    return JSONResponse(predicted.record)


@router.get("/api/v1/model")
async def describe_model(services: ServicesDep) -> Response:
    """Return the contract of the model: labels, input, temperature, thresholds and what was measured."""
    return Response(services.contract, media_type="application/json")


@router.get("/healthz")
async def check_health(services: ServicesDep) -> dict[str, str]:
    """Tell that the server answers, and with which model."""
    return {"status": "ok", "model": services.predictor.model.sha256}
