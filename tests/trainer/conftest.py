"""How the tiny network of the whole suite is trained, for tests that train it in another way."""

from __future__ import annotations

from tests.conftest import OPTIONS, TINY

__all__ = ["OPTIONS", "TINY"]
