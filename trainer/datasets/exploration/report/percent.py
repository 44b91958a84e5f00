"""Shares as a person reads them."""

from __future__ import annotations


def percent(part: int, whole: int) -> str:
    """percent(1, 8) → "12.5%"."""
    return f"{100 * part / whole:.1f}%" if whole else "–"
