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
from dermpack.storage.files import is_there
from dermpack.storage.toml_reader import read_toml
from trainer.fitting.plan import Goal
from trainer.recipe.network_spec import Weights
from trainer.recipe.recipe import Recipe, beside, recipe_from

SHIPPED = ("cifar10", "eczema", "hmnist", "lesions")
FOLDER = Path(__file__).parents[1] / "studies"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")  # it names a folder too
MOST_RECIPES = 200
TABLES, KEYS = ("common", "recipes"), ("base", "metric")
EXAMPLE = 'See the example in "dermpack study --help".'


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEntry:
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
    entries: tuple[StudyEntry, ...]


def find_study(given: str) -> Path:
    """A file, or the name of a shipped one: find_study("eczema") → …/studies/eczema.toml."""
    path = Path(given)
    if path.is_file():
        return path
    if given in SHIPPED:
        return FOLDER / f"{given}.toml"
    what, hint = "neither a file nor a shipped study", f"Give a file, or one of {', '.join(SHIPPED)}."
    raise InputError(given, what, hint, code="file-not-found")


def read_study(path: Path, *, base: str = "") -> StudyPlan:
    """The study of a file; `base` wins over that of the file."""
    values = read_toml(path)
    if odd := sorted(set(values) - {*TABLES, *KEYS}):
        raise TableError(path, f"unknown key {odd[0]!r}", EXAMPLE, code="invalid-study")
    tables = _tables(path, values)
    entries = tuple(_entry(path, name, options) for name, options in tables.items())
    chosen = base or values.get("base", entries[0].name)
    if chosen not in tables:
        what, hint = f"base = {chosen!r} is not one of the recipes", f"Choose one of {', '.join(tables)}."
        raise TableError(path, what, hint, code="invalid-study")
    return StudyPlan(name=path.stem, metric=_metric(path, values), base=chosen, entries=entries)


def _tables(path: Path, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Each recipe's options, with the common ones below them."""
    common, recipes = (values.get(name, {}) for name in TABLES)
    if not isinstance(recipes, Mapping) or not isinstance(common, Mapping) or not recipes:
        raise TableError(path, "table [recipes.NAME] is missing", EXAMPLE, code="invalid-study")
    if len(recipes) > MOST_RECIPES:
        what, hint = f"more than {MOST_RECIPES} recipes", "Split it into several studies."
        raise TableError(path, what, hint, code="invalid-study")
    for name, options in recipes.items():
        if not isinstance(options, Mapping):
            what, hint = f"recipes.{name} is not a table", f"Write [recipes.{name}]."
            raise TableError(path, what, hint, code="invalid-study")
        if not NAME.fullmatch(name):
            what = f"{name!r} is not a valid name of a recipe"
            hint = "Use at most 60 letters, digits, dots and dashes, and begin with a letter or digit."
            raise TableError(path, what, hint, code="invalid-study")
    return {name: {**common, **options} for name, options in recipes.items()}


def _entry(path: Path, name: str, options: Mapping[str, Any]) -> StudyEntry:
    """Paths are relative to the file; weights that are not there are no mistake of the file's."""
    values, where = beside(path, options), f"{path} [recipes.{name}]"
    lacks = _lacks(values)
    if lacks:
        del values["weights"]
    return StudyEntry(name=name, recipe=recipe_from(values, where=where), lacks=lacks)


def _lacks(values: Mapping[str, Any]) -> str:
    weights = values.get("weights")
    words = {word.value for word in Weights}
    if not isinstance(weights, str) or weights in words or is_there(Path(weights)):
        return ""
    return f"weights file {Path(weights).name} not found"


def _metric(path: Path, values: Mapping[str, Any]) -> Goal:
    given, words = values.get("metric", Goal.BALANCED_ACCURACY.value), {goal.value: goal for goal in Goal}
    if given not in words:
        what, hint = f"metric = {given!r} is not supported", f"Choose one of {', '.join(words)}."
        raise TableError(path, what, hint, code="invalid-study")
    return words[given]
