"""The record of a study, study.json: one row for each recipe. All reports are rendered from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dermpack.metrics.intervals import Difference, Discordance
from dermpack.metrics.summary import Figure, Scores
from dermpack.storage.codec import encode

SCHEMA = 1
COMPARED = {"balanced_accuracy": "balanced accuracy", "auroc": "AUROC", "accuracy": "accuracy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDataset:
    """A dataset that the recipes are tested on; `split` is the scored split."""

    source: str
    sha256: str
    split: str
    counts: Mapping[str, int]  # of each split
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseComparison:
    """Differences to the base recipe, on the same pictures and the same bootstrap draws."""

    differences: Mapping[str, Difference]
    mcnemar: Discordance

    def record(self) -> dict[str, Any]:
        names = {"first": "base", "second": "this"}
        differences = {
            name: {names.get(key, key): value for key, value in encode(difference).items()}
            for name, difference in self.differences.items()
        }
        return {"differences": differences, "mcnemar": encode(self.mcnemar)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetScores:
    """The scores of one recipe on one of the datasets."""

    scores: Scores
    versus: BaseComparison | None  # None for the base itself, or if the base failed

    def record(self) -> dict[str, Any]:
        return {"scores": self.scores.record(), "versus_base": self.versus and self.versus.record()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseStart:
    """A phase of the training, and the number of epochs before it."""

    phase: str
    after_epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The epochs of all phases in sequence."""

    starts: tuple[PhaseStart, ...]
    loss: tuple[float, ...]
    validation: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedRecipe:
    """A recipe whose training has finished."""

    run: str  # relative to the study
    weights_sha256: str
    parameters: int
    size_bytes: int  # of the weights file in the run
    training_seconds: float  # over all attempts, without preparing pictures; measured
    splits: Mapping[str, Mapping[str, float]]  # train and validation → figure → value
    tests: tuple[DatasetScores, ...]  # one for each dataset of the study, in its order
    history: History
    remarks: tuple[str, ...]
    versions: Mapping[str, str]

    def record(self) -> dict[str, Any]:
        return {**encode(self), "tests": [tested.record() for tested in self.tests]}


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """A recipe with its result; `reason` is empty if it was trained."""

    name: str
    recipe: Mapping[str, Any]
    trained: TrainedRecipe | None
    reason: str = ""

    def record(self) -> dict[str, Any]:
        known = self.trained.record() if self.trained else {"failed": self.reason}
        return {"recipe": dict(self.recipe), **known}


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """Several recipes trained on one dataset, tested on its test split and on other datasets."""

    name: str
    classes: tuple[str, ...]
    datasets: tuple[StudyDataset, ...]  # the first one was used for training
    base: str
    metric: str  # the validation figure that selects the best recipe
    rows: tuple[StudyRow, ...]
    waiting: tuple[str, ...] = ()  # recipes that were not finished when this was written

    @property
    def finished(self) -> tuple[tuple[StudyRow, TrainedRecipe], ...]:
        """Return the rows with figures."""
        return tuple((row, row.trained) for row in self.rows if row.trained)

    @property
    def best(self) -> str:
        """Return the recipe with the best validation figure, the first of equal ones."""
        figures = [(trained.splits["validation"][self.metric], row.name) for row, trained in self.finished]
        known = [(value, name) for value, name in figures if value == value]  # without NaN
        return max(known, key=lambda pair: pair[0])[1] if known else ""

    def record(self) -> dict[str, Any]:
        plain = ("name", "classes", "datasets", "base", "metric", "waiting")
        record = {
            **{name: encode(getattr(self, name)) for name in plain},
            "schema": SCHEMA,
            "best": self.best or None,
            "order": [row.name for row in self.rows],
            "recipes": {row.name: row.record() for row in self.rows},
        }
        return {name: _null_for_nan(value) for name, value in record.items()}


def tested_figure(trained: TrainedRecipe, name: str, *, dataset: int = 0) -> Figure:
    """Return a figure of a recipe from the test split of one of the datasets, by default the first."""
    return trained.tests[dataset].scores.figures[name]


def _null_for_nan(value: Any) -> Any:
    """Return a JSON value with None for each NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {name: _null_for_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_null_for_nan(item) for item in value]
    return None if value != value else value
