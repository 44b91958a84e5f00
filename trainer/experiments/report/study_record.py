"""What a study found: a row a recipe, in the figures that everything else is rendered from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from dermpack.metrics.paired_difference import Difference, Discordance
from dermpack.metrics.summary import Figure, Scores

SCHEMA = 1
COMPARED = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "accuracy": "accuracy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TestedDataset:
    """A dataset that recipes are tested on; `split` is scored."""

    source: str
    sha256: str
    split: str
    counts: Mapping[str, int]  # of each split
    notes: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "counts": dict(self.counts), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseComparison:
    """Held against the base recipe, on the same pictures and under the same draws."""

    differences: Mapping[str, Difference]
    discordance: Discordance

    def record(self) -> dict[str, Any]:
        differences = {name: _difference_record(of) for name, of in self.differences.items()}
        return {"differences": differences, "mcnemar": asdict(self.discordance)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetScores:
    """What one recipe reached on one of the datasets."""

    scores: Scores
    versus: BaseComparison | None  # None for the base itself, or where it failed

    def record(self) -> dict[str, Any]:
        return {"scores": self.scores.record(), "versus_base": self.versus and self.versus.record()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """Epochs of all phases in a row; `starts` names the phases and the epoch before each."""

    starts: tuple[tuple[str, int], ...]
    loss: tuple[float, ...]
    validation: Mapping[str, tuple[float, ...]]

    def record(self) -> dict[str, Any]:
        figures = {name: [_finite(value) for value in values] for name, values in self.validation.items()}
        starts = [{"phase": name, "after_epoch": epoch} for name, epoch in self.starts]
        return {"starts": starts, "loss": list(self.loss), "validation": figures}


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRecipe:
    """A recipe that came to its end."""

    run: str  # relative to the study
    weights_sha256: str
    parameters: int
    size_bytes: int  # of the weights as they lie in the run
    training_seconds: float  # over all attempts, without preparing pictures; measured, never the same twice
    splits: Mapping[str, Mapping[str, float]]  # train and validation → figure → value
    tests: tuple[DatasetScores, ...]  # one a dataset, in the order of the study's
    curve: Curve
    remarks: tuple[str, ...]
    versions: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        plain = ("run", "weights_sha256", "parameters", "size_bytes", "training_seconds")
        return {
            **{name: getattr(self, name) for name in plain},
            "splits": {split: _finite_values(figures) for split, figures in self.splits.items()},
            "tests": [tested.record() for tested in self.tests],
            "history": self.curve.record(),
            "remarks": list(self.remarks),
            "versions": dict(self.versions),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """A recipe with what became of it; `reason` is empty where it was trained."""

    name: str
    recipe: Mapping[str, Any]
    trained: TrainedRecipe | None
    reason: str = ""

    def record(self) -> dict[str, Any]:
        known = self.trained.record() if self.trained else {"failed": self.reason}
        return {"recipe": dict(self.recipe), **known}


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A table of recipes on one dataset, tested on its test split and on other datasets."""

    name: str
    classes: tuple[str, ...]
    datasets: tuple[TestedDataset, ...]  # the first is the one that was trained on
    base: str
    metric: str  # the validation figure that names the best
    rows: tuple[StudyRow, ...]
    waiting: tuple[str, ...] = ()  # recipes that were not begun, or not ended, when this was written

    @property
    def finished(self) -> tuple[tuple[StudyRow, TrainedRecipe], ...]:
        """The rows that have figures."""
        return tuple((row, row.trained) for row in self.rows if row.trained)

    @property
    def best(self) -> str:
        """The recipe of the best validation figure, the earlier of equals; the test split has no say."""
        found = [(trained.splits["validation"][self.metric], row.name) for row, trained in self.finished]
        known = [(value, name) for value, name in found if value == value]
        return max(known, key=lambda pair: pair[0])[1] if known else ""

    def record(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "name": self.name,
            "classes": list(self.classes),
            "datasets": [dataset.record() for dataset in self.datasets],
            "base": self.base,
            "metric": self.metric,
            "best": self.best or None,
            "order": [row.name for row in self.rows],
            "recipes": {row.name: row.record() for row in self.rows},
            "waiting": list(self.waiting),
        }


def tested_figure(trained: TrainedRecipe, name: str, *, dataset: int = 0) -> Figure:
    return trained.tests[dataset].scores.figures[name]


def _difference_record(of: Difference) -> dict[str, Any]:
    return {
        **{"base": _finite(of.first), "this": _finite(of.second)},
        **{"difference": _finite(of.difference), "ci95": of.ci95 and list(of.ci95)},
    }


def _finite_values(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in figures.items()}


def _finite(value: float) -> float | None:
    """JSON has no NaN: a figure that does not exist is null."""
    return value if value == value else None
