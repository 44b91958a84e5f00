"""Which pictures ranges are measured on, and whether they are enough."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from dermpack.dataset.manifest import Picture
from tests.support.training_dataset import picture

pytestmark = pytest.mark.tensorflow
PICTURES = tuple(picture(at, "rare" if at % 10 == 0 else "common") for at in range(100))


def chosen(count: int, *, seed: int = 0, pictures: tuple[Picture, ...] = PICTURES) -> tuple[Picture, ...]:
    from converter.quantize.calibration import choose_pictures

    return choose_pictures(pictures, count=count, seed=seed)


def labels(count: int) -> Counter[str]:
    return Counter(picture.label for picture in chosen(count))


def test_labels_are_chosen_alike() -> None:
    assert labels(16) == {"rare": 8, "common": 8}


def test_a_label_that_runs_out_is_made_up_for_by_others() -> None:
    assert labels(30) == {"rare": 10, "common": 20}


def test_more_than_there_are_is_all_of_them() -> None:
    assert set(chosen(1000)) == set(PICTURES)


def test_the_seed_decides_and_not_the_order() -> None:
    assert chosen(20) == chosen(20, pictures=PICTURES[::-1])
    assert chosen(20) != chosen(20, seed=1)


def test_the_fingerprint_is_of_the_pictures_and_not_of_their_order() -> None:
    from converter.quantize.calibration import fingerprint

    assert fingerprint(PICTURES) == fingerprint(PICTURES[::-1]) != fingerprint(PICTURES[1:])


def test_halves_that_reach_apart_are_named() -> None:
    from converter.quantize.calibration import unsettled
    from converter.quantize.ranges import Ranges

    highest = np.array([[1.0, 1.0], [1.1, 2.0]] * 3, np.float32)
    ranges = Ranges(names=("steady", "restless"), lowest=-highest, highest=highest)
    assert unsettled(ranges) == ("restless",)
