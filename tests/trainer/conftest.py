"""Share the options of the tiny network with tests that train it with other options."""

from __future__ import annotations

from tests.conftest import OPTIONS, TINY

__all__ = ["OPTIONS", "TINY"]
