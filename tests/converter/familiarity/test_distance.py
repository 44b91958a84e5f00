"""The distance is Mahalanobis's in a space of few directions, and 1 on the training pictures."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.errors import raises_code

pytestmark = pytest.mark.tensorflow


def features(pictures: int, *, seed: int = 0, shift: float = 0.0) -> NDArray[np.float32]:
    """Return 16 features that vary along four directions, and a little in all others."""
    generator = np.random.default_rng(seed)
    directions = np.random.default_rng(9).normal(size=(4, 16))
    rows = generator.normal(size=(pictures, 4)) @ directions + generator.normal(size=(pictures, 16)) / 3
    shifted = rows + 9 + 2 * shift * np.random.default_rng(8).normal(size=16)
    return np.asarray(np.square(shifted), np.float32)


def test_the_training_pictures_have_a_mean_distance_of_one() -> None:
    from converter.familiarity.distance import fit_distance

    rows = features(300)
    assert fit_distance(rows)(rows).mean() == pytest.approx(1.0, rel=1e-4)


def test_other_pictures_of_the_same_kind_are_near_and_shifted_ones_are_far() -> None:
    from converter.familiarity.distance import fit_distance

    distance = fit_distance(features(300))
    assert distance(features(300, seed=1)).mean() == pytest.approx(1.0, abs=0.2)
    assert distance(features(300, seed=1, shift=1.0)).min() > distance(features(300, seed=1)).max()


def test_half_of_the_directions_give_nearly_the_distance_with_the_whole_covariance() -> None:
    from converter.familiarity.distance import fit_distance

    rows = features(400)
    x = np.sqrt(rows.astype(np.float64))
    x -= x.mean(axis=0)
    whole = np.einsum("ij,jk,ik->i", x, np.linalg.inv(x.T @ x / len(x)), x) / 16
    assert np.corrcoef(fit_distance(rows)(rows), whole)[0, 1] > 0.95


@pytest.mark.parametrize("noise", [1e-3, 0.1])
def test_no_features_have_a_negative_distance_whatever_int8_rounds(noise: float) -> None:
    from converter.familiarity.distance import LEAST_SHARE, fit_distance

    generator = np.random.default_rng(3)
    spread = generator.normal(size=(300, 20)) @ generator.normal(size=(20, 200))
    roots = spread + noise * generator.normal(size=spread.shape)
    roots -= roots.min() - 1
    distance = fit_distance(np.square(roots).astype(np.float32))
    # The direction in which the rounded rows subtract most is an eigenvector of their form.
    rows = distance.directions * distance.step
    form = np.eye(200) / 200 + rows.T @ (distance.weights[:, None] * rows)
    shares, directions = np.linalg.eigh(form * 200)
    assert shares[0] >= LEAST_SHARE * 0.99
    if noise < 0.01:
        assert shares[0] <= LEAST_SHARE * 1.01  # the limit was needed
    far = np.square(np.maximum(distance.mean + 50 * directions[:, 0], 0)).astype(np.float32)
    assert distance(far[None])[0] > 0


def test_the_same_features_give_the_same_numbers() -> None:
    from converter.familiarity.distance import fit_distance

    first, second = (fit_distance(features(100)) for _ in range(2))
    assert first.directions.tobytes() == second.directions.tobytes()
    assert first.weights.tobytes() == second.weights.tobytes()


def test_few_pictures_give_few_directions() -> None:
    from converter.familiarity.distance import fit_distance

    assert [len(fit_distance(features(n)).directions) for n in (2, 8, 40, 400)] == [0, 2, 8, 8]


def test_negative_features_count_as_zero() -> None:
    from converter.familiarity.distance import fit_distance

    distance = fit_distance(features(100))
    zeros = np.zeros((1, 16), np.float32)
    assert distance(zeros - 3) == distance(zeros)


def test_equal_features_are_refused() -> None:
    from converter.familiarity.distance import fit_distance

    with raises_code("no-features"):
        fit_distance(np.ones((10, 16), np.float32))
