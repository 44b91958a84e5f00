"""Say where caches live: what can be made again, and belongs in no artifact."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "DERMPACK_CACHE"


def cache_folder() -> Path:
    """$DERMPACK_CACHE, else the user's cache folder; the installed program finds it from everywhere."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "dermpack"
