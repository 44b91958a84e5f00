"""How much may be lost, and what a split of so many pictures can tell."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dermpack.metrics.definitions import weighted_accuracy, weighted_auroc, weighted_balanced_accuracy
from dermpack.metrics.paired_difference import agreement, difference
from dermpack.metrics.predictions import Predictions, as_truth

if TYPE_CHECKING:
    from converter.search.accuracy_limit import AccuracyLimit
    from converter.search.compare_to_float import FloatComparison

pytestmark = pytest.mark.tensorflow


def predictions(*counts: int) -> Predictions:
    """So many pictures of each label, every one seen as what it is, the later ones the surer."""
    truth = np.repeat(np.arange(len(counts)), counts)
    n, k = len(truth), len(counts)
    rest = np.linspace(0.3, 0.1, n)
    probabilities = np.repeat(rest[:, None] / (k - 1), k, axis=1)
    probabilities[np.arange(n), truth] = 1 - rest
    return Predictions(
        classes=tuple("abc"[:k]),
        pictures=tuple(f"{at}.png" for at in range(n)),
        groups=tuple(f"{at}" for at in range(n)),
        truth=as_truth(truth),
        probabilities=probabilities,
    )


def seen_as(plain: Predictions, chances: dict[int, tuple[float, ...]]) -> Predictions:
    """The same, but for these pictures."""
    probabilities = plain.probabilities.copy()
    for at, row in chances.items():
        probabilities[at] = row
    return replace(plain, probabilities=probabilities)


def verdict(plain: Predictions, found: Predictions, **more: Any) -> FloatComparison:
    from converter.search.compare_to_float import FloatComparison

    return FloatComparison(
        predictions=found,
        balanced_accuracy=difference(plain, found, weighted_balanced_accuracy),
        accuracy=difference(plain, found, weighted_accuracy),
        auroc=difference(plain, found, weighted_auroc),
        agreement=agreement(plain, found),
        **more,
    )


def limit(plain: Predictions, *, max_drop: float = 1.0) -> AccuracyLimit:
    from converter.search.accuracy_limit import limit_of

    return limit_of(plain, max_drop=max_drop)


def test_a_picture_of_the_rarest_label_has_its_worth() -> None:
    assert limit(predictions(100, 10)).one_picture == pytest.approx(5.0)
    assert limit(predictions(100, 10)).is_too_fine


def test_a_pair_has_its_worth_in_the_ranking_of_each_label() -> None:
    assert limit(predictions(6, 6, 6)).one_pair == pytest.approx(1 / 72)
    assert limit(predictions(9, 3)).one_pair == pytest.approx(1 / 27)
    assert limit(predictions(9, 0)).one_pair == np.inf


def test_a_split_of_one_label_is_told_as_such() -> None:
    assert "and all are of one label; rejected is" in limit(predictions(9, 0)).sentence()


def test_a_limit_coarser_than_a_picture_is_held_by_balanced_accuracy() -> None:
    plain = predictions(100, 100)
    assert not limit(plain).is_too_fine
    assert "balanced accuracy" in limit(plain).sentence()
    turned = seen_as(plain, dict.fromkeys(range(3), (0.4, 0.6)))
    assert limit(plain).surpassed(verdict(plain, turned)) == "points"
    assert limit(plain, max_drop=1.6).allows(verdict(plain, turned))


def test_a_limit_finer_than_a_picture_is_said_to_be() -> None:
    said = limit(predictions(100, 10)).sentence()
    assert "rarest label is worth 5.0 points" in said
    assert "AUROC (at most 0.005 lost)" in said


def test_a_split_that_can_tell_holds_auroc_to_its_limit_whatever_the_interval() -> None:
    plain = predictions(100, 10)
    found = verdict(plain, seen_as(plain, {109: (0.8, 0.2)}))
    assert found.auroc.ci95 is not None
    assert found.auroc.ci95[1] == 0
    assert limit(plain).surpassed(found) == "AUROC"


def test_a_split_too_small_for_auroc_rejects_no_loss_that_it_cannot_show() -> None:
    plain = predictions(6, 6, 6)
    found = verdict(plain, seen_as(plain, {0: (0.12, 0.8, 0.08)}))
    assert -found.auroc.difference > 0.005
    assert found.agreement == 17 / 18
    assert limit(plain).surpassed(found) == ""
    said = limit(plain).sentence()
    assert "18 validation pictures cannot tell so little" in said
    assert "\n" not in said


def test_a_split_too_small_for_auroc_lets_one_picture_change_its_label_not_two() -> None:
    plain = predictions(6, 6, 6)
    found = verdict(plain, seen_as(plain, {0: (0.4, 0.5, 0.1), 17: (0.5, 0.1, 0.4)}))
    assert limit(plain).surpassed(found) == "same label"


def test_a_split_too_small_for_auroc_still_rejects_what_it_shows_to_be_worse() -> None:
    plain = predictions(6, 6, 6)
    worse = np.where(plain.probabilities > 0.5, 0.36, 0.32)
    flat = seen_as(plain, {at: tuple(row) for at, row in enumerate(worse)})
    assert agreement(plain, flat) == 1.0
    blind = seen_as(plain, dict.fromkeys(range(18), (1.0, 0.0, 0.0)))
    assert limit(plain).allows(verdict(plain, flat))
    assert limit(plain).surpassed(verdict(plain, blind)) == "points"


def test_a_rare_label_that_is_never_named_again_is_shown_to_be_lost_though_ranked_as_before() -> None:
    plain = predictions(1000, 20)
    unseen = seen_as(plain, dict.fromkeys(range(1000, 1020), (0.51, 0.49)))
    found = verdict(plain, unseen)
    assert found.agreement > 0.95
    assert found.auroc.difference == 0
    assert limit(plain).surpassed(found) == "points"


def test_a_single_label_has_no_pairs_to_decide_by() -> None:
    plain = predictions(9, 0)
    assert limit(plain).allows(verdict(plain, plain))


def test_what_xnnpack_refuses_is_never_good_enough() -> None:
    plain = predictions(6, 6, 6)
    assert limit(plain, max_drop=100.0).surpassed(verdict(plain, plain, refusal="it cannot")) == "XNNPACK"


def test_how_far_beyond_the_limit_is_told_by_the_figure_that_is_furthest() -> None:
    plain = predictions(20, 20)
    third, half = (verdict(plain, seen_as(plain, dict.fromkeys(range(n), (0.0, 1.0)))) for n in (12, 16))
    found = limit(plain)
    assert 1 < found.excess(third) < found.excess(half)
    assert found.excess(verdict(plain, plain)) == 0
    assert found.excess(verdict(plain, plain, refusal="it cannot")) == np.inf
    assert limit(plain, max_drop=0.0).allows(verdict(plain, plain))
