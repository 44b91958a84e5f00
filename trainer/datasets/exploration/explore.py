"""Look at a dataset before anybody trains on it: what is there, what is missing, what is odd."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dermpack.dataset.manifest import Dataset, Finding
from dermpack.metrics.identifier_columns import identifies
from dermpack.progress import Track, silent
from trainer.datasets.exploration.columns import Column, ColumnKind, read_columns
from trainer.datasets.exploration.crosstab import Crosstab, cross
from trainer.datasets.exploration.importance import Importance, importance
from trainer.datasets.exploration.imputation import Imputation, imputation
from trainer.datasets.exploration.relations import PictureRelations, kinship
from trainer.datasets.exploration.resolution import Resolution, resolution
from trainer.datasets.layouts.omission import FAULTLESS

MAX_CROSSED = 24  # columns that get plots of their own; the others stand in the table of columns
CROSSED = (ColumnKind.NUMBERS, ColumnKind.CATEGORIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exploration:
    """Everything that the report shows, as values."""

    classes: tuple[str, ...]
    counts: dict[str, dict[str, int]]  # split → class → pictures
    groups: dict[str, dict[str, int]]  # split → class → groups
    crossings: tuple[Crosstab, ...]
    resolution: Resolution | None  # None: no picture
    kinship: PictureRelations
    refused: tuple[tuple[str, int], ...]  # reason, pictures
    notes: tuple[tuple[str, int], ...]  # kind, pictures
    imputations: tuple[Imputation, ...]
    importance: Importance
    absent: int = 0  # pictures that are not where the dataset looks for them

    @property
    def pictures(self) -> int:
        return sum(sum(split.values()) for split in self.counts.values())

    @property
    def left_out(self) -> int:
        """Pictures that an import could not use; folders and classes that nobody asked for are none."""
        return sum(n for kind, n in self.refused if kind not in FAULTLESS)

    def of_class(self, label: str) -> int:
        return sum(split[label] for split in self.counts.values())


def explore(dataset: Dataset, *, seed: int, track: Track = silent) -> Exploration:
    """Count, cross and measure; no picture is opened."""
    columns = _read(dataset)
    labels = [picture.label for picture in dataset.pictures]
    crossed = [column for column in columns if column.kind in CROSSED][:MAX_CROSSED]
    tracked = track(crossed, total=len(crossed), what="columns") if crossed else ()
    return Exploration(
        classes=dataset.classes,
        counts=dataset.counts(),
        groups=_groups(dataset),
        crossings=tuple(cross(column, labels, dataset.classes) for column in tracked),
        resolution=resolution(dataset.pictures),
        kinship=kinship(dataset.pictures),
        refused=_by_kind(dataset.refused),
        notes=_by_kind(dataset.notes),
        imputations=tuple(imputation(column, dataset.pictures) for column in columns),
        importance=importance(dataset, columns, seed=seed),
    )


def _read(dataset: Dataset) -> tuple[Column, ...]:
    """A column that identifies is one of names, whatever its cells look like: no value of it is shown."""
    return tuple(
        replace(column, kind=ColumnKind.NAMES) if identifies(dataset, column.name) else column
        for column in read_columns(dataset.manifest)
    )


def _groups(dataset: Dataset) -> dict[str, dict[str, int]]:
    pairs = {(p.split.value, p.label, p.group or p.path) for p in dataset.pictures}
    counted = Counter((split, label) for split, label, _ in pairs)
    return {split: {name: counted[split, name] for name in of} for split, of in dataset.counts().items()}


def _by_kind(findings: Sequence[Finding]) -> tuple[tuple[str, int], ...]:
    counted = Counter(finding.kind for finding in findings)
    return tuple(sorted(counted.items(), key=lambda pair: (-pair[1], pair[0])))
