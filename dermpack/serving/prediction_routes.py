"""The routes that every server has: predictions, the model, and whether the server works."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from dermpack.serving.guard import RoutePolicy
from dermpack.serving.problems import PROBLEM_RESPONSES, RequestError
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
TEXT, NUMBER, LABEL = {"type": "string"}, {"type": "number"}, {"type": ["string", "null"]}
# The format of `dermpack predict --json` for one picture, and the notice.
ANSWER_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["schema", "model", "pictures", "notice"],
    "properties": {
        "schema": {"type": "integer"},
        "notice": TEXT,
        "model": {
            "type": "object",
            "properties": {
                "file": TEXT,
                "sha256": TEXT,
                "name": LABEL,
                "version": LABEL,
                "runtime": TEXT,
                "labels": {"type": "array", "items": TEXT},
                "calibrated": {"type": "boolean"},
                "abstain_below": {"type": ["number", "null"]},
                "unlike_above": {"type": ["number", "null"]},
            },
        },
        "pictures": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["label", "sure", "familiar", "distance", "fault", "top", "operating_points"],
                "properties": {
                    "picture": TEXT,
                    "label": {**LABEL, "description": "The answer; null if the model gives none."},
                    "sure": {"type": ["boolean", "null"]},
                    "familiar": {"type": ["boolean", "null"]},
                    "distance": {"type": ["number", "null"]},
                    "fault": LABEL,
                    "top": {
                        "type": "array",
                        "description": "Every label with its probability, the highest first.",
                        "items": {
                            "type": "object",
                            "required": ["label"],
                            "properties": {"label": TEXT, "probability": NUMBER, "output": NUMBER},
                        },
                    },
                    "operating_points": {
                        "type": "array",
                        "description": "The thresholds of labels that must not be missed.",
                        "items": {
                            "type": "object",
                            "properties": {
                                "label": TEXT,
                                "wanted_sensitivity": NUMBER,
                                "threshold": NUMBER,
                                "probability": NUMBER,
                                "reached": {"type": "boolean"},
                            },
                        },
                    },
                },
            },
        },
    },
}
ANSWERED: dict[int | str, dict[str, Any]] = {
    200: {"description": "The answer.", "content": {"application/json": {"schema": ANSWER_SCHEMA}}}
}
DESCRIBED_MODEL: dict[int | str, dict[str, Any]] = {
    200: {"description": "The contract.", "content": {"application/json": {"schema": {"type": "object"}}}}
}
router = APIRouter(responses=PROBLEM_RESPONSES)


def prediction_policy(settings: ServerSettings) -> RoutePolicy:
    """Return the limits of the requests for a prediction."""
    return RoutePolicy(
        method="POST",
        paths=(PREDICTIONS,),
        max_body_bytes=PICTURE_BYTES,
        most=settings.predictions_per_minute,
    )


@router.post(PREDICTIONS, openapi_extra=DESCRIBED_REQUEST, responses=ANSWERED)
async def predict(request: Request, services: ServicesDep) -> JSONResponse:
    """Answer a picture, which is the body; nothing is stored."""
    picture, metadata = await request.body(), dict(request.query_params)
    if len(metadata) < len(request.query_params.multi_items()):
        what, hint = "a field is given twice", "Give each field once."
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        raise RequestError("query", what, hint, code="invalid-request", status=status)
    predicted = await run_in_threadpool(services.predictor.answer, picture, metadata)
    return JSONResponse(predicted.record)


@router.get("/api/v1/model", responses=DESCRIBED_MODEL)
async def describe_model(services: ServicesDep) -> Response:
    """Return the contract of the model: labels, input, temperature, thresholds and what was measured."""
    return Response(services.contract, media_type="application/json")


@router.get("/healthz")
async def check_health(services: ServicesDep) -> dict[str, str]:
    """Tell that the server answers, and with which model."""
    return {"status": "ok", "model": services.predictor.model.sha256}
