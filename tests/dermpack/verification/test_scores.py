"""The figures of a contract are compared with a new evaluation of its file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermpack.contract import Accuracy, ComparedFigure, Contract
from dermpack.dataset.manifest import Dataset, Split
from dermpack.inference.interpreter_host import Kernels, Runtime
from dermpack.metrics.predictions import Floats
from dermpack.progress import Track, silent
from dermpack.storage.files import sha256_of
from dermpack.verification.check_result import Check, CheckOutcome
from dermpack.verification.interpreter_runs import InterpreterRun, open_sample_pictures
from dermpack.verification.output_agreement import CachedPredictor, FloatNetwork, check_network
from dermpack.verification.scores import check_scores, list_splits, score_split
from tests.support.contracts import LABELS, contract_for
from tests.support.evaluation_dataset import make_dataset

RIGHT_OF_TEN = 8


class Guess:
    """A predictor that is right on some of every ten pictures, with a fixed confidence."""

    classes = LABELS

    def __init__(self, dataset: Dataset, *, right: int = RIGHT_OF_TEN, confidence: float = 0.9) -> None:
        self._labels = {dataset.file(picture): picture.label for picture in dataset.pictures}
        self._right, self._confidence = right, confidence

    def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
        rows = [self._row(at, LABELS.index(self._labels[file])) for at, file in enumerate(files)]
        return np.array(list(track(rows, total=len(rows), what="Guessing")))

    def _row(self, at: int, truth: int) -> Floats:
        row = np.full(len(LABELS), (1 - self._confidence) / (len(LABELS) - 1))
        row[truth if at % 10 < self._right else (truth + 1) % len(LABELS)] = self._confidence
        return row


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "set", n=60, labels=LABELS)


def contract(dataset: Dataset, *, accuracy: float = 0.8, difference: float = 0.0, n: int = 60) -> Contract:
    """A contract with the one figure, of the test split."""
    figure = ComparedFigure(
        metric="accuracy",
        of_float=accuracy - difference,
        of_file=accuracy,
        difference=difference,
        ci95=(difference - 0.02, difference + 0.02),
    )
    made = contract_for()
    return replace(
        made,
        parents=replace(made.parents, dataset=dataset.sha256),
        accuracy=(Accuracy(split="test", n=n, agreement=1.0, figures=(figure,)),),
    )


def checks(dataset: Dataset, stated: Contract, network: Guess | None = None) -> dict[str, Check]:
    scored = score_split(Guess(dataset), network, dataset, Split.TEST)
    return {check.name: check for check in check_scores(scored, stated, dataset)}


def test_a_correct_figure_passes(dataset: Dataset) -> None:
    check = checks(dataset, contract(dataset))["accuracy on test"]
    assert check.outcome is CheckOutcome.HOLDS
    assert check.figures["value"] == pytest.approx(0.8)


def test_an_invented_figure_fails(dataset: Dataset) -> None:
    check = checks(dataset, contract(dataset, accuracy=0.99))["accuracy on test"]
    assert check.outcome is CheckOutcome.FAILS
    assert "outside the interval" in check.detail


def test_an_invented_difference_fails(dataset: Dataset) -> None:
    check = checks(dataset, contract(dataset, difference=0.1), Guess(dataset))["accuracy on test"]
    assert check.outcome is CheckOutcome.FAILS
    assert "+0.0000 from float is outside the recorded interval" in check.detail


def test_fewer_pictures_than_recorded_fail(dataset: Dataset) -> None:
    assert checks(dataset, contract(dataset, n=61))["pictures of test"].outcome is CheckOutcome.FAILS


def test_figures_of_another_dataset_are_noted_only(dataset: Dataset) -> None:
    stated = contract(dataset, accuracy=0.99)
    foreign = replace(stated, parents=replace(stated.parents, dataset=sha256_of(b"other")))
    result = checks(dataset, foreign)
    assert {check.outcome for check in result.values()} == {CheckOutcome.NOTED}
    assert "another dataset" in result["accuracy on test"].detail


def test_the_paired_difference_to_the_network_is_measured(dataset: Dataset) -> None:
    stated = contract(dataset, difference=-0.1)
    check = checks(dataset, stated, Guess(dataset, right=9))["accuracy on test"]
    assert check.outcome is CheckOutcome.HOLDS
    assert check.figures["difference"] == pytest.approx(-0.1)
    assert "difference_ci95_low" in check.figures


def test_another_agreement_than_recorded_fails(dataset: Dataset) -> None:
    result = checks(dataset, contract(dataset), Guess(dataset, right=9))
    assert result["labels on test"].outcome is CheckOutcome.FAILS


def test_recorded_splits_are_scored_too(dataset: Dataset) -> None:
    stated = contract(dataset)
    recorded = replace(stated, accuracy=(replace(stated.accuracy[0], split="train"),))
    assert list_splits(recorded, dataset, Split.TEST) == (Split.TEST, Split.TRAIN)


def network_of(dataset: Dataset, stated: Contract) -> FloatNetwork:
    """The network that the contract names."""
    parents = stated.parents
    assert parents.run is not None and parents.weights is not None
    return FloatNetwork(predictor=Guess(dataset), run_sha256=parents.run, weights_sha256=parents.weights)


def beside(dataset: Dataset, recipe: str, confidence: float) -> dict[str, CheckOutcome]:
    """Compare a network with confidence 0.9 and a file with the given confidence."""
    made = contract_for()
    stated = replace(made, recipe=replace(made.recipe, name=recipe))
    network = network_of(dataset, stated)
    with open_sample_pictures(pictures=1, dataset=dataset, split=Split.TEST) as material:
        files = replace(material, files=material.files[1:], generated=0)
        ran = InterpreterRun(
            engine=Runtime.LITERT,
            kernels=Kernels.BUILTIN,
            version="9.9",
            outputs=Guess(dataset, confidence=confidence)(files.files),
            is_delegated=False,
            problem="",
        )
        return {check.name: check.outcome for check in check_network(network, stated, files, ran)}


@pytest.mark.parametrize(
    ("recipe", "confidence", "outcome"),
    [
        ("float32", 0.9, CheckOutcome.HOLDS),
        ("float32", 0.91, CheckOutcome.FAILS),
        ("float16", 0.88, CheckOutcome.HOLDS),
        ("float16", 0.86, CheckOutcome.FAILS),
        ("int8", 0.85, CheckOutcome.NOTED),
        ("int8", 0.4, CheckOutcome.FAILS),
    ],
)
def test_a_file_is_as_far_from_its_network_as_its_recipe_allows(
    dataset: Dataset, recipe: str, confidence: float, outcome: CheckOutcome
) -> None:
    assert beside(dataset, recipe, confidence) == {"parent": CheckOutcome.HOLDS, "network": outcome}


def test_another_run_than_the_parent_fails(dataset: Dataset) -> None:
    stated = contract_for()
    other = replace(network_of(dataset, stated), run_sha256=sha256_of(b"?"))
    with open_sample_pictures(pictures=1, dataset=None, split=Split.TEST) as material:
        (check,) = check_network(other, stated, material, None)
    assert check.outcome is CheckOutcome.FAILS
    assert "another run" in check.detail


def test_a_network_predicts_each_picture_once(dataset: Dataset) -> None:
    requested: list[Path] = []

    class Asked(Guess):
        def __call__(self, files: Sequence[Path], *, track: Track = silent) -> Floats:
            requested.extend(files)
            return super().__call__(files, track=track)

    files = [dataset.file(picture) for picture in dataset.pictures[:4]]
    remembered = CachedPredictor(Asked(dataset))
    first = remembered(files)
    assert np.array_equal(remembered(files[::-1]), first[::-1])
    assert requested == files
