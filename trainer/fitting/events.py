"""Provide the progress of a fit: the epochs of its history, its events, and how long it still takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

MIN_STEPS, MIN_S = 3, 2.0  # after the first step, before an estimate of the remaining time is useful


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One line of a history; nothing in it depends on the clock."""

    number: int  # from 1
    loss: float  # mean over the training batches
    rate: float  # of the last step
    validation: Mapping[str, float]  # balanced_accuracy, auroc, accuracy, loss


@dataclass(frozen=True, slots=True, kw_only=True)
class FitProgress:
    """The state of a fit after a step, or, with `ended`, after an epoch."""

    name: str
    epoch: int  # from 1
    epochs: int
    step: int
    steps: int
    pictures_per_s: float | None  # None: too early for an estimate
    remaining_s: float | None
    ended: Epoch | None = None
    is_best: bool = False

    def line(self) -> str:
        """Format as head 3/10 · loss 0.934 · balanced accuracy 0.612 · auroc 0.901 · 0:24 left."""
        parts = [f"{self.name} {self.epoch}/{self.epochs}"]
        if self.ended is None:
            parts.append(f"step {self.step}/{self.steps}")
        else:
            figures = self.ended.validation
            parts.append(f"loss {self.ended.loss:.3f}")
            parts.append(f"balanced accuracy {figures['balanced_accuracy']:.3f}")
            parts.append(f"auroc {figures['auroc']:.3f}")
        if self.pictures_per_s is not None:
            parts.append(f"{self.pictures_per_s:.0f} pictures/s")
        if self.remaining_s is not None:
            parts.append(f"{_format_duration(self.remaining_s)} left")
        if self.is_best:
            parts.append("best")
        return " · ".join(parts)


ProgressCallback: TypeAlias = Callable[[FitProgress], None]  # called after every step and epoch


def seconds_per_step(step_ends: Sequence[float]) -> float | None:
    """Return how long a step takes, given when each ended; the first compiles the graph and is left out."""
    return (step_ends[-1] - step_ends[0]) / (len(step_ends) - 1) if len(step_ends) > 1 else None


def remaining_in_fit_s(step_ends: Sequence[float], *, steps: int) -> float | None:
    """Return how long these steps will take: ends of 40, 41, 42, 43 and 60 steps → 60.0."""
    # The first estimates would be far off: too few steps, or too little time, to average over.
    step_s = seconds_per_step(step_ends)
    if step_s is None or len(step_ends) <= MIN_STEPS or step_ends[-1] - step_ends[0] < MIN_S:
        return None
    return steps * step_s


def remaining_after_epoch_s(step_ends: Sequence[float], *, began: float, now: float, epochs: int) -> float:
    """Return how long these epochs will take: each as long as this one, but without its slow first step."""
    step_s = seconds_per_step(step_ends)
    # What the first step took beyond an ordinary one was spent on compiling the graph.
    slow_start_s = step_ends[0] - began - step_s if step_s is not None else 0.0
    return epochs * (now - began - max(slow_start_s, 0.0))


def _format_duration(seconds: float) -> str:
    """Format 24.4 as 0:24 and 5231 as 1:27:11."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_of_hour = divmod(minutes, 60)
    return f"{hours}:{minutes_of_hour:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
