"""The search space and the goal of a search: for each option a list of choices, or a range."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from dermpack.dataset.manifest import Dataset
from dermpack.errors import DermpackError, TableError
from dermpack.storage.toml_text import read_toml
from trainer.recipe.network_spec import Arch, Weights
from trainer.recipe.recipe import MACHINE_OPTIONS, Goal, Recipe, parse_recipe

DEFAULT = Path(__file__).parents[2] / "studies" / "space.toml"
MAX_CHOICES = 100
NOT_SEARCHED = (
    *("weights", "teacher", "teacher_share", "metric", "seed", "sensitivity"),
    *("label", "train_share", "average"),
)
FIXED = (*NOT_SEARCHED, *MACHINE_OPTIONS)  # options that a search does not vary
HINT = "Write key = [choices], or key = { low = …, high = … }."

Scalar: TypeAlias = bool | int | float | str


class ValueSource(Protocol):
    """What samples a value: a trial of Optuna."""

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """A list of choices; a choice that is a list is written as on the command line: "128,64"."""

    name: str
    values: tuple[Scalar, ...]

    def sample(self, source: ValueSource) -> Any:
        return source.suggest_categorical(self.name, list(self.values))

    def ends(self) -> tuple[Any, ...]:
        return self.values

    def record(self) -> Any:
        return list(self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """A number from low to high, both included; an integer if both are integers."""

    name: str
    low: float
    high: float
    step: float | None = None
    log: bool = False

    def sample(self, source: ValueSource) -> Any:
        if isinstance(self.low, int) and isinstance(self.high, int):
            step = 1 if self.step is None else int(self.step)
            return source.suggest_int(self.name, self.low, self.high, step=step, log=self.log)
        return source.suggest_float(self.name, self.low, self.high, step=self.step, log=self.log)

    def ends(self) -> tuple[Any, ...]:
        return self.low, self.high

    def record(self) -> Any:
        return {"low": self.low, "high": self.high, "step": self.step, "log": self.log}


Dimension: TypeAlias = Choices | Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """The dimensions sorted by name, and the options of the file that the base recipe does not use."""

    dimensions: tuple[Dimension, ...]
    left_out: tuple[str, ...] = ()

    def sample(self, source: ValueSource) -> dict[str, Any]:
        """Return a value for each option."""
        return {dimension.name: dimension.sample(source) for dimension in self.dimensions}

    def record(self) -> dict[str, Any]:
        return {dimension.name: dimension.record() for dimension in self.dimensions}


def read_space(path: Path | None, *, base: Recipe) -> Space:
    """Return the space of a file, or the included space without the options that the base recipe ignores."""
    where = path or DEFAULT
    dimensions = tuple(_dimension(where, name, value) for name, value in sorted(read_toml(where).items()))
    # Every choice, and both ends of a range, must be valid values of the option.
    for dimension in dimensions:
        for value in dimension.ends():
            try:
                apply_sample({dimension.name: value}, base)
            except DermpackError as error:
                raise TableError(where, error.what, error.hint, code=error.code) from error
    ignored = set(irrelevant_options(base)) if path is None else set()
    left_out = tuple(dimension.name for dimension in dimensions if dimension.name in ignored)
    # Options without effect would waste trials and receive a meaningless importance.
    kept = tuple(dimension for dimension in dimensions if dimension.name not in ignored)
    if not kept:
        raise TableError(where, "contains no option to search", HINT, code="invalid-space")
    return Space(dimensions=kept, left_out=left_out)


def apply_sample(values: Mapping[str, Any], base: Recipe) -> Recipe:
    """Return the base recipe with the sampled values."""
    return parse_recipe(values, where="trial", base=base)


def irrelevant_options(base: Recipe) -> Iterator[str]:
    """Yield the options that have no effect in the base recipe, or cannot be combined with it."""
    has_one_width = isinstance(base.weights, Path) or base.weights is Weights.BUNDLED
    if base.arch is not Arch.MOBILENET_V2 or has_one_width:
        yield "alpha"
    if base.weights is Weights.NONE:
        yield from ("fine_tune", "head_rate", "head_epochs", "head_copies", "copies")
    if base.arch is Arch.SCRATCH_CNN:
        yield "size"  # the filters were chosen for one size
    else:
        yield from ("filters", "kernel")


def _dimension(where: Path, name: str, value: Any) -> Dimension:
    """Return one entry of the file as choices or as a range, or raise TableError."""
    name = name.replace("-", "_")
    if name in FIXED or name not in {field.name for field in fields(Recipe)}:
        known = ", ".join(field.name for field in fields(Recipe) if field.name not in FIXED)
        what, hint = f"option {name!r} cannot be searched", f"Choose from {known}."
        raise TableError(where, what, hint, code="invalid-space")
    match value:
        case list() if 2 <= len(value) <= MAX_CHOICES:
            # A list of integers becomes one word, because the storage accepts only scalar choices.
            words = [
                ",".join(map(str, item))
                if isinstance(item, list) and all(isinstance(part, int) for part in item)
                else item
                for item in value
            ]
            if odd := [item for item in words if not isinstance(item, bool | int | float | str)]:
                what = f"{name} has the invalid choice {odd[0]!r}"
                hint = "Give numbers, words or lists of integers."
                raise TableError(where, what, hint, code="invalid-space")
            return Choices(name=name, values=tuple(words))
        case {"low": int() | float() as low, "high": int() | float() as high, **rest}:
            return _range(where, name, (low, high), {str(key): item for key, item in rest.items()})
    what = f"{name} must be a list of 2 to {MAX_CHOICES} choices, or a range"
    raise TableError(where, what, HINT, code="invalid-space")


def _range(where: Path, name: str, ends: tuple[float, float], rest: Mapping[str, Any]) -> Range:
    """Return the range of a table in the file, or raise TableError if it is not valid or empty."""
    low, high = ends
    step, log = rest.get("step"), rest.get("log", False)
    odd = set(rest) - {"step", "log"} or not isinstance(log, bool) or (log and step is not None)
    is_number = step is None or (isinstance(step, int | float) and step > 0)
    # Both ends must be integers for a range of integers; a fractional step would leave the range.
    is_whole = isinstance(low, int) and isinstance(high, int)
    if odd or not is_number or (is_whole and isinstance(step, float)):
        what, hint = f"the range of {name} is not valid", "Give low, high and either step or log."
        raise TableError(where, what, hint, code="invalid-space")
    if not (math.isfinite(low) and math.isfinite(high) and low < high) or (log and low <= 0):
        what, hint = f"the range of {name} is empty", "Give a low below the high, and above 0 for log."
        raise TableError(where, what, hint, code="invalid-space")
    ends = ends if is_whole else (float(low), float(high))
    return Range(name=name, low=ends[0], high=ends[1], step=step, log=log)


class Objective(Enum):
    """The figures that a search optimizes; all figures are from the validation split."""

    BALANCED_ACCURACY = "balanced_accuracy"
    AUROC = "auroc"
    ACCURACY_LATENCY = "accuracy,latency"  # balanced accuracy and milliseconds of the int8 export

    @property
    def figure(self) -> str:
        return "auroc" if self is Objective.AUROC else "balanced_accuracy"

    @property
    def with_latency(self) -> bool:
        return self is Objective.ACCURACY_LATENCY

    @property
    def directions(self) -> Sequence[str]:
        return ("maximize", "minimize") if self.with_latency else ("maximize",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchGoal:
    """Dataset, base recipe, space and objective; the same for all workers of a search."""

    dataset: Dataset
    base: Recipe
    space: Space
    objective: Objective

    @property
    def recipe(self) -> Recipe:
        """Return the base recipe, whose best epoch is selected by the figure of the objective."""
        return replace(self.base, metric=Goal(self.objective.figure))

    def record(self) -> dict[str, Any]:
        return {
            "manifest_sha256": self.dataset.sha256,
            "base": self.recipe.record(),
            "space": self.space.record(),
            "objective": self.objective.value,
        }
