"""How fast a fit goes, and how long it still takes: unsaid before it can be known."""

from __future__ import annotations

from collections.abc import Sequence

LEAST_STEPS, LEAST_S = 3, 2.0  # beside the first step, before a time that is left means anything


def step_s(ends: Sequence[float]) -> float | None:
    """What a step takes, by when each one ended; the first, which builds the graph, does not count."""
    return (ends[-1] - ends[0]) / (len(ends) - 1) if len(ends) > 1 else None


def left_within(ends: Sequence[float], *, steps: int) -> float | None:
    """Seconds for so many steps more; ends of 40, 41, 42, 43 and 60 steps more → 60.0."""
    each = step_s(ends)
    if each is None or len(ends) <= LEAST_STEPS or ends[-1] - ends[0] < LEAST_S:
        return None
    return steps * each


def left_after(ends: Sequence[float], *, began: float, now: float, epochs: int) -> float:
    """Seconds for so many epochs more, as long as this one with its validation, but for its slow start."""
    each = step_s(ends)
    slow = ends[0] - began - each if each is not None else 0.0
    return epochs * (now - began - max(slow, 0.0))
