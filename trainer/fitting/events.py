"""How a fit says where it stands; somebody else shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One line of a history; nothing in it depends on the clock."""

    number: int  # from 1
    loss: float  # mean over the training batches
    rate: float  # of the last step
    validation: Mapping[str, float]  # balanced_accuracy, auroc, accuracy, loss

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "validation": dict(self.validation)}


def epoch_from(record: Mapping[str, Any]) -> Epoch:
    """Read what `record` wrote; KeyError, TypeError or ValueError where it is something else."""
    figures = {str(name): float(value) for name, value in record["validation"].items()}
    return Epoch(
        number=int(record["number"]),
        loss=float(record["loss"]),
        rate=float(record["rate"]),
        validation=figures,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FitProgress:
    """Where a fit stands: within an epoch, or, with `ended`, at its end."""

    name: str
    epoch: int  # from 1
    epochs: int
    step: int
    steps: int
    pictures_per_s: float | None  # None: too early to know
    remaining_s: float | None
    ended: Epoch | None = None
    is_best: bool = False

    def line(self) -> str:
        """head 3/10 · loss 0.934 · balanced accuracy 0.612 · auroc 0.901 · 812 pictures/s · 0:24 left."""
        parts = [f"{self.name} {self.epoch}/{self.epochs}", *self._figures(), *self._pace()]
        return " · ".join([*parts, "best"] if self.is_best else parts)

    def _figures(self) -> list[str]:
        if self.ended is None:
            return [f"step {self.step}/{self.steps}"]
        figures = self.ended.validation
        return [
            f"loss {self.ended.loss:.3f}",
            f"balanced accuracy {figures['balanced_accuracy']:.3f}",
            f"auroc {figures['auroc']:.3f}",
        ]

    def _pace(self) -> Iterator[str]:
        if self.pictures_per_s is not None:
            yield f"{self.pictures_per_s:.0f} pictures/s"
        if self.remaining_s is not None:
            yield f"{_clock(self.remaining_s)} left"


def _clock(seconds: float) -> str:
    """24.4 → 0:24; 5231 → 1:27:11."""
    minutes, rest = divmod(round(seconds), 60)
    hours, of_hour = divmod(minutes, 60)
    return f"{hours}:{of_hour:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


ProgressCallback: TypeAlias = Callable[[FitProgress], None]  # told of every step; shows what it likes


def unwatched(moment: FitProgress) -> None:
    """Nobody looks."""
    del moment
