"""The decisions of a contract are fitted again on the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from dermpack.contract import (
    Abstention,
    Contract,
)
from dermpack.dataset.manifest import Dataset, Split
from dermpack.metrics.calibration import calibrate, fit_temperature
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.thresholds import fit_abstention, fit_operating_point
from dermpack.storage.files import sha256_of
from dermpack.verification.check_result import CheckOutcome
from dermpack.verification.scores import ScoredSplit, check_decisions
from tests.support.contracts import LABELS, contract_for, with_probabilities
from tests.support.evaluation_dataset import make_dataset

PICTURES = 120


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("decided") / "set", n=6, labels=LABELS)


def predicted() -> Predictions:
    """Answers that are right more often than not, of every confidence."""
    drawn = np.random.default_rng(0)
    truth = np.arange(PICTURES) % len(LABELS)
    logits = drawn.normal(size=(PICTURES, len(LABELS)))
    logits[np.arange(PICTURES), truth] += 1.5
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = tuple(map(str, range(PICTURES)))
    return Predictions(classes=LABELS, pictures=names, groups=names, truth=truth, probabilities=probabilities)


def converted(dataset: Dataset, *, coverage: float = 0.9) -> Contract:
    """As conversion writes it."""
    soft = fit_temperature(predicted())
    fitted = calibrate(predicted(), soft)
    made = with_probabilities(contract_for(), temperature=soft)
    return replace(
        made,
        abstention=fit_abstention(fitted, coverage=coverage),
        thresholds=(fit_operating_point(fitted, "mel", sensitivity=0.9),),
        parents=replace(made.parents, dataset=dataset.sha256),
    )


def result(stated: Contract, dataset: Dataset, split: Split = Split.VALIDATION) -> Mapping[str, str]:
    """What fails, by the first word of its proof; nothing where all holds."""
    scored = ScoredSplit(split=split, predictions=predicted(), of_float=None)
    checks = check_decisions(scored, stated, dataset)
    return {item.name.split()[0]: item.detail for item in checks if item.outcome is CheckOutcome.FAILS}


def test_what_conversion_fitted_holds(dataset: Dataset) -> None:
    scored = ScoredSplit(split=Split.VALIDATION, predictions=predicted(), of_float=None)
    checks = list(check_decisions(scored, converted(dataset), dataset))
    assert [item.name for item in checks] == [
        *("temperature on validation", "abstention on validation", "threshold of mel on validation"),
    ]
    assert {item.outcome for item in checks} == {CheckOutcome.HOLDS}


def test_another_choice_from_the_curve_holds(dataset: Dataset) -> None:
    assert not result(converted(dataset, coverage=0.6), dataset)


def test_an_invented_abstention_fails_with_curve_and_all(dataset: Dataset) -> None:
    stated = converted(dataset)
    invented = Abstention(threshold=0.05, coverage=0.9, accuracy=0.99, n=PICTURES)
    answer = result(replace(stated, abstention=invented), dataset)
    assert list(answer) == ["abstention"]
    assert "abstention.threshold is 0.05, fitted again 0." in answer["abstention"]
    assert "its coverage here is 1.000, but 0.900 in the contract" in answer["abstention"]


def test_an_invented_threshold_of_a_label_fails(dataset: Dataset) -> None:
    stated = converted(dataset)
    answer = result(replace(stated, thresholds=(replace(stated.thresholds[0], threshold=0.9),)), dataset)
    assert list(answer) == ["threshold"]
    assert "the threshold is 0.9, fitted again" in answer["threshold"]


def test_an_invented_temperature_fails(dataset: Dataset) -> None:
    stated = converted(dataset)
    soft = stated.probabilities.temperature
    assert soft is not None
    other = with_probabilities(stated, temperature=replace(soft, value=4 * soft.value))
    assert "the temperature is" in result(other, dataset)["temperature"]


def test_thresholds_of_another_split_or_dataset_are_not_fitted_again(dataset: Dataset) -> None:
    stated = converted(dataset)
    wrong = replace(stated, thresholds=(replace(stated.thresholds[0], threshold=0.9),))
    foreign = replace(wrong, parents=replace(stated.parents, dataset=sha256_of(b"other")))
    assert not result(wrong, dataset, Split.TEST)
    assert not result(foreign, dataset)
