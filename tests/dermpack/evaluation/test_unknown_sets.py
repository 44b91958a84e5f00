"""Foreign datasets are scored against the known pictures of a split, with what the contract would decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dermpack.contract import FamiliarityKind, FamiliarityOutput, QualityGates, TensorType
from dermpack.dataset.manifest import Dataset
from dermpack.evaluation.evaluate import evaluate
from dermpack.evaluation.report import evaluation_files
from dermpack.evaluation.unknown_sets import UnknownRequest
from dermpack.imaging.preprocessing import prepare
from dermpack.inference.classifier import ClassifierOutputs
from dermpack.progress import Track, silent
from tests.support.errors import raises_code
from tests.support.evaluation_dataset import make_dataset

SIZE = 24
OUTPUT = FamiliarityOutput(
    shape=(1, 1), dtype=TensorType.FLOAT32, scale=None, zero_point=None, kind=FamiliarityKind.MAHALANOBIS,
    threshold=0.5, accepted=0.95, n=20, split="validation",
)  # fmt: skip
GATES = QualityGates(
    least_sharpness=0, least_brightness=0, most_white_percent=100, accepted=1.0, n=20, split="validation"
)


CLASSES = ("akiec", "mel")
ABOUT = {"kind": "test", "name": "brightness", "sha256": "0"}


class BrightnessRunner:
    """A model that returns the brightness as the distance, and knows no label."""

    classes = CLASSES

    def __init__(self, *, shift: float = 0.0) -> None:
        self._shift = shift

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> NDArray[np.float64]:
        return np.concatenate([outputs.probabilities for _, outputs in self.run_files(files, track=track)])

    def run_files(
        self, files: Sequence[Path], *, track: Track = silent
    ) -> Iterator[tuple[NDArray[np.uint8], ClassifierOutputs]]:
        for file in track(files, total=len(files), what="Running"):
            pixels = prepare(file, SIZE)[None]
            distance = np.array([pixels.mean() / 255 + self._shift])
            yield pixels, ClassifierOutputs(probabilities=np.full((1, 2), 0.5), familiarity=distance)


def dark_and_bright(folder: Path) -> tuple[Dataset, Dataset]:
    known = make_dataset(folder / "dark", labels=("akiec",), classes=CLASSES)
    return known, make_dataset(folder / "bright", labels=("mel",), classes=CLASSES)


def request(runner: BrightnessRunner, *datasets: Dataset, gates: QualityGates = GATES) -> UnknownRequest:
    return UnknownRequest(runner=runner, familiarity=OUTPUT, gates=gates, datasets=datasets)


def test_pictures_at_a_greater_distance_are_separated_and_refused(tmp_path: Path) -> None:
    known, bright = dark_and_bright(tmp_path)
    runner = BrightnessRunner()
    (found,) = evaluate(runner, known, model=ABOUT, unknown=request(runner, bright)).unknown
    comparison = found.comparison
    assert (found.name, comparison.known, comparison.unknown) == ("bright", 24, 25)
    assert (comparison.familiarity.auroc.value, comparison.confidence.auroc.value) == (1.0, 0.5)
    assert comparison.auroc_difference.difference == 0.5
    assert (comparison.known_accepted.value, comparison.unknown_accepted.value) == (1.0, 0.0)


def test_the_known_pictures_are_scored_as_without_foreign_datasets(tmp_path: Path) -> None:
    known, bright = dark_and_bright(tmp_path)
    runner = BrightnessRunner()
    plain = evaluate(runner, known, model=ABOUT)
    both = evaluate(runner, known, model=ABOUT, unknown=request(runner, bright))
    assert both.scores == plain.scores
    assert plain.record()["unknown"] == []


def test_pictures_with_a_fault_are_counted(tmp_path: Path) -> None:
    known, bright = dark_and_bright(tmp_path)
    runner, gates = BrightnessRunner(), replace(GATES, least_brightness=100)
    (found,) = evaluate(runner, known, model=ABOUT, unknown=request(runner, bright, gates=gates)).unknown
    assert (found.known_faults, found.unknown_faults) == ({"too dark": 24}, {})


def test_each_foreign_dataset_is_in_the_record_and_on_the_page(tmp_path: Path) -> None:
    known, bright = dark_and_bright(tmp_path)
    runner = BrightnessRunner()
    evaluation = evaluate(runner, known, model=ABOUT, unknown=request(runner, bright, known))
    assert [one["name"] for one in evaluation.record()["unknown"]] == ["bright", "dark"]
    assert b"Unknown pictures" in evaluation_files(evaluation)["report.html"]


@pytest.mark.parametrize("shift", [float("nan"), -1.0])
def test_a_number_that_is_not_a_distance_is_an_error(tmp_path: Path, shift: float) -> None:
    known, bright = dark_and_bright(tmp_path)
    runner = BrightnessRunner(shift=shift)
    with raises_code("invalid-output"):
        evaluate(runner, known, model=ABOUT, unknown=request(runner, bright))
