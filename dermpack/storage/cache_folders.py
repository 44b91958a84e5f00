"""Say where caches live, and how large they may grow: what can be made again, and belongs in no artifact."""

from __future__ import annotations

import os
from pathlib import Path

from dermpack.errors import InputError

CACHE_VARIABLE = "DERMPACK_CACHE"
BOUND_VARIABLE = "DERMPACK_CACHE_GB"
BOUND_GB = 50  # of prepared pictures: 300,000 of 224 px
GB = 10**9


def cache_folder() -> Path:
    """$DERMPACK_CACHE, else the user's cache folder; the installed program finds it from everywhere."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "dermpack"


def cache_bound_bytes() -> int:
    """$DERMPACK_CACHE_GB, else a bound that few will ever meet."""
    chosen = os.environ.get(BOUND_VARIABLE) or str(BOUND_GB)
    try:
        bound = int(float(chosen) * GB)
    except (ValueError, OverflowError):  # no number; nan; inf
        bound = -1
    if bound < 0:
        where = f"{BOUND_VARIABLE}={chosen}"
        what, hint = (
            "must be a number of gigabytes of at least 0",
            f"Set it to a number, for example {BOUND_GB}.",
        )
        raise InputError(where, what, hint, code="invalid-option")
    return bound
