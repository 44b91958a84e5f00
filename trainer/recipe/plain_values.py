"""Spell a recipe out in plain values, as `recipe_from` reads them."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any

from trainer.recipe.augmentation import Augmentation
from trainer.recipe.recipe import ALL, NO_TEACHER, Recipe


def spelled(recipe: Recipe) -> dict[str, Any]:
    """Every option by its name; files and runs by absolute paths, which no artifact may hold."""
    return {field.name: _plain(field.name, getattr(recipe, field.name)) for field in fields(recipe)}


def _plain(name: str, value: Any) -> Any:
    match value:
        case None:
            return NO_TEACHER if name == "teacher" else ALL
        case Enum():
            return value.value
        case Path():
            return str(value.absolute())
        case Augmentation():
            return value.record()
        case tuple() if name == "sensitivity":
            return dict(value)
        case tuple():
            return list(value)
    return value
