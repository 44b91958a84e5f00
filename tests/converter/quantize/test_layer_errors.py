"""Biases take back the mean error that int8 adds to a layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytestmark = pytest.mark.tensorflow
SIZE, LAYER = 28, "lossy"
MAPS = [1, SIZE - 4, SIZE - 4, 4]  # what the layer gives
LOST = 0.3 / 127  # of the greatest weight of a channel: rounded to nothing


@pytest.fixture(scope="module")
def ranged() -> bytes:
    """Return a convolution in which rounding sets all weights but one to 0."""
    import tf_keras

    from converter.quantize.calibration import measure_ranges, write_ranges
    from converter.quantize.tflite_conversion import Quantization, convert_unquantized, freeze

    pixels = tf_keras.Input((SIZE, SIZE, 3))
    maps = tf_keras.layers.Conv2D(4, 5, name=LAYER)(pixels)
    channel_means = tf_keras.layers.GlobalAveragePooling2D()(maps)
    model = tf_keras.Model(pixels, tf_keras.layers.Dense(3, activation="softmax")(channel_means))
    kernel = np.full((5, 5, 3, 4), LOST, np.float32)
    kernel[2, 2, 0] = 1
    model.get_layer(LAYER).set_weights([kernel, np.linspace(0.1, 0.4, 4)])
    start = convert_unquantized(freeze(model), Quantization.INT8)
    return write_ranges(start, measure_ranges(start, bright()).reached())


@pytest.fixture(scope="module")
def corrected(ranged: bytes) -> bytes:
    from converter.quantize.layer_errors import correct_biases, measure_mean_errors

    return correct_biases(ranged, measure_mean_errors(ranged, bright()))


def bright() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(128, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


def error(data: bytes) -> Any:
    """Return the mean error that int8 adds to the channels of the convolution."""
    from converter.quantize.layer_errors import measure_mean_errors

    errors = measure_mean_errors(data, bright())
    return next(item for layer, item in errors.items() if LAYER in layer)


def test_the_bias_takes_back_the_mean_error_of_rounding(ranged: bytes, corrected: bytes) -> None:
    expected = -74 * LOST * 0.5  # 74 lost weights of 75, pixels of 0.5 on average
    assert error(ranged) == pytest.approx(np.full(4, expected), rel=0.1)
    assert np.abs(error(corrected) - error(ranged)).max() < 0.01  # the same inputs, the same weights
    assert biases(corrected) - biases(ranged) == pytest.approx(-error(ranged), abs=1e-4)


def test_the_correction_also_serves_int16x8(ranged: bytes, corrected: bytes) -> None:
    from converter.quantize.tflite_conversion import IoType, Quantization, quantize

    plain = channel_means(ranged)
    lost, left = (
        channel_means(quantize(item, Quantization.INT16X8, io=IoType.FLOAT32)) - plain
        for item in (ranged, corrected)
    )
    assert np.abs(lost).min() > 0.05
    assert np.abs(left).max() < 0.005


def test_a_layer_that_stays_in_floating_point_is_not_moved(ranged: bytes) -> None:
    from converter.quantize.layer_errors import correct_biases, measure_mean_errors
    from converter.quantize.tflite_conversion import IoType, Quantization, quantize

    errors = measure_mean_errors(ranged, bright())
    spared = next(layer for layer in errors if LAYER in layer)
    moved, left = (
        channel_means(
            quantize(
                correct_biases(ranged, errors, excluded=excluded),
                Quantization.INT8,
                io=IoType.FLOAT32,
                float_layers=(spared,),
            )
        )
        for excluded in ((), (spared,))
    )
    assert np.abs(moved - channel_means(ranged)).min() > 0.05
    assert np.abs(left - channel_means(ranged)).max() < 0.005


@pytest.mark.parametrize("recipe", ["int8", "int16x8"])
def test_int8_and_int16x8_start_from_corrected_biases(run: Path, recipe: str) -> None:
    from converter.quantize.calibration import read_calibration_set
    from converter.quantize.layer_errors import bias_views
    from converter.quantize.tflite_conversion import Quantization, convert_unquantized
    from converter.request import ConversionRequest
    from converter.search.candidate import measure_model
    from converter.sources.run_source import find_dataset, open_run
    from trainer.runs.run_folder import read_run

    read, asked = read_run(run), Quantization(recipe)
    source = open_run(read, find_dataset(read, None), threads=1)
    material = read_calibration_set(source, count=2, seed=0, threads=1)
    ranged = measure_model(source, asked, ConversionRequest(recipes=(asked,)), material)
    spared, *_ = plain = dict(bias_views(bytearray(convert_unquantized(source.trained.frozen, asked))))
    moved, but = (
        dict(bias_views(bytearray(ranged.corrected(excluded=layers)))) for layers in ((), (spared,))
    )
    assert all((moved[layer] != bias).any() for layer, bias in plain.items())
    assert [layer for layer in plain if (but[layer] == plain[layer]).all()] == [spared]


def test_threads_change_no_bias(ranged: bytes, corrected: bytes) -> None:
    from converter.quantize.layer_errors import correct_biases, measure_mean_errors

    assert correct_biases(ranged, measure_mean_errors(ranged, bright(), threads=1)) == corrected


def biases(data: bytes) -> Any:
    from converter.quantize.layer_errors import bias_views

    return next(bias.copy() for layer, bias in bias_views(bytearray(data)) if LAYER in layer)


def channel_means(data: bytes) -> Any:
    """Return the mean of each channel of the convolution, as the file computes it."""
    from converter.pixel_scale import PIXEL_MIDDLE
    from converter.quantize.tflite_conversion import open_interpreter

    interpreter = open_interpreter(data)
    entrance = interpreter.get_input_details()[0]["index"]
    maps = next(one for one in interpreter.get_tensor_details() if one["shape"].tolist() == MAPS)
    scale, zero_point = maps["quantization"]
    result = []
    for picture in bright():
        interpreter.set_tensor(entrance, np.float32(picture[None]) / np.float32(PIXEL_MIDDLE) - 1)
        interpreter.invoke()
        result.append(interpreter.get_tensor(maps["index"]).mean(axis=(0, 1, 2)) - zero_point)
    return np.mean(result, axis=0) * (scale or 1)
