"""What a contract decides by is fitted again on the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np
import pytest

from dermpack.contract import (
    AbstentionRecord,
    Contract,
    CoveragePointRecord,
    OperatingPointRecord,
    TemperatureRecord,
)
from dermpack.dataset.manifest import Dataset, Split
from dermpack.metrics.abstention import abstain
from dermpack.metrics.calibration import calibrated, fit_temperature
from dermpack.metrics.predictions import Predictions
from dermpack.metrics.thresholds import operating_threshold
from dermpack.storage.files import sha256_of
from dermpack.verification import CheckOutcome
from dermpack.verification.scores import ScoredSplit
from dermpack.verification.thresholds import check_decisions
from tests.support.contracts import LABELS, contract_for
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
    fitted = calibrated(predicted(), soft)
    rule = asdict(abstain(fitted, coverage=coverage))
    curve = tuple(CoveragePointRecord(**point) for point in rule["curve"])
    made = contract_for()
    return replace(
        made,
        output=replace(made.output, temperature=TemperatureRecord(**asdict(soft))),
        abstention=AbstentionRecord(**{**rule, "curve": curve}),
        thresholds=(OperatingPointRecord(**asdict(operating_threshold(fitted, "mel", sensitivity=0.9))),),
        parents=replace(made.parents, dataset=dataset.sha256),
    )


def found(said: Contract, dataset: Dataset, split: Split = Split.VALIDATION) -> Mapping[str, str]:
    """What fails, by the first word of its proof; nothing where all holds."""
    scored = ScoredSplit(split=split, predictions=predicted(), of_float=None)
    proofs = check_decisions(scored, said, dataset)
    return {of.name.split()[0]: of.detail for of in proofs if of.outcome is CheckOutcome.FAILS}


def test_what_conversion_fitted_holds(dataset: Dataset) -> None:
    scored = ScoredSplit(split=Split.VALIDATION, predictions=predicted(), of_float=None)
    proofs = list(check_decisions(scored, converted(dataset), dataset))
    assert [of.name for of in proofs] == [
        *("temperature on validation", "abstention on validation", "threshold of mel on validation"),
    ]
    assert {of.outcome for of in proofs} == {CheckOutcome.HOLDS}


def test_another_choice_from_the_curve_holds(dataset: Dataset) -> None:
    assert not found(converted(dataset, coverage=0.6), dataset)


def test_an_invented_abstention_fails_with_curve_and_all(dataset: Dataset) -> None:
    said = converted(dataset)
    invented = AbstentionRecord(threshold=0.05, coverage=0.9, accuracy=0.99, n=PICTURES)
    told = found(replace(said, abstention=invented), dataset)
    assert list(told) == ["abstention"]
    assert "abstention.threshold is 0.05, fitted again 0." in told["abstention"]
    assert "its coverage here is 1.000, the contract says 0.900" in told["abstention"]


def test_an_invented_threshold_of_a_label_fails(dataset: Dataset) -> None:
    said = converted(dataset)
    told = found(replace(said, thresholds=(replace(said.thresholds[0], threshold=0.9),)), dataset)
    assert list(told) == ["threshold"]
    assert "the threshold is 0.9, fitted again" in told["threshold"]


def test_an_invented_temperature_fails(dataset: Dataset) -> None:
    said = converted(dataset)
    soft = said.output.temperature
    assert soft is not None
    other = replace(said, output=replace(said.output, temperature=replace(soft, value=4 * soft.value)))
    assert "output.temperature.value is" in found(other, dataset)["temperature"]


def test_thresholds_of_another_split_or_dataset_are_not_fitted_again(dataset: Dataset) -> None:
    said = converted(dataset)
    wrong = replace(said, thresholds=(replace(said.thresholds[0], threshold=0.9),))
    foreign = replace(wrong, parents=replace(said.parents, dataset=sha256_of(b"other")))
    assert not found(wrong, dataset, Split.TEST)
    assert not found(foreign, dataset)
