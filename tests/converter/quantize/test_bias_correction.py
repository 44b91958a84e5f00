"""What integers add to a layer on average is taken back by its bias."""

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
    """A convolution whose weights are all rounded to nothing but one."""
    import tf_keras

    from converter.quantize.ranges import measure_ranges, with_ranges
    from converter.quantize.tflite_conversion import Quantization, unquantized
    from converter.sources.frozen_function import freeze

    pixels = tf_keras.Input((SIZE, SIZE, 3))
    maps = tf_keras.layers.Conv2D(4, 5, name=LAYER)(pixels)
    means = tf_keras.layers.GlobalAveragePooling2D()(maps)
    model = tf_keras.Model(pixels, tf_keras.layers.Dense(3, activation="softmax")(means))
    kernel = np.full((5, 5, 3, 4), LOST, np.float32)
    kernel[2, 2, 0] = 1
    model.get_layer(LAYER).set_weights([kernel, np.linspace(0.1, 0.4, 4)])
    start = unquantized(freeze(model), Quantization.INT8)
    return with_ranges(start, measure_ranges(start, bright()).over_all())


@pytest.fixture(scope="module")
def corrected(ranged: bytes) -> bytes:
    from converter.quantize.bias_correction import correct_biases, mean_errors

    return correct_biases(ranged, mean_errors(ranged, bright()))


def bright() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(128, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


def error(data: bytes) -> Any:
    """What integers add to the channels of the convolution."""
    from converter.quantize.bias_correction import mean_errors

    errors = mean_errors(data, bright())
    return next(of for layer, of in errors.items() if LAYER in layer)


def test_what_rounding_takes_is_given_back(ranged: bytes, corrected: bytes) -> None:
    expected = -74 * LOST * 0.5  # 74 lost weights of 75, pixels of 0.5 on average
    assert error(ranged) == pytest.approx(np.full(4, expected), rel=0.1)
    assert np.abs(error(corrected) - error(ranged)).max() < 0.01  # the same inputs, the same weights
    assert biases(corrected) - biases(ranged) == pytest.approx(-error(ranged), abs=1e-4)


def test_activations_of_16_bits_get_back_what_weights_of_8_took(ranged: bytes, corrected: bytes) -> None:
    from converter.quantize.tflite_conversion import IoType, Quantization, quantize

    plain = means(ranged)
    lost, left = (
        means(quantize(of, Quantization.INT16X8, io=IoType.FLOAT32)) - plain for of in (ranged, corrected)
    )
    assert np.abs(lost).min() > 0.05
    assert np.abs(left).max() < 0.005


def test_a_layer_that_stays_in_floating_point_is_not_moved(ranged: bytes) -> None:
    from converter.quantize.bias_correction import correct_biases, mean_errors
    from converter.quantize.tflite_conversion import IoType
    from converter.search.selective import keep_floats

    errors = mean_errors(ranged, bright())
    spared = next(layer for layer in errors if LAYER in layer)
    moved, left = (
        means(keep_floats(correct_biases(ranged, errors, but=but), (spared,), io=IoType.FLOAT32).data)
        for but in ((), (spared,))
    )
    assert np.abs(moved - means(ranged)).min() > 0.05
    assert np.abs(left - means(ranged)).max() < 0.005


@pytest.mark.parametrize("recipe", ["int8", "int16x8"])
def test_every_file_of_integers_starts_with_corrected_biases(run: Path, recipe: str) -> None:
    from converter.quantize.bias_correction import _biases
    from converter.quantize.tflite_conversion import Quantization, unquantized
    from converter.search.candidate import read_material, read_ranges
    from converter.search.request import ConversionRequest
    from converter.sources.run_source import find_dataset, open_source
    from trainer.runs.run_folder import read_run

    read, asked = read_run(run), Quantization(recipe)
    source = open_source(read, find_dataset(read, None), threads=1)
    material = read_material(source, count=2, seed=0, threads=1)
    ranged = read_ranges(source, asked, ConversionRequest(recipes=(asked,)), material)
    spared, *_ = plain = dict(_biases(bytearray(unquantized(source.frozen, asked))))
    moved, but = (dict(_biases(bytearray(ranged.corrected(but=layers)))) for layers in ((), (spared,)))
    assert all((moved[layer] != bias).any() for layer, bias in plain.items())
    assert [layer for layer in plain if (but[layer] == plain[layer]).all()] == [spared]


def test_threads_change_no_bias(ranged: bytes, corrected: bytes) -> None:
    from converter.quantize.bias_correction import correct_biases, mean_errors

    assert correct_biases(ranged, mean_errors(ranged, bright(), threads=1)) == corrected


def biases(data: bytes) -> Any:
    from converter.quantize.bias_correction import _biases

    return next(bias.copy() for layer, bias in _biases(bytearray(data)) if LAYER in layer)


def means(data: bytes) -> Any:
    """Of each channel of the convolution, as the file computes it."""
    from converter.quantize.ranges import MIDDLE, _interpreter

    interpreter = _interpreter(data)
    entrance = interpreter.get_input_details()[0]["index"]
    maps = next(one for one in interpreter.get_tensor_details() if one["shape"].tolist() == MAPS)
    scale, zero_point = maps["quantization"]
    found = []
    for picture in bright():
        interpreter.set_tensor(entrance, np.float32(picture[None]) / np.float32(MIDDLE) - 1)
        interpreter.invoke()
        found.append(interpreter.get_tensor(maps["index"]).mean(axis=(0, 1, 2)) - zero_point)
    return np.mean(found, axis=0) * (scale or 1)
