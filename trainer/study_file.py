"""Read a study: named recipes, each a table whose keys are the options of `dermpack train`.

base = "plain"                  # the recipe that the others are held against; else the first one
metric = "balanced_accuracy"    # the validation figure that names the best recipe; or "auroc"

[common]                        # options of all recipes
size = 160

[recipes.plain]                 # options of one, on top of them
augment = "none"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermpack.errors import InputError, TableError
from dermpack.files import is_there
from trainer.plan import Goal
from trainer.recipe import Recipe, beside, recipe_from
from trainer.spec import Weights
from trainer.toml import read_toml

SHIPPED = ("cifar10", "eczema", "hmnist", "lesions")
FOLDER = Path(__file__).with_name("studies")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")  # it names a folder too
MOST_RECIPES = 200
TABLES, KEYS = ("common", "recipes"), ("base", "metric")
EXAMPLE = "see a shipped one: `dermpack study --help`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A recipe by its name; `lacks` says what is not there, and keeps it from being trained."""

    name: str
    recipe: Recipe
    lacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """The recipes in the order of the file."""

    name: str
    metric: Goal
    base: str
    entries: tuple[Entry, ...]


def find_study(given: str) -> Path:
    """A file, or the name of a shipped one: find_study("eczema") → …/studies/eczema.toml."""
    path = Path(given)
    if path.is_file():
        return path
    if given in SHIPPED:
        return FOLDER / f"{given}.toml"
    raise InputError(given, "is no file, and no shipped study", f"give a file, or {', '.join(SHIPPED)}")


def read_study(path: Path, *, base: str = "") -> StudyPlan:
    """The study of a file; `base` wins over that of the file."""
    values = read_toml(path)
    if odd := sorted(set(values) - {*TABLES, *KEYS}):
        raise TableError(path, f"has {odd[0]!r}, which is nothing of a study", EXAMPLE)
    tables = _tables(path, values)
    entries = tuple(_entry(path, name, options) for name, options in tables.items())
    chosen = base or values.get("base", entries[0].name)
    if chosen not in tables:
        raise TableError(path, f"has no recipe {chosen!r} as its base", f"choose of {', '.join(tables)}")
    return StudyPlan(name=path.stem, metric=_metric(path, values), base=chosen, entries=entries)


def _tables(path: Path, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each recipe's options, with the common ones below them."""
    common, recipes = (values.get(name, {}) for name in TABLES)
    if not isinstance(recipes, Mapping) or not isinstance(common, Mapping) or not recipes:
        raise TableError(path, "has no table [recipes.NAME]", EXAMPLE)
    if len(recipes) > MOST_RECIPES:
        raise TableError(path, f"has more than {MOST_RECIPES} recipes", "make two studies of it")
    for name, options in recipes.items():
        if not isinstance(options, Mapping):
            raise TableError(path, f"recipes.{name} is no table", f"write [recipes.{name}]")
        if not NAME.fullmatch(name):
            cure = "take letters, digits, dots, dashes; 60 at most"
            raise TableError(path, f"{name!r} cannot name a recipe", cure)
    return {name: {**common, **options} for name, options in recipes.items()}


def _entry(path: Path, name: str, options: Mapping[str, Any]) -> Entry:
    """Paths are relative to the file; weights that are not there are no mistake of the file's."""
    values, where = beside(path, options), f"{path} [recipes.{name}]"
    lacks = _lacks(values)
    if lacks:
        del values["weights"]
    return Entry(name=name, recipe=recipe_from(values, where=where), lacks=lacks)


def _lacks(values: Mapping[str, Any]) -> str:
    weights = values.get("weights")
    words = {word.value for word in Weights}
    if not isinstance(weights, str) or weights in words or is_there(Path(weights)):
        return ""
    return f"the weights {Path(weights).name} are not there"


def _metric(path: Path, values: Mapping[str, Any]) -> Goal:
    given, words = values.get("metric", Goal.BALANCED_ACCURACY.value), {goal.value: goal for goal in Goal}
    if given not in words:
        raise TableError(
            path, f"metric = {given!r} is no figure that it knows", f"choose of {', '.join(words)}"
        )
    return words[given]
