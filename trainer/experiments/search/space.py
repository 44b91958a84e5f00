"""Where a search looks: for each option a list of choices, or a range."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from dermpack.errors import DermpackError, TableError
from dermpack.storage.toml_reader import read_toml
from trainer.recipe.network_spec import Arch, Weights
from trainer.recipe.recipe import OF_THE_MACHINE, Recipe, recipe_from

DEFAULT = Path(__file__).parents[2] / "studies" / "space.toml"
MOST_CHOICES = 100
GIVEN = ("weights", "teacher", "teacher_share", "metric", "seed", "sensitivity")
FIXED = (*GIVEN, *OF_THE_MACHINE)  # not what a search is for
HINT = "Write key = [choices], or key = { low = …, high = … }."

Scalar: TypeAlias = bool | int | float | str


class ValueSource(Protocol):
    """What draws a value; Optuna's trials do."""

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One of a few; a list is spelled as at the command line, "128,64"."""

    name: str
    values: tuple[Scalar, ...]

    def drawn(self, asked: ValueSource) -> Any:
        return asked.suggest_categorical(self.name, list(self.values))

    def ends(self) -> tuple[Any, ...]:
        return self.values

    def record(self) -> Any:
        return list(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A number from low to high, both included; whole where both are."""

    name: str
    low: float
    high: float
    step: float | None = None
    log: bool = False

    def drawn(self, asked: ValueSource) -> Any:
        if isinstance(self.low, int) and isinstance(self.high, int):
            step = 1 if self.step is None else int(self.step)
            return asked.suggest_int(self.name, self.low, self.high, step=step, log=self.log)
        return asked.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def ends(self) -> tuple[Any, ...]:
        return self.low, self.high

    def record(self) -> Any:
        return {"low": self.low, "high": self.high, "step": self.step, "log": self.log}


Dimension: TypeAlias = Choices | Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The dimensions in the order of their names, and what of the file means nothing to the base recipe."""

    dimensions: tuple[Dimension, ...]
    left_out: tuple[str, ...] = ()

    def drawn(self, asked: ValueSource) -> dict[str, Any]:
        """An option's value each."""
        return {of.name: of.drawn(asked) for of in self.dimensions}

    def record(self) -> dict[str, Any]:
        return {of.name: of.record() for of in self.dimensions}


def read_space(path: Path | None, *, base: Recipe) -> Space:
    """The space of a file, or the shipped one as far as it means something to the base recipe."""
    where = path or DEFAULT
    dimensions = tuple(_dimension(where, name, value) for name, value in sorted(read_toml(where).items()))
    for of in dimensions:
        _check(where, of, base)
    left_out = tuple(sorted(set(meaningless(base)) & {of.name for of in dimensions})) if path is None else ()
    kept = tuple(of for of in dimensions if of.name not in left_out)
    if not kept:
        raise TableError(where, "contains no option to search", HINT, code="invalid-space")
    return Space(dimensions=kept, left_out=left_out)


def recipe_of(values: Mapping[str, Any], base: Recipe) -> Recipe:
    """The base with what was drawn."""
    return recipe_from(values, where="trial", base=base)


def meaningless(base: Recipe) -> Iterator[str]:
    """Options that change nothing in the base recipe, or cannot be chosen with it."""
    if base.arch is not Arch.MOBILENET_V2 or isinstance(base.weights, Path):
        yield "alpha"  # weights that are given are of one width
    if base.weights is Weights.NONE:
        yield from ("fine_tune", "head_rate", "head_epochs", "head_copies", "copies")
    if base.arch is Arch.SCRATCH_CNN:
        yield "size"  # its filters were chosen for one
    else:
        yield from ("filters", "kernel")


def _dimension(where: Path, name: str, value: Any) -> Dimension:
    name = name.replace("-", "_")
    if name in FIXED or name not in {field.name for field in fields(Recipe)}:
        known = ", ".join(field.name for field in fields(Recipe) if field.name not in FIXED)
        what, hint = f"option {name!r} cannot be searched", f"Choose from {known}."
        raise TableError(where, what, hint, code="invalid-space")
    match value:
        case list() if 2 <= len(value) <= MOST_CHOICES:
            return Choices(name=name, values=tuple(_scalar(where, name, item) for item in value))
        case {"low": int() | float() as low, "high": int() | float() as high, **rest}:
            return _range(where, name, (low, high), {str(key): item for key, item in rest.items()})
    what = f"{name} must be a list of 2 to {MOST_CHOICES} choices, or a range"
    raise TableError(where, what, HINT, code="invalid-space")


def _scalar(where: Path, name: str, value: Any) -> Scalar:
    match value:
        case bool() | int() | float() | str():
            return value
        case list() if all(isinstance(item, int) for item in value):
            return ",".join(map(str, value))
    what, hint = f"{name} has the invalid choice {value!r}", "Give numbers, words or lists of integers."
    raise TableError(where, what, hint, code="invalid-space")


def _range(where: Path, name: str, ends: tuple[float, float], rest: Mapping[str, Any]) -> Range:
    low, high = ends
    step, log = rest.get("step"), rest.get("log", False)
    odd = set(rest) - {"step", "log"} or not isinstance(log, bool) or (log and step is not None)
    is_number = step is None or (isinstance(step, int | float) and step > 0)
    is_whole = isinstance(low, int) and isinstance(high, int)
    if odd or not is_number or (is_whole and isinstance(step, float)):
        what, hint = f"the range of {name} is not valid", "Give low, high and either step or log."
        raise TableError(where, what, hint, code="invalid-space")
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
        what, hint = f"the range of {name} is empty", "Give a low below the high, and above 0 for log."
        raise TableError(where, what, hint, code="invalid-space")
    ends = ends if is_whole else (float(low), float(high))
    return Range(name=name, low=ends[0], high=ends[1], step=step, log=log)


def _check(where: Path, of: Dimension, base: Recipe) -> None:
    """Every choice, and both ends, must be values that the option takes."""
    for value in of.ends():
        try:
            recipe_of({of.name: value}, base)
        except DermpackError as error:
            raise TableError(where, error.what, error.hint, code=error.code) from error
