"""The figures: equal to scikit-learn's, within bounds, honest where a class has no picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermpack.metrics import calibration
from dermpack.metrics import definitions as metrics
from dermpack.metrics.predictions import Predictions, as_truth
from tests.support.errors import raises_code

CLOSE = 1e-12


def made(n: int, k: int, *, seed: int = 0, steps: int = 0, skill: float = 1.0) -> Predictions:
    """Random predictions; `steps` rounds the probabilities, so that there are ties."""
    generator = np.random.default_rng(seed)
    truth = as_truth(generator.integers(k, size=n))
    logits = generator.normal(size=(n, k)) + skill * np.eye(k)[truth]
    exps = np.exp(logits)
    probabilities = exps / exps.sum(axis=1, keepdims=True)
    return Predictions(
        classes=tuple(f"c{at}" for at in range(k)),
        pictures=tuple(f"p{at}.png" for at in range(n)),
        groups=tuple(f"g{at}" for at in range(n)),
        truth=truth,
        probabilities=np.round(probabilities * steps) / steps if steps else probabilities,
    )


def exact(truth: list[int], probabilities: list[list[float]]) -> Predictions:
    k = len(probabilities[0])
    return Predictions(
        classes=tuple("abcdefgh"[:k]),
        pictures=tuple(str(at) for at in range(len(truth))),
        groups=tuple("" for _ in truth),
        truth=as_truth(truth),
        probabilities=np.array(probabilities, dtype=np.float64),
    )


CASES = [made(200, 7, seed=1), made(200, 7, seed=2, steps=256), made(60, 2, seed=3), made(90, 3, steps=100)]
each_case = pytest.mark.parametrize("predictions", CASES, ids=["float", "ties", "two", "coarse"])


@each_case
def test_overall_figures_equal_those_of_scikit_learn(predictions: Predictions) -> None:
    from sklearn import metrics as theirs

    truth, predicted = predictions.truth, predictions.predicted
    macro = {"average": "macro", "zero_division": 0}
    found = metrics.score_overall(predictions, np.ones((1, len(truth))))
    expected = {
        "accuracy": theirs.accuracy_score(truth, predicted),
        "balanced_accuracy": theirs.balanced_accuracy_score(truth, predicted),
        "macro_precision": theirs.precision_score(truth, predicted, **macro),
        "macro_recall": theirs.recall_score(truth, predicted, **macro),
        "macro_f1": theirs.f1_score(truth, predicted, **macro),
    }
    assert {name: found[name][0] for name in expected} == pytest.approx(expected, abs=CLOSE)


@each_case
def test_ranking_figures_equal_those_of_scikit_learn(predictions: Predictions) -> None:
    from sklearn import metrics as theirs

    found = metrics.score_by_label(predictions, np.ones((1, len(predictions))))
    for at in range(len(predictions.classes)):
        own, scores = predictions.truth == at, predictions.probabilities[:, at]
        assert found["auroc"][0, at] == pytest.approx(theirs.roc_auc_score(own, scores), abs=CLOSE)
        precise = theirs.average_precision_score(own, scores)
        assert found["average_precision"][0, at] == pytest.approx(precise, abs=CLOSE)


@each_case
def test_weighted_auroc_equals_that_of_scikit_learn(predictions: Predictions) -> None:
    from sklearn.metrics import roc_auc_score

    weights = np.random.default_rng(5).integers(0, 4, size=(3, len(predictions))).astype(np.float64)
    found = metrics.score_by_label(predictions, weights)["auroc"]
    own, scores = predictions.truth == 1, predictions.probabilities[:, 1]
    expected = [roc_auc_score(own, scores, sample_weight=row) for row in weights]
    assert found[:, 1] == pytest.approx(expected, abs=CLOSE)


def test_macro_auroc_equals_one_against_rest_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    predictions = made(200, 5)
    theirs = roc_auc_score(predictions.truth, predictions.probabilities, multi_class="ovr")
    assert metrics.auroc(predictions) == pytest.approx(theirs, abs=CLOSE)


@pytest.mark.parametrize("k", [3, 5])
def test_top_k_equals_that_of_scikit_learn(k: int) -> None:
    from sklearn.metrics import top_k_accuracy_score

    predictions = made(200, 7)
    theirs = top_k_accuracy_score(predictions.truth, predictions.probabilities, k=k)
    assert metrics.metric_value(metrics.OVERALL[f"top{k}"], predictions) == pytest.approx(theirs, abs=CLOSE)


def test_brier_of_two_classes_is_twice_that_of_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss

    predictions = made(60, 2)
    one_sided = brier_score_loss(predictions.truth, predictions.probabilities[:, 1])
    assert metrics.metric_value(metrics.weighted_brier, predictions) == pytest.approx(
        2 * one_sided, abs=CLOSE
    )


def test_the_confusion_matrix_has_truth_in_rows() -> None:
    predictions = exact([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    assert metrics.confusion(predictions).tolist() == [[1, 1], [0, 1]]


def test_sensitivity_at_a_specificity_equals_the_roc_of_scikit_learn() -> None:
    from sklearn.metrics import roc_curve

    predictions = made(300, 2, steps=50)
    own, scores = predictions.truth == 1, predictions.probabilities[:, 1]
    alarms, hits, _ = roc_curve(own, scores, drop_intermediate=False)
    found = metrics.rank_label(predictions, 1)
    assert metrics.sensitivity_at(found, specificity=0.9)[0] == pytest.approx(hits[alarms <= 0.1].max())
    expected = 1 - alarms[hits >= 0.9].min()
    assert metrics.specificity_at(found, sensitivity=0.9)[0] == pytest.approx(expected)


def test_nine_of_ten_are_a_sensitivity_of_point_nine() -> None:
    rows = [[1 - at / 20, at / 20] for at in range(20)]
    found = metrics.rank_label(exact([0] * 10 + [1] * 10, rows), 1)
    assert metrics.specificity_at(found, sensitivity=0.9)[0] == 1.0


def test_a_class_without_pictures_leaves_the_means_alone() -> None:
    probabilities = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]]
    predictions = exact([0, 1, 1], probabilities)
    assert metrics.balanced_accuracy(predictions) == pytest.approx((1 + 0.5) / 2)
    assert metrics.auroc(predictions) == pytest.approx(1.0)


def test_a_class_without_pictures_has_no_recall() -> None:
    predictions = exact([0, 1], [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    found = metrics.score_by_label(predictions, np.ones((1, 2)))
    assert np.isnan(found["recall"][0, 2])
    assert np.isnan(found["auroc"][0, 2])


def test_a_single_picture_has_no_auroc() -> None:
    predictions = exact([0], [[0.7, 0.3]])
    assert metrics.accuracy(predictions) == 1.0
    assert np.isnan(metrics.auroc(predictions))


def test_equal_scores_of_all_pictures_are_chance() -> None:
    assert metrics.auroc(exact([0, 1, 1], [[0.5, 0.5]] * 3)) == pytest.approx(0.5)


def test_the_first_of_equal_classes_is_predicted() -> None:
    assert exact([1], [[0.4, 0.4, 0.2]]).predicted.tolist() == [0]


def test_top_three_of_three_classes_is_undefined() -> None:
    assert np.isnan(metrics.metric_value(metrics.OVERALL["top3"], made(10, 3)))


def test_calibration_error_of_one_bin_is_its_gap() -> None:
    predictions = exact([0, 0, 0, 1], [[0.95, 0.05]] * 4)
    assert metrics.ece(predictions) == pytest.approx(0.2)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below() -> None:
    bins = calibration.reliability_bins(exact([0], [[0.6, 0.4]]))
    assert [bin_.n for bin_ in bins].index(1) == 8


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(2, 6), st.integers(0, 1000), st.sampled_from([0, 8]))
def test_every_figure_is_a_fraction_or_undefined(n: int, k: int, seed: int, steps: int) -> None:
    predictions = made(n, k, seed=seed)
    if steps:
        predictions = exact(predictions.truth.tolist(), np.eye(k)[predictions.predicted].tolist())
    weights = np.ones((1, n))
    found = {**metrics.score_overall(predictions, weights), **metrics.score_by_label(predictions, weights)}
    brier = found.pop("brier")
    assert 0 <= brier[0] <= 2
    for name, values in found.items():
        known = values[~np.isnan(values)]
        assert ((known >= -CLOSE) & (known <= 1 + CLOSE)).all(), name


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000))
def test_a_weight_of_two_is_the_picture_twice(seed: int) -> None:
    predictions = made(12, 3, seed=seed, steps=100)
    weights = np.random.default_rng(seed).integers(0, 3, size=(1, 12))
    weights[0, 0] = 1
    repeated = predictions.take(np.repeat(np.arange(12), weights[0]))
    found = metrics.score_overall(predictions, weights.astype(np.float64))
    expected = metrics.score_overall(repeated, np.ones((1, len(repeated))))
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, abs=1e-9, nan_ok=True), name


@pytest.mark.parametrize(
    ("truth", "probabilities", "value"),
    [
        ([0], [[float("nan"), 1.0]], "[nan, 1.0]"),
        ([0], [[2.5, -1.5]], "[2.5, -1.5]"),
        ([0], [[0.1, 0.1]], "[0.1, 0.1]"),
        ([2], [[0.5, 0.5]], "0 to 1"),
        ([-1], [[0.5, 0.5]], "0 to 1"),
        ([0], [[1.0]], "1 classes"),
        ([0, 1], [[0.5, 0.5]], "2 pictures and 2 classes"),
    ],
)
def test_what_is_no_prediction_is_refused(
    truth: list[int], probabilities: list[list[float]], value: str
) -> None:
    with raises_code("invalid-predictions", value):
        exact(truth, probabilities)


def test_pictures_without_a_group_are_groups_of_their_own() -> None:
    predictions = Predictions(
        classes=("a", "b"),
        pictures=("1", "2", "3", "4"),
        groups=("", "x", "", "x"),
        truth=as_truth([0, 0, 1, 1]),
        probabilities=np.full((4, 2), 0.5),
    )
    assert predictions.group_codes().tolist() == [0, 1, 2, 1]
