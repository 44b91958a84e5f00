"""Score how well a model's distance separates the pictures of foreign datasets from those of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dermpack.contract import FamiliarityOutput, QualityGates
from dermpack.dataset.manifest import Dataset, Picture, Split, require_pictures
from dermpack.dataset.views import name_joined_groups
from dermpack.errors import InputError
from dermpack.imaging.quality import measure_quality
from dermpack.inference.classifier import ClassifierOutputs
from dermpack.metrics.predictions import Floats
from dermpack.metrics.unknown_pictures import UnknownComparison, UnknownScore, compare_separation
from dermpack.progress import Track, silent


class PictureRunner(Protocol):
    """Runs picture files: a loaded model."""

    def run_files(
        self, files: Sequence[Path], *, track: Track = silent
    ) -> Iterator[tuple[NDArray[np.uint8], ClassifierOutputs]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownRequest:
    """The foreign datasets, and a model with what its contract states about unknown pictures."""

    runner: PictureRunner
    familiarity: FamiliarityOutput
    gates: QualityGates | None
    datasets: tuple[Dataset, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DistancedPictures:
    """The probabilities and the distance of each picture, and the number of pictures with each fault."""

    groups: tuple[str, ...]
    probabilities: Floats
    distances: Floats
    faults: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownSet:
    """The figures of one foreign dataset; its pictures of all splits are unknown ones."""

    name: str
    sha256: str
    comparison: UnknownComparison
    known_faults: Mapping[str, int]  # pictures that the quality gates refuse, by fault
    unknown_faults: Mapping[str, int]

    def record(self) -> dict[str, Any]:
        """Return the JSON form."""
        faults = {"known": dict(self.known_faults), "unknown": dict(self.unknown_faults)}
        return {"name": self.name, "sha256": self.sha256, **self.comparison.record(), "faults": faults}


def score_pictures(
    runner: PictureRunner,
    gates: QualityGates | None,
    dataset: Dataset,
    pictures: Sequence[Picture],
    *,
    track: Track = silent,
) -> DistancedPictures:
    """Run a model that returns a distance on pictures of a dataset."""
    probabilities, distances, faults = [], [], Counter[str]()
    files = [dataset.file(picture) for picture in pictures]
    for pixels, outputs in runner.run_files(files, track=track):
        measured = outputs.familiarity
        if measured is None or not (np.isfinite(measured) & (measured >= 0)).all():
            what = "the distance of a picture is negative or not a finite number"
            raise InputError(dataset.folder, what, "Convert the run again.", code="invalid-output")
        probabilities.append(outputs.probabilities)
        distances.append(measured)
        if gates is not None:
            found = (measure_quality(square).find_fault(gates) for square in pixels)
            faults.update(fault.value for fault in found if fault is not None)
    return DistancedPictures(
        groups=name_joined_groups(pictures),
        probabilities=np.concatenate(probabilities),
        distances=np.concatenate(distances),
        faults=dict(sorted(faults.items())),
    )


def check_unknown(datasets: Sequence[Dataset]) -> None:
    """Raise before a model is loaded if a picture of a foreign dataset is missing."""
    for dataset in datasets:
        require_pictures(dataset, tuple(Split))


def compare_unknown_sets(
    request: UnknownRequest, known: DistancedPictures, *, resamples: int, seed: int, track: Track = silent
) -> tuple[UnknownSet, ...]:
    """Compare the pictures of each foreign dataset with the known ones."""
    sets = []
    for dataset in request.datasets:
        unknown = score_pictures(request.runner, request.gates, dataset, dataset.pictures, track=track)
        first, second = _familiarity(known), _familiarity(unknown)
        comparison = compare_separation(
            (first, second),
            (_confidence(known), _confidence(unknown)),
            threshold=request.familiarity.threshold,
            resamples=resamples,
            seed=seed,
        )
        sets.append(
            UnknownSet(
                name=dataset.folder.resolve().name,
                sha256=dataset.sha256,
                comparison=comparison,
                known_faults=known.faults,
                unknown_faults=unknown.faults,
            )
        )
    return tuple(sets)


def _familiarity(scored: DistancedPictures) -> UnknownScore:
    return UnknownScore(groups=scored.groups, values=scored.distances)


def _confidence(scored: DistancedPictures) -> UnknownScore:
    """Return one minus the probability of the most probable label, which is high where a model is unsure."""
    return UnknownScore(groups=scored.groups, values=1 - scored.probabilities.max(axis=1))
