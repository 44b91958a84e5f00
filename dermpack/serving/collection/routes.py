"""The routes of the collection."""

from __future__ import annotations

from fastapi import FastAPI

from dermpack.serving.guard import RoutePolicy

POLICIES: tuple[RoutePolicy, ...] = ()


def add_collection(api: FastAPI) -> None:
    """Add every route of the collection."""
