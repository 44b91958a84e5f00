"""Provide the plan of one fit: what decides it except the model and its feed, without TensorFlow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from trainer.recipe.recipe import Goal, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPlan:
    """Everything that decides a fit except the model and its feed."""

    name: str  # shown in the progress line
    epochs: int
    rate: float  # the highest of the schedule
    seed: int
    schedule: Schedule = Schedule.COSINE
    warm_up: float = 0.0  # epochs until the rate is reached
    label_smoothing: float = 0.0
    ema: float = 0.0  # decay per step of the averaged weights; 0 disables them
    patience: int = 0  # epochs without improvement before the fit stops; 0: never
    goal: Goal = Goal.BALANCED_ACCURACY

    def rate_at(self, step: int, *, steps: int) -> float:
        """Return the learning rate of a step, counted from 0, where an epoch has `steps`.

        Two epochs of 100 steps at 1.0, no warm-up: step 0 → 1.0, step 100 → 0.5, step 199 → 0.00006.
        """
        # Linear warm-up, then half a cosine from the full rate to 0.
        warm_up, total = self.warm_up * steps, self.epochs * steps
        if step < warm_up:
            return self.rate * (step + 1) / (math.floor(warm_up) + 1)
        if self.schedule is Schedule.CONSTANT:
            return self.rate
        return self.rate * (1 + math.cos(math.pi * (step - warm_up) / max(total - warm_up, 1))) / 2
