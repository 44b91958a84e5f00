"""What a demo folder remembers of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dermpack import __version__
from dermpack.cli.demo.steps import DemoOptions
from dermpack.errors import TableError
from dermpack.storage.files import json_text, read_json, write_text

KEPT_FILE = "steps.json"
SCHEMA = 1
DECIMALS = 2  # of seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCost:
    """By the clock, and by all processors together."""

    seconds: float
    processor_seconds: float

    def plus(self, more: StepCost) -> StepCost:
        return StepCost(
            seconds=round(self.seconds + more.seconds, DECIMALS),
            processor_seconds=round(self.processor_seconds + more.processor_seconds, DECIMALS),
        )


NOTHING = StepCost(seconds=0.0, processor_seconds=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedSteps:
    """What was asked for, which steps are finished, and what each one took, in all its attempts."""

    asked: Mapping[str, Any]
    finished: tuple[str, ...] = ()
    spent: Mapping[str, StepCost] = field(default_factory=dict)

    @classmethod
    def of(cls, options: DemoOptions) -> FinishedSteps:
        given = {name: list(value) for name, value in asdict(options).items()}
        return cls(asked={"dermpack": __version__, **given})

    def without(self, *names: str) -> FinishedSteps:
        """The named steps are to be done again; the time of an attempt that did not end well still counts."""
        spent = {
            name: of for name, of in self.spent.items() if name not in names or name not in self.finished
        }
        return replace(self, finished=tuple(of for of in self.finished if of not in names), spent=spent)

    def plus(self, name: str, took: StepCost, *, is_whole: bool) -> FinishedSteps:
        spent = {**self.spent, name: self.spent.get(name, NOTHING).plus(took)}
        return replace(self, finished=(*self.finished, name) if is_whole else self.finished, spent=spent)


def write_kept(path: Path, kept: FinishedSteps) -> None:
    write_text(path, json_text({"schema": SCHEMA, **asdict(kept)}))


def read_kept(path: Path) -> FinishedSteps:
    value = read_json(path)
    try:
        if value["schema"] != SCHEMA:
            raise ValueError(f"schema {value['schema']!r}")
        spent = {str(name): _spent(of) for name, of in value["spent"].items()}
        finished = tuple(str(name) for name in value["finished"] if name in spent)
        return FinishedSteps(asked=dict(value["asked"]), finished=finished, spent=spent)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = "invalid format (not a list of the steps of a demo)"
        hint = "Add --overwrite to start again, or choose another output."
        raise TableError(path, what, hint, code="invalid-format") from error


def _spent(value: Mapping[str, Any]) -> StepCost:
    return StepCost(seconds=float(value["seconds"]), processor_seconds=float(value["processor_seconds"]))
