"""What a search is for: the pictures, the recipe it starts from, where it looks, and what is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from dermpack.dataset.manifest import Dataset
from trainer.experiments.search.space import Space
from trainer.fitting.plan import Goal
from trainer.recipe.recipe import Recipe


class Objective(Enum):
    """What is searched for; all figures are of the validation split."""

    BALANCED_ACCURACY = "balanced_accuracy"
    AUROC = "auroc"
    ACCURACY_LATENCY = "accuracy,latency"  # balanced accuracy, against milliseconds of the int8 export

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
    """The same for all workers of a search, and from its first trial to its last."""

    dataset: Dataset
    base: Recipe
    space: Space
    objective: Objective

    @property
    def recipe(self) -> Recipe:
        """The base; its epochs are chosen by the figure that is searched for."""
        return replace(self.base, metric=Goal(self.objective.figure))

    def record(self) -> dict[str, Any]:
        return {
            "manifest_sha256": self.dataset.sha256,
            "base": self.recipe.record(),
            "space": self.space.record(),
            "objective": self.objective.value,
        }
