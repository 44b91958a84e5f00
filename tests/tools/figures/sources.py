"""Look up a figure in the committed reports, and format it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from tests.support.paths import REPOSITORY

RESULTS = REPOSITORY / "docs" / "results"
REFERENCE = re.compile(r"\{([^{}|]+)\|(\w+)\}")

FORMS = {  # name of a format → value → text
    "count": lambda value: f"{value:,}",
    "total": lambda value: f"{_total(value):,}",
    "share": lambda value: f"{value:.3f}",
    "share2": lambda value: f"{value:.2f}",
    "percent": lambda value: f"{100 * value:.1f} %",
    "points": lambda value: f"{100 * value:.1f}",
    "points_lost": lambda value: f"{0 - 100 * value:.1f}",
    "share_lost": lambda value: f"{0 - value:.3f}",
    "one": lambda value: f"{value:.1f}",
    "two": lambda value: f"{value:.2f}",
    "whole": lambda value: f"{value:.0f}",
    "steps": lambda value: f"{256 * value:.0f}",
    "megabytes": lambda value: f"{value / 1e6:.2f}",
}


@cache
def report(name: str) -> Any:
    """Return docs/results/NAME.json for `NAME`, and models/MODEL/FILE.json for `models:MODEL:FILE`."""
    path = RESULTS / f"{name}.json" if ":" not in name else REPOSITORY / f"{name.replace(':', '/')}.json"
    return json.loads(path.read_bytes())


def look_up(reference: str) -> Any:
    """Return the value at a path: `lesions-default-0/auroc_ci95/1` → 0.964…

    A key of a list is an index, or pairs of paths and values that exactly one element has.
    """
    name, *keys = reference.split("/")
    value = report(name)
    for key in keys:
        value = _part(value, key) if isinstance(value, list) else value[key]
    return value


def _part(parts: list[Any], key: str) -> Any:
    """Return one element: `1` is the second, `model=int8,where.target=host` the one with these values."""
    if "=" not in key:
        return parts[int(key)]
    pairs = [pair.split("=") for pair in key.split(",")]
    (found,) = (
        part for part in parts if all(_has_value(part, path.split("."), value) for path, value in pairs)
    )
    return found


def _has_value(part: Any, path: Sequence[str], value: str) -> bool:
    """Return whether the value is at this path; of a list, one element is enough."""
    if isinstance(part, list):
        return any(_has_value(element, path, value) for element in part)
    return _has_value(part[path[0]], path[1:], value) if path else bool(part == value)


def find_part(parts: list[Any], values: dict[str, Any]) -> Any:
    """Return the only part that has all these values."""
    (found,) = (part for part in parts if values.items() <= part.items())
    return found


def _total(counts: Any) -> int:
    return sum(map(_total, counts.values())) if isinstance(counts, dict) else int(counts)


def fill_in(sentence: str) -> str:
    """Return the sentence with its figures: `{lesions-default-0/n|count} pictures` → `895 pictures`."""
    return REFERENCE.sub(lambda found: FORMS[found[2]](look_up(found[1])), sentence)
