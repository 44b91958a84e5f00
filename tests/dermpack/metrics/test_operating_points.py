"""Thresholds fitted on the validation split are scored on other pictures, with intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dermpack.metrics.thresholds import (
    fit_abstention,
    fit_operating_point,
    score_abstention,
    score_operating_point,
)
from tests.dermpack.metrics.test_definitions import exact, made


def test_on_its_own_pictures_a_threshold_reaches_what_it_was_fitted_for() -> None:
    predictions = made(200, 3, skill=2.0)
    point = fit_operating_point(predictions, "c1", sensitivity=0.9)
    found = score_operating_point(predictions, point)
    assert (found.sensitivity.value, found.specificity.value) == pytest.approx(
        (point.sensitivity, point.specificity)
    )


def test_on_other_pictures_a_threshold_has_intervals_around_what_it_reaches() -> None:
    point = fit_operating_point(made(200, 3, skill=2.0), "c1", sensitivity=0.9)
    found = score_operating_point(made(200, 3, seed=9, skill=2.0), point)
    low, high = found.sensitivity.ci95 or (1.0, 0.0)
    assert low < (found.sensitivity.value or 0.0) < high


def test_a_threshold_of_a_label_without_pictures_has_no_sensitivity() -> None:
    point = fit_operating_point(made(200, 2), "c1", sensitivity=0.9)
    other = exact([0, 0], [[0.7, 0.3], [0.4, 0.6]])
    found = score_operating_point(replace(other, classes=("c0", "c1")), point)
    assert found.record()["sensitivity"] is None
    assert found.positives == 0


def test_an_abstention_answers_the_confident_pictures() -> None:
    chosen = fit_abstention(made(200, 3, skill=2.0), coverage=0.8)
    other = made(200, 3, seed=9, skill=2.0)
    sure = other.confidence >= chosen.threshold
    found = score_abstention(other, chosen)
    assert found.coverage.value == pytest.approx(np.mean(sure))
    assert found.accuracy.value == pytest.approx(other.correct[sure].mean())


def test_without_confident_pictures_there_is_no_accuracy() -> None:
    chosen = fit_abstention(exact([0, 1], [[0.99, 0.01], [0.01, 0.99]]), coverage=0.5)
    record = score_abstention(exact([0, 1], [[0.6, 0.4], [0.4, 0.6]]), chosen).record()
    assert (record["coverage"], record["accuracy"]) == (0.0, None)
