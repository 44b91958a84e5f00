"""Temperature, operating points and abstention: fitted exactly, stored and read back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from dermpack.contract import COLDEST, HOTTEST, Abstention, OperatingPoint, Temperature
from dermpack.metrics import calibration, thresholds
from dermpack.metrics.predictions import Predictions
from dermpack.storage.codec import decode, encode
from tests.dermpack.metrics.test_definitions import exact, made
from tests.support.errors import raises_code


def overconfident(sharpness: float) -> Predictions:
    """Truth drawn from the probabilities, which are then sharpened."""
    generator = np.random.default_rng(0)
    honest = made(4000, 4, seed=1, skill=2.0)
    drawn = [generator.choice(4, p=row) for row in honest.probabilities]
    powers = honest.probabilities**sharpness
    sharp = powers / powers.sum(axis=1, keepdims=True)
    return replace(honest, truth=np.array(drawn), probabilities=sharp)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_the_temperature_undoes_what_sharpened_the_probabilities(sharpness: float) -> None:
    assert calibration.fit_temperature(overconfident(sharpness)).value == pytest.approx(sharpness, rel=0.06)


def test_no_other_temperature_is_more_likely() -> None:
    predictions = overconfident(2.0)
    best = calibration.fit_temperature(predictions)
    for factor in (0.999, 1.001):
        other = replace(best, value=best.value * factor)
        rows = calibration.apply_temperature(predictions.probabilities, other)
        likelihood = -np.log(rows[np.arange(len(rows)), predictions.truth]).mean()
        assert likelihood > best.nll_after


def test_a_temperature_lowers_the_calibration_error_and_keeps_the_order() -> None:
    predictions = overconfident(2.5)
    temperature = calibration.fit_temperature(predictions)
    after = calibration.calibrate(predictions, temperature)
    assert temperature.ece_after < temperature.ece_before / 2
    assert (after.predicted == predictions.predicted).all()


def test_probabilities_of_zero_have_a_finite_temperature() -> None:
    predictions = exact([0, 1, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    temperature = calibration.fit_temperature(predictions)
    assert 1 < temperature.value < HOTTEST
    assert np.isfinite(temperature.nll_after)


def test_a_perfect_split_gives_the_coldest_temperature() -> None:
    predictions = exact([0, 1], [[0.9, 0.1], [0.2, 0.8]])
    assert calibration.fit_temperature(predictions).value == pytest.approx(COLDEST)


def test_a_temperature_is_read_back_as_written() -> None:
    temperature = calibration.fit_temperature(made(50, 3))
    assert decode(Temperature, json.loads(json.dumps(encode(temperature)))) == temperature


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), 1e9, "hot", None])
def test_what_is_no_temperature_is_not_read(value: object) -> None:
    record = {**encode(calibration.fit_temperature(made(50, 3))), "value": value}
    with pytest.raises((ValueError, TypeError)):
        decode(Temperature, record)


def test_the_threshold_reaches_the_wanted_sensitivity() -> None:
    predictions = made(500, 3, skill=1.5)
    point = thresholds.fit_operating_point(predictions, "c1", sensitivity=0.95)
    called = predictions.probabilities[:, 1] >= point.threshold
    own = predictions.truth == 1
    assert point.sensitivity == pytest.approx(called[own].mean()) and point.sensitivity >= 0.95
    assert point.specificity == pytest.approx((~called[~own]).mean())


def test_no_higher_threshold_reaches_the_wanted_sensitivity() -> None:
    predictions = made(500, 3, skill=1.5)
    point = thresholds.fit_operating_point(predictions, "c1", sensitivity=0.95)
    own = predictions.probabilities[predictions.truth == 1, 1]
    assert (own > point.threshold).mean() < 0.95


def test_a_threshold_for_every_picture_of_a_label_finds_all_of_them() -> None:
    point = thresholds.fit_operating_point(made(100, 2), "c0", sensitivity=1.0)
    assert point.sensitivity == 1.0


@pytest.mark.parametrize(
    ("label", "sensitivity", "code"),
    [
        ("wart", 0.9, "unknown-label"),
        ("c1", 0.0, "invalid-option"),
        ("c1", 1.5, "invalid-option"),
        ("c2", 0.9, "label-without-pictures"),
    ],
)
def test_a_threshold_that_cannot_be_fitted_is_an_error(label: str, sensitivity: float, code: str) -> None:
    predictions = made(20, 3)
    predictions = replace(predictions, truth=predictions.truth % 2)
    with raises_code(code, label):
        thresholds.fit_operating_point(predictions, label, sensitivity=sensitivity)


def test_an_operating_point_is_read_back_as_written() -> None:
    point = thresholds.fit_operating_point(made(50, 3), "c1", sensitivity=0.9)
    assert decode(OperatingPoint, json.loads(json.dumps(encode(point)))) == point


def test_abstaining_answers_the_wanted_share() -> None:
    predictions = made(400, 4, skill=1.5)
    chosen = thresholds.fit_abstention(predictions, coverage=0.8)
    answered = predictions.confidence >= chosen.threshold
    assert chosen.coverage == pytest.approx(answered.mean()) and chosen.coverage >= 0.8
    assert chosen.accuracy == pytest.approx(predictions.correct[answered].mean())


def test_the_curve_ends_where_all_is_answered() -> None:
    predictions = made(100, 3)
    last = thresholds.coverage_curve(predictions)[-1]
    assert last.coverage == 1.0
    assert last.accuracy == pytest.approx(predictions.correct.mean())


def test_an_abstention_is_read_back_as_written() -> None:
    chosen = thresholds.fit_abstention(made(50, 3), coverage=0.9)
    assert decode(Abstention, json.loads(json.dumps(encode(chosen)))) == chosen


def test_a_temperature_at_its_bound_is_marked() -> None:
    sure = np.tile([0.999, 0.001], (40, 1))
    truth = np.arange(40) % 2
    names = tuple(map(str, range(40)))
    wrong = Predictions(classes=("a", "b"), pictures=names, groups=names, truth=truth, probabilities=sure)
    assert calibration.fit_temperature(wrong).is_bound
    assert not calibration.fit_temperature(made(200, 3)).is_bound
