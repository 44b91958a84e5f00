"""What one fit is asked to do, without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from dermpack.metrics.definitions import auroc, balanced_accuracy
from dermpack.metrics.predictions import Predictions


class Schedule(Enum):
    """How the rate moves after the warm-up."""

    COSINE = "cosine"  # down to nothing at the last step
    CONSTANT = "constant"


class Goal(Enum):
    """The validation figure that names the best epoch; accuracy would favour the largest class."""

    BALANCED_ACCURACY = "balanced_accuracy"
    AUROC = "auroc"

    def of(self, predictions: Predictions) -> float:
        return GOALS[self](predictions)


GOALS: Mapping[Goal, Callable[[Predictions], float]] = {
    Goal.BALANCED_ACCURACY: balanced_accuracy,
    Goal.AUROC: auroc,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPlan:
    """Everything that decides a fit but the model and its feed."""

    name: str  # what the progress line calls it
    epochs: int
    rate: float  # the highest of the schedule
    seed: int
    schedule: Schedule = Schedule.COSINE
    warm_up: float = 0.0  # epochs until the rate is reached
    label_smoothing: float = 0.0
    ema: float = 0.0  # decay a step of the averaged weights; 0 keeps none
    patience: int = 0  # epochs without a better figure before it stops; 0 never stops early
    goal: Goal = Goal.BALANCED_ACCURACY

    def record(self) -> dict[str, Any]:
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value.value if isinstance(value, Enum) else value for name, value in values}

    def rate_at(self, step: int, *, steps: int) -> float:
        """The rate of one step, counted from 0, where an epoch has `steps`.

        Two epochs of 100 steps at 1.0, no warm-up: step 0 → 1.0, step 100 → 0.5, step 199 → 0.00006.
        """
        warm, total = self.warm_up * steps, self.epochs * steps
        if step < warm:
            return self.rate * (step + 1) / (math.floor(warm) + 1)
        if self.schedule is Schedule.CONSTANT:
            return self.rate
        return self.rate * (1 + math.cos(math.pi * (step - warm) / max(total - warm, 1))) / 2
