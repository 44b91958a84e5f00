"""Intervals and paired differences: over groups, seeded, honest where there is one group."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dermpack.metrics import definitions as metrics
from dermpack.metrics import intervals
from dermpack.metrics.predictions import Predictions
from tests.dermpack.metrics.test_definitions import exact, made
from tests.support.errors import raises_code


def repeated(predictions: Predictions, times: int) -> Predictions:
    """Each picture so many times, all of one group: the strongest correlation there is."""
    return predictions.take(np.repeat(np.arange(len(predictions)), times))


def width(predictions: Predictions) -> float:
    found = intervals.percentile_interval(intervals.bootstrap(predictions, metrics.score_overall)["accuracy"])
    assert found is not None
    return found[1] - found[0]


def test_groups_make_an_interval_wider_than_pictures_do() -> None:
    grouped = repeated(made(60, 3), 5)
    alone = replace(grouped, groups=("",) * len(grouped))
    assert width(grouped) > 1.7 * width(alone)  # the root of five is 2.2


def test_an_interval_of_repeated_pictures_is_that_of_the_groups() -> None:
    assert width(repeated(made(60, 3), 5)) == pytest.approx(width(made(60, 3)), abs=1e-9)


def test_the_spread_of_accuracy_is_that_of_a_proportion() -> None:
    predictions = made(400, 3)
    share = metrics.accuracy(predictions)
    expected = 2 * 1.96 * np.sqrt(share * (1 - share) / 400)
    assert width(predictions) == pytest.approx(expected, rel=0.1)


def test_the_same_seed_draws_the_same_groups() -> None:
    predictions = made(50, 3)
    first, second = (intervals.bootstrap(predictions, metrics.score_by_label, seed=4) for _ in range(2))
    assert all(np.array_equal(first[name], second[name], equal_nan=True) for name in first)


def test_another_seed_draws_others() -> None:
    first, second = (intervals.bootstrap(made(50, 3), metrics.score_overall, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first["accuracy"], second["accuracy"])


def test_memory_in_parts_draws_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = intervals.bootstrap(made(50, 3), metrics.score_overall, resamples=100)
    monkeypatch.setattr(intervals, "CHUNK_WEIGHTS", 50 * 7)
    parts = intervals.bootstrap(made(50, 3), metrics.score_overall, resamples=100)
    assert np.array_equal(whole["auroc"], parts["auroc"])


def test_a_single_group_has_no_draws() -> None:
    predictions = repeated(made(1, 3), 4)
    assert intervals.bootstrap(predictions, metrics.score_overall) == {}


def test_a_figure_that_mostly_does_not_exist_has_no_interval() -> None:
    assert intervals.percentile_interval(np.array([0.5] * 40 + [np.nan] * 60)) is None


def test_a_model_does_not_differ_from_itself() -> None:
    predictions = made(50, 3)
    same = intervals.compare_metric(predictions, predictions, metrics.weighted_balanced_accuracy)
    assert (same.difference, same.ci95) == (0.0, (0.0, 0.0))
    assert intervals.mcnemar(predictions, predictions).p_value == 1.0


def test_a_better_model_differs_beyond_its_interval() -> None:
    worse, better = made(300, 3, skill=0.5), made(300, 3, skill=3.0)
    better = replace(better, truth=worse.truth, probabilities=better.probabilities)
    found = intervals.compare_metric(worse, better, metrics.weighted_auroc, seed=1)
    assert found.difference == pytest.approx(found.second - found.first)
    assert found.ci95 is not None and found.ci95[0] > 0


def test_a_paired_interval_is_narrower_than_the_models_own() -> None:
    first = made(200, 3, skill=1.0)
    nearly = first.probabilities.copy()
    nearly[:10] = nearly[:10, ::-1]
    found = intervals.compare_metric(first, replace(first, probabilities=nearly), metrics.weighted_accuracy)
    assert found.ci95 is not None and found.ci95[1] - found.ci95[0] < width(first) / 2


@pytest.mark.parametrize(("fewer", "more"), [(0, 0), (0, 5), (1, 9), (5, 5), (40, 61), (900, 1100)])
def test_mcnemar_equals_the_exact_binomial_test(fewer: int, more: int) -> None:
    from scipy.stats import binomtest

    both = fewer + more + 1
    right, wrong = [0.9, 0.1], [0.1, 0.9]
    first = exact([0] * both, [right] * fewer + [wrong] * more + [right])
    second = exact([0] * both, [wrong] * fewer + [right] * more + [right])
    found = intervals.mcnemar(first, second)
    expected = binomtest(fewer, fewer + more).pvalue if fewer + more else 1.0
    assert (found.only_first, found.only_second) == (fewer, more)
    assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_models_agree_where_they_predict_the_same() -> None:
    first = exact([0, 0], [[0.9, 0.1], [0.9, 0.1]])
    second = exact([0, 0], [[0.6, 0.4], [0.1, 0.9]])
    assert intervals.top1_agreement(first, second) == 0.5


def test_models_of_other_pictures_are_not_compared() -> None:
    with raises_code("predictions-mismatch"):
        intervals.mcnemar(made(5, 3), made(6, 3))
