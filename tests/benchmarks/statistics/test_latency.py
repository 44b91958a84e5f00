"""How long an inference takes, how sure that is, and whether it stayed so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.statistics.latency import (
    Times,
    compare_medians,
    measure_drift,
    rank_sum_p,
    summarize_rounds,
)
from tests.support.measured_examples import timed

TURNS, ROUNDS = 25, 20


def rounds(
    typical_ms: float = 1.0, *, seed: int = 0, turns_by: float = 0.02, by: float = 0.05
) -> NDArray[np.float64]:
    """Rounds of which those of a turn share something."""
    generator = np.random.default_rng(seed)
    shared = np.repeat(generator.normal(size=TURNS) * turns_by, ROUNDS)
    return np.asarray(typical_ms * np.exp(shared + by * generator.normal(size=TURNS * ROUNDS)))


def listed(typical_ms: float = 1.0, *, seed: int = 0) -> list[float]:
    return [float(of) for of in rounds(typical_ms, seed=seed)]


def summarized(rounds_ms: Sequence[float], *, turns: int = 1, seed: int = 0) -> Times:
    return summarize_rounds(replace(timed(), rounds_ms=tuple(rounds_ms), turns=turns), seed=seed)


def test_order_statistics_are_those_of_the_rounds() -> None:
    found = summarized([float(at) for at in range(1, 101)])
    assert (found.rounds, found.min_ms, found.max_ms) == (100, 1.0, 100.0)
    assert (found.median_ms, found.mean_ms) == (50.5, 50.5)
    assert (found.p5_ms, found.p90_ms) == pytest.approx((5.95, 90.1))
    assert (found.p95_ms, found.p99_ms) == pytest.approx((95.05, 99.01))
    assert found.deviation_ms == pytest.approx(29.0115)


def test_a_single_round_has_no_interval() -> None:
    found = summarized([3.0])
    assert (found.median_ms, found.deviation_ms) == (3.0, 0.0)
    assert found.median_ci95_ms is None and found.drift is None


def test_the_interval_contains_the_true_value_as_often_as_stated() -> None:
    intervals = [summarized(listed(seed=seed), turns=TURNS).median_ci95_ms for seed in range(100)]
    holding = [low <= 1 <= high for low, high in filter(None, intervals)]
    assert len(holding) == 100 and np.mean(holding) >= 0.88


def test_rounds_that_share_their_turn_make_the_interval_wide() -> None:
    alone, shared = rounds(turns_by=0.0), rounds(turns_by=0.2)
    widths = []
    for values in (alone, shared):
        found = summarized(values.tolist(), turns=TURNS).median_ci95_ms
        assert found is not None
        widths.append(found[1] - found[0])
    assert widths[1] > 5 * widths[0]


def test_the_same_seed_gives_the_same_interval() -> None:
    assert summarized(listed(), turns=TURNS, seed=3) == summarized(listed(), turns=TURNS, seed=3)
    assert summarized(listed(), turns=TURNS, seed=3) != summarized(listed(), turns=TURNS, seed=4)


def test_many_rounds_are_as_sure_as_they_should_be() -> None:
    values = np.random.default_rng(0).normal(10, 1, size=20_000)
    found = summarized(values.tolist(), turns=TURNS).median_ci95_ms
    assert found is not None
    assert found[0] < 10 < found[1] and found[1] - found[0] < 0.1


def test_steady_rounds_do_not_drift() -> None:
    drifts = [summarized(listed(seed=seed), turns=TURNS).drift for seed in range(50)]
    assert sum(drift is not None and drift.sentence is not None for drift in drifts) <= 1


def test_throttling_is_reported() -> None:
    values = rounds() * np.linspace(1, 1.3, TURNS * ROUNDS)
    found = summarized(values.tolist(), turns=TURNS)
    assert found.drift is not None and found.drift.has_trend and 0.15 < found.drift.change < 0.25
    assert found.drift.sentence is not None
    assert "the end took" in found.drift.sentence and "throttled" in found.drift.sentence


def test_a_slow_beginning_is_reported() -> None:
    drift = summarized((rounds() * np.linspace(1.5, 1, TURNS * ROUNDS)).tolist(), turns=TURNS).drift
    assert drift is not None and drift.change < 0
    assert drift.sentence is not None and drift.sentence.startswith("the beginning took")


def test_unsteady_rounds_are_reported_as_such() -> None:
    busy = np.repeat([2.0 if at % 4 == 0 else 1.0 for at in range(TURNS)], ROUNDS)
    drift = summarized((rounds() * busy).tolist(), turns=TURNS).drift
    assert drift is not None and not drift.has_trend
    assert drift.sentence is not None and "unsteady" in drift.sentence


def test_a_small_drift_is_not_reported_even_if_significant() -> None:
    drift = measure_drift(np.linspace(1, 1.02, 30).tolist())
    assert drift.p_value < 0.001 and drift.sentence is None


@pytest.mark.parametrize(
    ("first", "second", "p_value"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8], [9, 10, 11, 12, 13, 14, 15, 16], 0.000939),
        ([1, 3, 5, 7], [2, 4, 6, 8], 0.665),
        ([1, 1, 1], [1, 1, 1], 1.0),
        ([1, 1, 2, 2], [2, 2, 3, 3], 0.0864),
    ],
)
def test_the_rank_test_is_mann_and_whitneys(first: list[float], second: list[float], p_value: float) -> None:
    assert rank_sum_p(first, second) == pytest.approx(p_value, rel=0.01)


def test_twice_as_fast_is_shown() -> None:
    pair = compare_medians(listed(2.0, seed=1), listed(1.0, seed=2), turns=TURNS)
    assert pair.is_significant and pair.ci95 is not None
    assert pair.ci95[0] < 2 < pair.ci95[1] and pair.times_as_fast == pytest.approx(2, abs=0.05)


def test_no_difference_is_shown_where_there_is_none() -> None:
    is_significant = [
        compare_medians(listed(seed=seed), listed(seed=1000 + seed), turns=TURNS, seed=seed).is_significant
        for seed in range(50)
    ]
    assert np.mean(is_significant) <= 0.1


def test_what_befell_both_in_a_turn_does_not_widen_their_ratio() -> None:
    busy = np.repeat(np.exp(np.random.default_rng(5).normal(size=TURNS) * 0.3), ROUNDS)
    first, second = 1.1 * rounds(seed=1, turns_by=0.0) * busy, rounds(seed=2, turns_by=0.0) * busy
    together = compare_medians(first.tolist(), second.tolist(), turns=TURNS)
    apart = compare_medians(first.tolist(), second[::-1].tolist(), turns=TURNS)
    assert together.is_significant and not apart.is_significant


def test_models_of_unequal_rounds_are_compared() -> None:
    many = np.repeat(rounds(1.0), 10)
    pair = compare_medians(listed(3.0), many.tolist(), turns=TURNS)
    assert pair.is_significant and pair.times_as_fast == pytest.approx(3, rel=0.05)


def test_two_rounds_show_nothing() -> None:
    pair = compare_medians([1.0, 1.0], [9.0, 9.0])
    assert pair.times_as_fast == pytest.approx(1 / 9) and pair.ci95 is None and not pair.is_significant
