"""A choice between ways to feed a file that cannot be told apart is left to the user, with a fitting hint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dermpack.inference.foreign_model import DeclaredInput, InputRange
from dermpack.metrics.predictions import Predictions, as_truth
from tests.support.errors import raises_code

pytestmark = pytest.mark.tensorflow
PICTURES = 60


def answering(correct: int) -> Predictions:
    """Return predictions of three labels, of which the first ones are correct."""
    truth = np.arange(PICTURES) % 3
    answers = np.where(np.arange(PICTURES) < correct, truth, (truth + 1) % 3)
    return Predictions(
        classes=("a", "b", "c"),
        pictures=tuple(f"{index}.png" for index in range(PICTURES)),
        groups=tuple(f"{index}" for index in range(PICTURES)),
        truth=as_truth(truth),
        probabilities=np.eye(3)[answers],
    )


@pytest.mark.parametrize(("correct", "is_low"), [(34, True), (57, False)])
def test_low_accuracies_are_explained_by_the_order_of_the_labels(correct: int, is_low: bool) -> None:
    from converter.sources.find_input import TriedInput, _choose

    ways = [
        TriedInput(declared=DeclaredInput(range=range_), predictions=answering(correct - index))
        for index, range_ in enumerate((InputRange.UNIT, InputRange.BYTES))
    ]
    with raises_code("input-ambiguous", "--input-range") as caught:
        _choose(Path("model.tflite"), ways, tuple(ways), ())
    assert ("order of --labels" in str(caught.value)) is is_low
