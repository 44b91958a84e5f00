"""Recognise the cells of a table that say nothing: empty ones, and words such as "unknown"."""

from __future__ import annotations

MISSING_WORDS = frozenset(
    ("", "-", "--", "?", ".", "na", "n/a", "#n/a", "nan", "none", "null", "unknown", "undefined", "missing")
)


def is_missing(cell: str) -> bool:
    """Return whether a cell has no information: is_missing("Unknown") → True."""
    return " ".join(cell.split()).casefold() in MISSING_WORDS
