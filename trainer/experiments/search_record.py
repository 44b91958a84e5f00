"""The record of a search, tune.json: its trials. All reports are rendered from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

SCHEMA = 1


class State(Enum):
    """The state of a trial."""

    COMPLETE = "complete"
    PRUNED = "pruned"  # others were better at the same epoch
    FAILED = "failed"
    RUNNING = "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """One trial; a pruned or failed one has no values."""

    number: int
    state: State
    drawn: Mapping[str, Any]
    values: tuple[float, ...]
    curve: Mapping[int, float]  # epoch → best validation figure so far
    seconds: float | None  # of training, measured
    same_as: int | None = None  # an earlier trial with the same recipe, whose result was reused
    reason: str = ""

    def record(self) -> dict[str, Any]:
        curve = {str(epoch): value for epoch, value in sorted(self.curve.items())}
        rest = {"state": self.state.value, "values": list(self.values), "curve": curve}
        return {**asdict(self), "drawn": dict(self.drawn), **rest, "reason": self.reason or None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The trials of a search, sorted by number."""

    name: str
    source: str
    dataset_sha256: str
    objectives: tuple[str, ...]  # the first is maximized, the second minimized
    space: Mapping[str, Any]
    left_out: tuple[str, ...]
    base: Mapping[str, Any]  # the recipe that all trials start from
    best: tuple[int, ...]  # the Pareto front; the best of the first objective comes first
    importance: Mapping[str, float]  # of each option for the first objective; the sum is 1
    trials: tuple[TrialRow, ...]

    def of(self, state: State) -> tuple[TrialRow, ...]:
        return tuple(trial for trial in self.trials if trial.state is state)

    def trial(self, number: int) -> TrialRow:
        return next(trial for trial in self.trials if trial.number == number)

    @property
    def ranked(self) -> tuple[TrialRow, ...]:
        """Return the complete trials, the best one of the first objective first."""
        return tuple(sorted(self.of(State.COMPLETE), key=lambda trial: (-trial.values[0], trial.number)))

    def record(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "name": self.name,
            "dataset": {"sha256": self.dataset_sha256, "source": self.source},
            "split": "validation",
            "objectives": list(self.objectives),
            "space": dict(self.space),
            "left_out": list(self.left_out),
            "base": dict(self.base),
            "best": list(self.best),
            "importance": dict(self.importance),
            "trials": [trial.record() for trial in self.trials],
        }
