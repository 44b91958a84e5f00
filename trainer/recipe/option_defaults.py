"""A recipe's defaults, as a person reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from typing import Any

from trainer.recipe.augmentation import NAMED, Augmentation
from trainer.recipe.recipe import ALL, NO_TEACHER, Recipe

IN_WORDS: Mapping[str, str] = {
    "teacher": NO_TEACHER,
    "fine_tune": ALL,
    "threads": "all",
    "time_limit": "none",
}
EMPTY = ("dense", "sensitivity")


def default_texts() -> Mapping[str, str]:
    """Option → text, like "size" → "160" and "filters" → "32,64,128"."""
    recipe = Recipe()
    names = (field.name for field in fields(Recipe) if field.name not in EMPTY)
    return {name: IN_WORDS.get(name) or _text(getattr(recipe, name)) for name in names}


def _text(value: Any) -> str:
    match value:
        case Enum():
            return str(value.value)
        case Augmentation():
            return next(name for name, values in NAMED.items() if values == value)
        case tuple():
            return ",".join(map(str, value))
        case float():
            return f"{value:g}"
    return str(value)
