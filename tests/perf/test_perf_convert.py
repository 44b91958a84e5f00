"""Converting a frozen function is faster than TensorFlow's converter for Keras models."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

pytestmark = pytest.mark.tensorflow
SIZE, LABELS, PICTURES = 224, 7, 200
FLOAT_RATIO, QAT_RATIO, PTQ_RATIO = 8.0, 8.0, 3.0
ROUNDS = 3


@pytest.fixture(scope="module")
def model() -> Any:
    """MobileNetV2 1.0 at 224 px."""
    from trainer.model.network import build_network
    from trainer.recipe.network_spec import Arch, NetworkSpec, Weights

    spec = NetworkSpec(arch=Arch.MOBILENET_V2, alpha=1.0, size=SIZE, classes=LABELS)
    return build_network(spec, weights=Weights.NONE, seed=0)


@pytest.fixture(scope="module")
def pictures() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (PICTURES, SIZE, SIZE, 3), dtype=np.uint8)


def keras_converter(model: Any) -> Any:
    import tensorflow as tf

    return tf.lite.TFLiteConverter.from_keras_model(model)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fastest_seconds(work: Callable[[], object]) -> float:
    """Return the time of the fastest round, which other work on the machine slowed the least."""
    return min(seconds(work) for _ in range(ROUNDS))


def test_float_is_eight_times_as_fast(benchmark: BenchmarkFixture, model: Any) -> None:
    from converter.quantize.tflite_conversion import IoType, Quantization, convert, freeze

    def ours() -> bytes:
        return convert(freeze(model), Quantization.FLOAT32, io=IoType.FLOAT32)

    ours()
    ratio = seconds(keras_converter(model).convert) / fastest_seconds(ours)
    benchmark.extra_info["ratio"] = round(ratio, 1)
    benchmark(ours)
    assert ratio >= FLOAT_RATIO


def test_quantization_aware_is_eight_times_as_fast(
    benchmark: BenchmarkFixture, model: Any, pictures: NDArray[np.uint8]
) -> None:
    import tensorflow as tf

    from converter.qat.qat_network import build_qat_network
    from converter.quantize.tflite_conversion import IoType, Quantization, convert, freeze

    aware = build_qat_network(model, pictures[:4])

    def ours() -> bytes:
        return convert(freeze(aware), Quantization.INT8, io=IoType.UINT8)

    ours()
    converter = keras_converter(aware)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    ratio = seconds(converter.convert) / fastest_seconds(ours)
    benchmark.extra_info["ratio"] = round(ratio, 1)
    benchmark(ours)
    assert ratio >= QAT_RATIO


def test_post_training_is_three_times_as_fast(
    benchmark: BenchmarkFixture, model: Any, pictures: NDArray[np.uint8]
) -> None:
    from converter.quantize.calibration import measure_ranges, write_ranges
    from converter.quantize.layer_errors import CORRECTION_PICTURES, correct_biases, measure_mean_errors
    from converter.quantize.tflite_conversion import (
        IoType,
        Quantization,
        convert_unquantized,
        freeze,
        quantize,
    )

    def ours() -> bytes:
        start = convert_unquantized(freeze(model), Quantization.INT8)
        ranged = write_ranges(start, measure_ranges(start, pictures).reached())
        corrected = correct_biases(ranged, measure_mean_errors(ranged, pictures[:CORRECTION_PICTURES]))
        return quantize(corrected, Quantization.INT8, io=IoType.UINT8)

    def examples() -> Iterator[list[Any]]:
        return ([np.float32(picture[None]) / np.float32(127.5) - 1] for picture in pictures)

    converter = _int8_converter(model)
    converter.representative_dataset = examples
    ratio = seconds(converter.convert) / fastest_seconds(ours)
    benchmark.extra_info["ratio"] = round(ratio, 1)
    benchmark(ours)
    assert ratio >= PTQ_RATIO


def _int8_converter(model: Any) -> Any:
    import tensorflow as tf

    converter = keras_converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.uint8
    return converter
