"""The limit of the loss depends on how precisely the validation split measures it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dermpack.metrics.definitions import weighted_accuracy, weighted_auroc, weighted_balanced_accuracy
from dermpack.metrics.intervals import compare_metric, top1_agreement
from dermpack.metrics.predictions import Predictions, as_truth

if TYPE_CHECKING:
    from converter.search.accuracy_limit import AccuracyLimit, FloatComparison

pytestmark = pytest.mark.tensorflow


def predictions(*counts: int) -> Predictions:
    """Return correct predictions for so many pictures of each label, with rising confidence."""
    truth = np.repeat(np.arange(len(counts)), counts)
    n, k = len(truth), len(counts)
    rest = np.linspace(0.3, 0.1, n)
    probabilities = np.repeat(rest[:, None] / (k - 1), k, axis=1)
    probabilities[np.arange(n), truth] = 1 - rest
    return Predictions(
        classes=tuple("abc"[:k]),
        pictures=tuple(f"{index}.png" for index in range(n)),
        groups=tuple(f"{index}" for index in range(n)),
        truth=as_truth(truth),
        probabilities=probabilities,
    )


def seen_as(plain: Predictions, chances: dict[int, tuple[float, ...]]) -> Predictions:
    """Return the predictions with other probabilities for these pictures."""
    probabilities = plain.probabilities.copy()
    for index, row in chances.items():
        probabilities[index] = row
    return replace(plain, probabilities=probabilities)


def verdict(plain: Predictions, result: Predictions, **more: Any) -> FloatComparison:
    from converter.search.accuracy_limit import FloatComparison

    return FloatComparison(
        predictions=result,
        balanced_accuracy=compare_metric(plain, result, weighted_balanced_accuracy),
        accuracy=compare_metric(plain, result, weighted_accuracy),
        auroc=compare_metric(plain, result, weighted_auroc),
        agreement=top1_agreement(plain, result),
        **more,
    )


def limit(plain: Predictions, *, max_drop: float = 1.0) -> AccuracyLimit:
    from converter.search.accuracy_limit import derive_limit

    return derive_limit(plain, max_drop=max_drop)


def test_a_picture_of_the_rarest_label_has_its_worth() -> None:
    assert limit(predictions(100, 10)).one_picture == pytest.approx(5.0)
    assert limit(predictions(100, 10)).is_too_fine


def test_a_pair_has_its_worth_in_the_ranking_of_each_label() -> None:
    assert limit(predictions(6, 6, 6)).one_pair == pytest.approx(1 / 72)
    assert limit(predictions(9, 3)).one_pair == pytest.approx(1 / 27)
    assert limit(predictions(9, 0)).one_pair == np.inf


def test_a_split_of_one_label_is_reported() -> None:
    assert "and all are of one label" in limit(predictions(9, 0)).sentence()


def test_balanced_accuracy_decides_if_the_limit_is_worth_more_than_a_picture() -> None:
    plain = predictions(100, 100)
    assert not limit(plain).is_too_fine
    assert "balanced accuracy" in limit(plain).sentence()
    turned = seen_as(plain, dict.fromkeys(range(3), (0.4, 0.6)))
    assert limit(plain).exceeded_figures(verdict(plain, turned)) == ("points",)
    assert not limit(plain, max_drop=1.6).exceeded_figures(verdict(plain, turned))


def test_a_limit_worth_less_than_a_picture_is_reported() -> None:
    stated = limit(predictions(100, 10)).sentence()
    assert "rarest label is worth 5.0 points" in stated
    assert "AUROC (at most 0.005 lost)" in stated


def test_auroc_decides_without_its_interval_if_the_split_is_large_enough() -> None:
    plain = predictions(100, 10)
    result = verdict(plain, seen_as(plain, {109: (0.8, 0.2)}))
    assert result.auroc.ci95 is not None
    assert result.auroc.ci95[1] == 0
    assert limit(plain).exceeded_figures(result) == ("AUROC",)


def test_a_small_split_rejects_no_loss_that_its_interval_does_not_confirm() -> None:
    plain = predictions(6, 6, 6)
    result = verdict(plain, seen_as(plain, {0: (0.12, 0.8, 0.08)}))
    assert -result.auroc.difference > 0.005
    assert result.agreement == 17 / 18
    assert limit(plain).exceeded_figures(result) == ()
    stated = limit(plain).sentence()
    assert "18 validation pictures are too few" in stated
    assert "\n" not in stated


def test_a_small_split_allows_one_changed_label_and_not_two() -> None:
    plain = predictions(6, 6, 6)
    result = verdict(plain, seen_as(plain, {0: (0.4, 0.5, 0.1), 17: (0.5, 0.1, 0.4)}))
    assert limit(plain).exceeded_figures(result) == ("same label",)


def test_every_figure_beyond_its_limit_is_named() -> None:
    plain = predictions(60, 10)
    result = verdict(plain, seen_as(plain, dict.fromkeys(range(60, 66), (0.95, 0.05))))
    assert set(limit(plain).exceeded_figures(result)) >= {"AUROC", "same label"}


def test_a_small_split_rejects_a_loss_that_its_interval_confirms() -> None:
    plain = predictions(6, 6, 6)
    worse = np.where(plain.probabilities > 0.5, 0.36, 0.32)
    flat = seen_as(plain, {index: tuple(row) for index, row in enumerate(worse)})
    assert top1_agreement(plain, flat) == 1.0
    blind = seen_as(plain, dict.fromkeys(range(18), (1.0, 0.0, 0.0)))
    assert not limit(plain).exceeded_figures(verdict(plain, flat))
    assert limit(plain).exceeded_figures(verdict(plain, blind)) == ("points", "AUROC", "same label")


def test_a_rare_label_that_is_never_predicted_is_a_confirmed_loss() -> None:
    plain = predictions(1000, 20)
    unseen = seen_as(plain, dict.fromkeys(range(1000, 1020), (0.51, 0.49)))
    result = verdict(plain, unseen)
    assert result.agreement > 0.95
    assert result.auroc.difference == 0
    assert limit(plain).exceeded_figures(result) == ("points",)


def test_a_single_label_has_no_pairs_to_decide_by() -> None:
    plain = predictions(9, 0)
    assert not limit(plain).exceeded_figures(verdict(plain, plain))


def test_a_file_that_xnnpack_refuses_is_never_within_the_limit() -> None:
    plain = predictions(6, 6, 6)
    refused = verdict(plain, plain, refusal="it cannot")
    assert limit(plain, max_drop=100.0).exceeded_figures(refused) == ("XNNPACK",)


def test_the_excess_is_that_of_the_figure_furthest_beyond_its_limit() -> None:
    plain = predictions(20, 20)
    third, half = (verdict(plain, seen_as(plain, dict.fromkeys(range(n), (0.0, 1.0)))) for n in (12, 16))
    result = limit(plain)
    assert 1 < result.excess(third) < result.excess(half)
    assert result.excess(verdict(plain, plain)) == 0
    assert result.excess(verdict(plain, plain, refusal="it cannot")) == np.inf
    assert not limit(plain, max_drop=0.0).exceeded_figures(verdict(plain, plain))
