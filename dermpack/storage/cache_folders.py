"""The folder of caches and the limit of its size, both set by environment variables.

A cache contains only what can be computed again, so nothing in it is part of an artifact.
"""

from __future__ import annotations

import os
from pathlib import Path

from dermpack.errors import InputError

CACHE_VARIABLE = "DERMPACK_CACHE"
BOUND_VARIABLE = "DERMPACK_CACHE_GB"
BOUND_GB = 50  # enough for 300,000 prepared pictures of 224 px
GB = 10**9


def cache_folder() -> Path:
    """Return $DERMPACK_CACHE, or else "dermpack" in the cache folder of the user."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "dermpack"


def cache_bound_bytes() -> int:
    """Return the size limit of a cache from $DERMPACK_CACHE_GB, or else 50 GB."""
    chosen = os.environ.get(BOUND_VARIABLE) or str(BOUND_GB)
    try:
        bound = int(float(chosen) * GB)
    except (ValueError, OverflowError):  # not a number; nan; inf
        bound = -1
    if bound < 0:
        where, what = f"{BOUND_VARIABLE}={chosen}", "must be a number of gigabytes of at least 0"
        hint = f"Set it to a number, for example {BOUND_GB}."
        raise InputError(where, what, hint, code="invalid-option")
    return bound
