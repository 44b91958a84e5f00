"""Calibration pictures are balanced and reproducible, and too few are noticed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dermpack.dataset.manifest import Picture
from tests.support.training_dataset import picture

pytestmark = pytest.mark.tensorflow
PICTURES = tuple(picture(index, "rare" if index % 10 == 0 else "common") for index in range(100))


def chosen(count: int, *, seed: int = 0, pictures: tuple[Picture, ...] = PICTURES) -> tuple[Picture, ...]:
    from converter.quantize.calibration import choose_pictures

    return choose_pictures(pictures, count=count, seed=seed)


def labels(count: int) -> Counter[str]:
    return Counter(picture.label for picture in chosen(count))


def test_labels_are_chosen_equally_often() -> None:
    assert labels(16) == {"rare": 8, "common": 8}


def test_other_labels_fill_up_for_a_rare_one() -> None:
    assert labels(30) == {"rare": 10, "common": 20}


def test_a_count_above_the_number_of_pictures_chooses_all() -> None:
    assert set(chosen(1000)) == set(PICTURES)


def test_the_choice_depends_on_the_seed_and_not_on_the_order() -> None:
    assert chosen(20) == chosen(20, pictures=PICTURES[::-1])
    assert chosen(20) != chosen(20, seed=1)


def test_the_hash_does_not_depend_on_the_order() -> None:
    from converter.quantize.calibration import hash_pictures

    assert hash_pictures(PICTURES) == hash_pictures(PICTURES[::-1]) != hash_pictures(PICTURES[1:])


def test_tensors_that_differ_between_the_halves_are_listed() -> None:
    from converter.quantize.calibration import Ranges

    highest = np.array([[1.0, 1.0], [1.1, 2.0]] * 3, np.float32)
    ranges = Ranges(names=("steady", "restless"), lowest=-highest, highest=highest)
    assert ranges.unsettled() == ("restless",)
