"""Look a figure up in the committed reports, and spell it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from typing import Any

from tests.support.paths import REPOSITORY

HOUSE = REPOSITORY
RESULTS = HOUSE / "docs" / "results"
REFERENCE = re.compile(r"\{([^{}|]+)\|(\w+)\}")

FORMS = {  # how a value is spelled
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
    """`study-five` → what docs/results/study-five.json says; `models:NAME:model` → models/NAME/model.json."""
    path = RESULTS / f"{name}.json" if ":" not in name else HOUSE / f"{name.replace(':', '/')}.json"
    return json.loads(path.read_bytes())


def looked_up(reference: str) -> Any:
    """`lesions-default-0/auroc_ci95/1` → 0.964…; a part of a list by its place, or by what it says."""
    name, *keys = reference.split("/")
    value = report(name)
    for key in keys:
        value = _part(value, key) if isinstance(value, list) else value[key]
    return value


def _part(parts: list[Any], key: str) -> Any:
    """`1` → the second; `model=int8,where.target=host` → the one that says so, of all in its list `where`."""
    if "=" not in key:
        return parts[int(key)]
    asked = [pair.split("=") for pair in key.split(",")]
    (found,) = (part for part in parts if all(_says(part, name.split("."), value) for name, value in asked))
    return found


def _says(part: Any, path: Sequence[str], value: str) -> bool:
    if isinstance(part, list):
        return any(_says(one, path, value) for one in part)
    return _says(part[path[0]], path[1:], value) if path else bool(part == value)


def one_of(parts: list[Any], asked: dict[str, Any]) -> Any:
    """The only part that says all that is asked."""
    (found,) = (part for part in parts if asked.items() <= part.items())
    return found


def _total(counts: Any) -> int:
    return sum(map(_total, counts.values())) if isinstance(counts, dict) else int(counts)


def spelled(sentence: str) -> str:
    """`{lesions-default-0/n|count} pictures` → `895 pictures`."""
    return REFERENCE.sub(lambda found: FORMS[found[2]](looked_up(found[1])), sentence)
