"""Known and unknown pictures are separated by ranks alone, with intervals over the groups of both sets."""

from __future__ import annotations

import numpy as np
import pytest

from dermpack.metrics.unknown_pictures import UnknownComparison, UnknownScore, compare_separation


def scores(values: list[float], *, group_size: int = 1) -> UnknownScore:
    groups = tuple(f"g{index // group_size}" for index in range(len(values)))
    return UnknownScore(groups=groups, values=np.array(values))


def compared(familiar: list[float], unknown: list[float], *, group_size: int = 1) -> UnknownComparison:
    pair = scores(familiar, group_size=group_size), scores(unknown, group_size=group_size)
    equal = tuple(scores([0.5] * len(part), group_size=group_size) for part in pair)
    return compare_separation(pair, (equal[0], equal[1]), threshold=2.0, resamples=1000)


def test_pictures_that_are_all_further_away_are_separated_perfectly() -> None:
    found = compared([1.0, 2.0, 3.0] * 10, [4.0, 5.0] * 10)
    assert found.familiarity.auroc.value == 1.0
    assert found.familiarity.false_acceptance.value == 0.0
    assert (found.known, found.unknown) == (30, 20)
    # The threshold of the contract, 2.0, is another one.
    assert (found.known_accepted.value, found.unknown_accepted.value) == (2 / 3, 0.0)


def test_equal_scores_separate_nothing() -> None:
    found = compared([1.0, 2.0, 3.0] * 10, [4.0, 5.0] * 10)
    assert found.confidence.auroc.value == 0.5
    assert found.confidence.false_acceptance.value == 1.0
    assert found.auroc_difference.difference == 0.5
    assert found.false_acceptance_difference.difference == -1.0


def test_the_threshold_accepts_95_of_100_known_pictures() -> None:
    # 95 known pictures up to 95; the unknown ones at 90.5 and 95.5 are on either side of the threshold.
    found = compared([float(number) for number in range(1, 101)], [90.5, 95.5] * 10)
    assert found.familiarity.false_acceptance.value == pytest.approx(0.5)


def test_scores_that_differ_in_the_last_bit_are_not_equal() -> None:
    found = compared([1.0] * 20, [1.0 + 2**-52] * 20)
    assert found.familiarity.auroc.value == 1.0


def test_the_groups_of_both_sets_are_drawn_separately() -> None:
    generator = np.random.default_rng(0)
    known, unknown = generator.normal(size=60).tolist(), generator.normal(1.0, size=60).tolist()
    single, grouped = compared(known, unknown), compared(known, unknown, group_size=6)
    narrow, wide = single.familiarity.auroc.ci95, grouped.familiarity.auroc.ci95
    assert narrow is not None
    assert wide is not None
    assert narrow[0] <= single.familiarity.auroc.value <= narrow[1]  # type: ignore[operator]
    assert single.record()["familiarity"]["auroc"] == single.familiarity.auroc.value
