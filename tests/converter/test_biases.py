"""What integers add to a layer on average is taken back by its bias."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.tensorflow
SIZE, LAYER = 28, "lossy"
LOST = 0.3 / 127  # of the greatest weight of a channel: rounded to nothing


@pytest.fixture(scope="module")
def ranged() -> bytes:
    """A convolution whose weights are all rounded to nothing but one."""
    import tf_keras

    from converter.freeze import freeze
    from converter.ranges import measure_ranges, with_ranges
    from converter.recipes import Recipe, unquantized

    pixels = tf_keras.Input((SIZE, SIZE, 3))
    maps = tf_keras.layers.Conv2D(4, 5, name=LAYER)(pixels)
    means = tf_keras.layers.GlobalAveragePooling2D()(maps)
    model = tf_keras.Model(pixels, tf_keras.layers.Dense(3, activation="softmax")(means))
    kernel = np.full((5, 5, 3, 4), LOST, np.float32)
    kernel[2, 2, 0] = 1
    model.get_layer(LAYER).set_weights([kernel, np.linspace(0.1, 0.4, 4)])
    start = unquantized(freeze(model), Recipe.INT8)
    return with_ranges(start, measure_ranges(start, bright()).over_all())


@pytest.fixture(scope="module")
def corrected(ranged: bytes) -> bytes:
    from converter.biases import correct_biases

    return correct_biases(ranged, bright())


def bright() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(128, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


def error(data: bytes) -> Any:
    """What integers add to the channels of the convolution."""
    from converter.biases import mean_errors

    errors = mean_errors(data, bright())
    return next(of for layer, of in errors.items() if LAYER in layer)


def test_what_rounding_takes_is_given_back(ranged: bytes, corrected: bytes) -> None:
    expected = -74 * LOST * 0.5  # 74 lost weights of 75, pixels of 0.5 on average
    assert error(ranged) == pytest.approx(np.full(4, expected), rel=0.1)
    assert np.abs(error(corrected) - error(ranged)).max() < 0.01  # the same inputs, the same weights
    assert biases(corrected) - biases(ranged) == pytest.approx(-error(ranged), abs=1e-4)


def test_threads_change_no_bias(ranged: bytes, corrected: bytes) -> None:
    from converter.biases import correct_biases

    assert correct_biases(ranged, bright(), threads=1) == corrected


def biases(data: bytes) -> Any:
    from converter.biases import _biases

    return next(bias.copy() for layer, bias in _biases(bytearray(data)) if LAYER in layer)
