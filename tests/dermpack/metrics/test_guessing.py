"""Whether predictions are better than guessing."""

from __future__ import annotations

import numpy as np

from dermpack.metrics.guessing import describe_guessing
from dermpack.metrics.predictions import Predictions, as_truth

LABELS = ("bcc", "mel", "nv")


def predictions(answers: list[int], truth: list[int], *, groups: int | None = None) -> Predictions:
    count = len(truth)
    return Predictions(
        classes=LABELS,
        pictures=tuple(f"{index}.png" for index in range(count)),
        groups=tuple(str(index % (groups or count)) for index in range(count)),
        truth=as_truth(truth),
        probabilities=np.eye(len(LABELS))[answers] * 0.7 + 0.1,
    )


TRUTH = [index % 3 for index in range(60)]


def test_right_answers_are_better_than_guessing() -> None:
    assert describe_guessing(predictions(TRUTH, TRUTH)) == ""
    one_wrong = [0 if index == 1 else label for index, label in enumerate(TRUTH)]
    assert describe_guessing(predictions(one_wrong, TRUTH)) == ""


def test_labels_in_another_order_are_worse_than_guessing() -> None:
    shifted = [(label + 1) % 3 for label in TRUTH]
    figures = describe_guessing(predictions(shifted, TRUTH))
    assert "0.000" in figures and "0.333" in figures


def test_one_answer_for_all_pictures_is_guessing() -> None:
    assert "0.333" in describe_guessing(predictions([2] * 60, TRUTH))


def test_random_answers_are_guessing() -> None:
    drawn = np.random.default_rng(0).integers(0, 3, 60).tolist()
    assert describe_guessing(predictions(drawn, TRUTH))


def test_few_groups_are_decided_by_the_value() -> None:
    shifted = [(label + 1) % 3 for label in TRUTH]
    assert describe_guessing(predictions(TRUTH, TRUTH, groups=3)) == ""
    assert describe_guessing(predictions(shifted, TRUTH, groups=3))


def test_pictures_of_one_label_show_nothing() -> None:
    assert describe_guessing(predictions([0] * 20, [1] * 20)) == ""
