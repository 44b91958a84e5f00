"""What was fitted on validation is scored on other pictures, with intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dermpack.metrics.abstention import abstain
from dermpack.metrics.operating_points import answered, reached
from dermpack.metrics.thresholds import operating_threshold
from tests.dermpack.metrics.test_definitions import exact, made


def test_on_its_own_pictures_a_threshold_reaches_what_it_was_fitted_for() -> None:
    predictions = made(200, 3, skill=2.0)
    point = operating_threshold(predictions, "c1", sensitivity=0.9)
    found = reached(predictions, point)
    assert (found.sensitivity.value, found.specificity.value) == pytest.approx(
        (point.sensitivity, point.specificity)
    )


def test_on_other_pictures_a_threshold_has_intervals_around_what_it_reaches() -> None:
    point = operating_threshold(made(200, 3, skill=2.0), "c1", sensitivity=0.9)
    found = reached(made(200, 3, seed=9, skill=2.0), point)
    low, high = found.sensitivity.ci95 or (1.0, 0.0)
    assert low < (found.sensitivity.value or 0.0) < high


def test_a_threshold_of_a_label_without_pictures_has_no_sensitivity() -> None:
    point = operating_threshold(made(200, 2), "c1", sensitivity=0.9)
    other = exact([0, 0], [[0.7, 0.3], [0.4, 0.6]])
    found = reached(replace(other, classes=("c0", "c1")), point)
    assert found.record()["sensitivity"] is None
    assert found.positives == 0


def test_an_abstention_answers_here_what_is_sure_here() -> None:
    chosen = abstain(made(200, 3, skill=2.0), coverage=0.8)
    other = made(200, 3, seed=9, skill=2.0)
    sure = other.confidence >= chosen.threshold
    found = answered(other, chosen)
    assert found.coverage.value == pytest.approx(np.mean(sure))
    assert found.accuracy.value == pytest.approx(other.correct[sure].mean())


def test_where_nothing_is_sure_there_is_no_accuracy() -> None:
    chosen = abstain(exact([0, 1], [[0.99, 0.01], [0.01, 0.99]]), coverage=0.5)
    record = answered(exact([0, 1], [[0.6, 0.4], [0.4, 0.6]]), chosen).record()
    assert (record["coverage"], record["accuracy"]) == (0.0, None)
