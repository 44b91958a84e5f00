"""Ranges are clipped by percentile or squared error, and contain everything with minmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.errors import raises_code

pytestmark = pytest.mark.tensorflow
Floats = NDArray[np.float32]
OUTLIER = 20.0  # standard deviations
SIDE, CHANNELS = 28, 32


def counted(values: Floats) -> tuple[Any, tuple[float, float]]:
    """Return the histogram of all values, and their extremes."""
    from converter.quantize.clipping import MAX_VALUES, count_values

    parts = np.array_split(values, -(-len(values) // MAX_VALUES))
    counts = np.sum([count_values(part[:, None], start=0) for part in parts], axis=0, dtype=np.uint32)
    assert counts.sum() == len(values)
    return counts, (float(values.min()), float(values.max()))


def normal(count: int, *, outlier: float = 0.0) -> Floats:
    values = np.random.default_rng(0).normal(0, 1, count).astype(np.float32)
    values[0] = outlier
    return values


def square_error(values: Floats, limits: tuple[float, float]) -> float:
    """Return the mean squared error of the 255 steps of an int8 tensor."""
    low, high = limits
    step = (high - low) / 255
    steps = np.clip(np.rint(values / step), np.rint(low / step), np.rint(high / step))
    return float(np.square(steps * step - values, dtype=np.float64).mean())


def test_a_value_lies_in_its_bin() -> None:
    from converter.quantize.clipping import BINS, bin_edges, count_values

    values = np.array([-1e30, -3.1, -1e-30, 0, 1e-30, 0.7, 5.5, 1e30], np.float32)
    bins = [int(count_values(value.reshape(1, 1), start=0).argmax()) for value in values]
    assert bins[0] == 0 and bins[-1] == BINS - 1
    for value, index in zip(values[1:-1], bins[1:-1], strict=True):
        assert bin_edges()[index] <= value <= bin_edges()[index + 1]


def test_all_channels_of_a_large_tensor_are_sampled_equally() -> None:
    from converter.quantize.clipping import MAX_VALUES, bin_edges, count_values

    channels = np.array([1, 2, 4, 8], np.float32)
    counts = count_values(np.broadcast_to(channels, (1, 200, 200, 4)), start=3)
    shares = [counts[int(np.searchsorted(bin_edges(), value, side="right")) - 1] for value in channels]
    assert sum(shares) == counts.sum() <= MAX_VALUES
    assert max(shares) - min(shares) <= 1


def test_percentile_contains_its_share_of_the_values() -> None:
    from converter.quantize.clipping import clip_by_percentile

    values = normal(200_000, outlier=OUTLIER)
    low, high = clip_by_percentile(*counted(values))
    assert np.mean((values >= low) & (values <= high)) == pytest.approx(0.999, abs=2e-4)


def test_mse_has_a_smaller_error_than_the_other_methods() -> None:
    from converter.quantize.clipping import clip_by_mse, clip_by_percentile

    values = normal(2_000_000, outlier=OUTLIER)
    counts, reached = counted(values)
    least = square_error(values, clip_by_mse(counts, reached))
    assert clip_by_mse(counts, reached)[1] < OUTLIER / 4
    assert least < 0.8 * square_error(values, clip_by_percentile(counts, reached))
    assert least < 0.3 * square_error(values, reached)


def test_mse_keeps_what_costs_more_to_cut() -> None:
    from converter.quantize.clipping import clip_by_mse

    values = np.random.default_rng(0).uniform(-1, 1, 10_000).astype(np.float32)
    assert clip_by_mse(*counted(values)) == pytest.approx((-1, 1), rel=0.02)


def test_a_range_contains_zero_and_is_never_empty() -> None:
    from converter.quantize.clipping import clip_by_mse, clip_by_percentile

    positive, silent = np.full(5000, 3, np.float32), np.zeros(5000, np.float32)
    for choose in (clip_by_percentile, clip_by_mse):
        low, high = choose(*counted(np.append(positive, np.float32(0))))
        assert low == 0 and 2.9 < high <= 3
        assert choose(*counted(silent)) == (0, 0)


@pytest.fixture(scope="module")
def blinded() -> bytes:
    """Return the float file of a network with one channel that a pure red pixel saturates."""
    import tf_keras

    from converter.quantize.tflite_conversion import Quantization, convert_unquantized, freeze

    pixels = tf_keras.Input((SIDE, SIDE, 3))
    layers = tf_keras.layers
    plain = layers.Conv2D(CHANNELS, 1, name="plain", kernel_initializer="ones")(pixels)
    glare = layers.Conv2D(CHANNELS, 1, activation="relu", name="glare")(pixels)
    both = layers.GlobalAveragePooling2D()(layers.Add(name="sum")([plain, glare]))
    model = tf_keras.Model(pixels, layers.Dense(2, activation="softmax")(both))
    kernel, bias = np.zeros((1, 1, 3, CHANNELS)), np.zeros(CHANNELS)
    kernel[0, 0, :, 0], bias[0] = (1000, -1000, -1000), -2800  # 200 for pure red
    model.get_layer("glare").set_weights([kernel, bias])
    return convert_unquantized(freeze(model), Quantization.INT8)


def pictures() -> NDArray[np.uint8]:
    """Return grey noise in which one pixel of all pictures is pure red."""
    rows = np.random.default_rng(0).integers(64, 192, (64, SIDE, SIDE, 3), dtype=np.uint8)
    rows[3, 5, 5] = (255, 0, 0)
    return rows


def range_of(data: bytes, tensor: str, clipping: str) -> tuple[float, float]:
    from converter.quantize.calibration import measure_ranges
    from converter.quantize.clipping import Clipping

    ranges = measure_ranges(data, pictures(), clipping=Clipping(clipping))
    low, high = ranges.limits()[next(index for index, name in enumerate(ranges.names) if tensor in name)]
    return float(low), float(high)


def test_only_minmax_contains_an_outlier(blinded: bytes) -> None:
    assert range_of(blinded, "sum", "minmax")[1] == pytest.approx(199, rel=1e-3)
    assert range_of(blinded, "sum", "percentile")[1] < 2
    assert range_of(blinded, "sum", "mse")[1] < 100


@pytest.mark.parametrize("clipping", ["percentile", "mse"])
def test_the_input_has_the_range_of_bytes_with_every_method(blinded: bytes, clipping: str) -> None:
    assert range_of(blinded, "pixels", clipping) == (-1, 1)


@pytest.mark.parametrize("clipping", ["percentile", "mse"])
def test_threads_change_no_range(blinded: bytes, clipping: str) -> None:
    from converter.quantize.calibration import measure_ranges
    from converter.quantize.clipping import Clipping

    alone, three = (
        measure_ranges(blinded, pictures(), clipping=Clipping(clipping), threads=threads).limits()
        for threads in (1, 3)
    )
    assert np.array_equal(alone, three)


def test_ranges_that_are_not_measured_cannot_be_clipped() -> None:
    from converter.quantize.clipping import Clipping
    from converter.quantize.tflite_conversion import Quantization
    from converter.request import ConversionRequest, Method

    with raises_code("option-not-applicable", "--calibration-method mse", "int8", "int16x8"):
        ConversionRequest(recipes=(Quantization.FLOAT16,), clipping=Clipping.MSE)
    with raises_code("conflicting-options", "--calibration-method percentile", "qat", "--method ptq"):
        ConversionRequest(method=Method.QAT, clipping=Clipping.PERCENTILE)
    ConversionRequest(
        recipes=(Quantization.INT8, Quantization.INT16X8), method=Method.QAT, clipping=Clipping.PERCENTILE
    )
