"""Read a study: named recipes, each a table whose keys are the options of `dermpack train`.

base = "plain"                  # the recipe that the others are compared with; by default the first one
metric = "balanced_accuracy"    # the validation figure that selects the best recipe; or "auroc"

[common]                        # options of all recipes
size = 160

[recipes.plain]                 # options of one recipe, which override the common ones
augment = "none"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dermpack.errors import InputError, TableError
from dermpack.storage.files import path_exists
from dermpack.storage.toml_text import read_toml
from trainer.recipe.network_spec import Arch, Weights
from trainer.recipe.recipe import Goal, Recipe, parse_recipe, resolve_paths

SHIPPED = ("cifar10", "eczema", "eczema-learning-curve", "eczema-published", "hmnist", "lesions")
FOLDER = Path(__file__).parents[1] / "studies"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")  # also the name of a folder
MAX_RECIPES = 200
TABLES, KEYS = ("common", "recipes"), ("base", "metric")
EXAMPLE = 'See the example in "dermpack study --help".'


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyEntry:
    """A named recipe; `lacks` names missing weights, which prevent its training."""

    name: str
    recipe: Recipe
    lacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """The recipes of a study, in the order of the file."""

    name: str
    metric: Goal
    base: str
    entries: tuple[StudyEntry, ...]


def find_study(given: str) -> Path:
    """Return the path of a file or of an included study: find_study("eczema") → …/studies/eczema.toml."""
    path = Path(given)
    if path.is_file():
        return path
    if given in SHIPPED:
        return FOLDER / f"{given}.toml"
    what, hint = "neither a file nor an included study", f"Give a file, or one of {', '.join(SHIPPED)}."
    raise InputError(given, what, hint, code="file-not-found")


def read_study(path: Path, *, base: str = "") -> StudyPlan:
    """Return the study of a file; `base` overrides the base in the file."""
    values = read_toml(path)
    if odd := sorted(set(values) - {*TABLES, *KEYS}):
        raise TableError(path, f"unknown key {odd[0]!r}", EXAMPLE, code="invalid-study")
    tables = _tables(path, values)
    entries = tuple(_parse_entry(path, name, options) for name, options in tables.items())
    chosen = base or values.get("base", entries[0].name)
    if chosen not in tables:
        what, hint = f"base = {chosen!r} is not one of the recipes", f"Choose one of {', '.join(tables)}."
        raise TableError(path, what, hint, code="invalid-study")
    metric, words = values.get("metric", Goal.BALANCED_ACCURACY.value), {goal.value: goal for goal in Goal}
    if metric not in words:
        what, hint = f"metric = {metric!r} is not supported", f"Choose one of {', '.join(words)}."
        raise TableError(path, what, hint, code="invalid-study")
    return StudyPlan(name=path.stem, metric=words[metric], base=chosen, entries=entries)


def _tables(path: Path, values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the options of each recipe, including the common ones."""
    common, recipes = (values.get(name, {}) for name in TABLES)
    if not isinstance(recipes, Mapping) or not isinstance(common, Mapping) or not recipes:
        raise TableError(path, "table [recipes.NAME] is missing", EXAMPLE, code="invalid-study")
    if len(recipes) > MAX_RECIPES:
        what, hint = f"more than {MAX_RECIPES} recipes", "Split it into several studies."
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


def _parse_entry(path: Path, name: str, options: Mapping[str, Any]) -> StudyEntry:
    """Return one recipe. Paths are relative to the file; missing weights are not an error of the file."""
    values, where = resolve_paths(path, options), f"{path} [recipes.{name}]"
    weights, lacks = values.get("weights"), ""
    words = {word.value for word in Weights}
    if isinstance(weights, str) and weights not in words and not path_exists(Path(weights)):
        # The other recipes can be trained without this file, so the entry only records what it lacks.
        lacks = f"weights file {Path(weights).name} not found"
        del values["weights"]
        if Path(weights).suffix == ".h5":  # such a file selects this network
            values.setdefault("arch", Arch.MOBILENET_V2.value)
    return StudyEntry(name=name, recipe=parse_recipe(values, where=where), lacks=lacks)
