"""The layers that integers harm are found, and can be left in floating point."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.support.spread_network import spread
from tests.support.striped_dataset import network, stripes

pytestmark = pytest.mark.tensorflow
Keras = Any
SHARED = ("MEAN", "FULLY_CONNECTED")  # who gives and who takes the pooled features
LAYERS = 10  # operations of the small network: 5 convolutions, 2 additions, mean, dense, softmax


def ranged_file(model: Keras, *, widened: str = "", by: float = 1.0) -> bytes:
    """The float file with measured ranges, one of them widened beyond use."""
    from converter.quantize.calibration import measure_ranges, write_ranges
    from converter.quantize.tflite_conversion import Quantization, convert_unquantized, freeze

    start = convert_unquantized(freeze(model), Quantization.INT8)
    ranges = measure_ranges(start, pictures())
    limits = ranges.reached()
    limits[[widened in name if widened else False for name in ranges.names]] *= by
    return write_ranges(start, limits)


def pictures() -> Any:
    return stripes(24, seed=1)[0]


@pytest.fixture(scope="module")
def ranged() -> bytes:
    return ranged_file(network())


@pytest.fixture(scope="module")
def errors(ranged: bytes) -> Any:
    from converter.quantize.layer_errors import measure_layer_errors

    return measure_layer_errors(ranged, pictures())


def operators(data: bytes) -> Counter[str]:
    from converter.quantize.tflite_conversion import open_interpreter

    return Counter(operation["op_name"] for operation in open_interpreter(data)._get_ops_details())


def test_each_operation_has_its_error(errors: Any) -> None:
    kinds = Counter(one.operator for one in errors)
    assert len(errors) == LAYERS
    assert kinds["CONV_2D"] == 3
    assert kinds["DEPTHWISE_CONV_2D"] == 2
    assert errors[-1].operator == "SOFTMAX"
    assert errors[-1].scale == 1 / 256


def test_an_addition_only_rounds(errors: Any) -> None:
    from converter.quantize.layer_errors import ROUNDING_ERROR

    additions = [one.error for one in errors if one.operator == "ADD"]
    assert additions == pytest.approx([ROUNDING_ERROR, ROUNDING_ERROR], rel=0.1)


def test_the_error_is_that_of_the_stock_debugger(ranged: bytes, errors: Any) -> None:
    import tensorflow as tf

    from converter import _private

    def shown() -> Any:
        return ([np.float32(picture[None]) / 127.5 - 1] for picture in pictures())

    debugger = tf.lite.experimental.QuantizationDebugger(
        quant_debug_model_content=_private.quantize_with_verification(ranged), debug_dataset=shown
    )
    debugger.run()
    squares = [layer["mean_squared_error"] for layer in debugger.layer_statistics.values()]
    stock = [np.sqrt(square) / one.scale for square, one in zip(squares, errors, strict=True)]
    assert [one.error for one in errors] == pytest.approx(
        stock, rel=0.05
    )  # its kernels round in their own way


def test_a_layer_that_is_harmed_comes_first() -> None:
    from converter.quantize.layer_errors import measure_layer_errors
    from converter.search.candidate import worst_layers

    coarse = measure_layer_errors(ranged_file(network(), widened="one_project", by=0.05), pictures())
    assert "one_project" in worst_layers(coarse, count=1)[0]
    assert max(one.error for one in coarse) > 1


def test_the_worst_layers_stay_in_floating_point(ranged: bytes, errors: Any) -> None:
    from converter.quantize.tflite_conversion import IoType, Quantization, quantize
    from converter.search.candidate import worst_layers

    names = worst_layers(errors, count=2)
    selected = quantize(ranged, Quantization.INT8, io=IoType.UINT8, float_layers=names)
    assert operators(selected)["DEQUANTIZE"] == 2


@pytest.mark.parametrize("index", range(LAYERS))
def test_every_layer_can_be_named(ranged: bytes, errors: Any, index: int) -> None:
    from converter.quantize.tflite_conversion import IoType, Quantization, quantize

    selected = quantize(ranged, Quantization.INT8, io=IoType.UINT8, float_layers=[errors[index].layer])
    assert operators(selected)["DEQUANTIZE"] >= 1


@pytest.mark.parametrize(
    ("layers", "counts"),
    [(110, (1, 2, 5, 10, 20)), (30, (1, 2, 5, 10, 15)), (10, (1, 2, 5)), (7, (1, 2, 3)), (2, (1,))],
)
def test_a_few_layers_are_spared_first_and_never_more_than_half(layers: int, counts: tuple[int, ...]) -> None:
    from converter.search.candidate import list_counts

    assert list_counts(layers) == counts


def test_a_tensor_between_two_kept_layers_is_not_rounded() -> None:
    from converter.quantize.layer_errors import measure_layer_errors
    from converter.quantize.tflite_conversion import IoType, Quantization, quantize

    model = spread(network())
    broken = ranged_file(model, widened="pool", by=0.02)
    between = [one.layer for one in measure_layer_errors(broken, pictures()) if one.operator in SHARED]
    plain, mended = (
        distance(model, quantize(broken, Quantization.INT8, io=IoType.UINT8, float_layers=kept))
        for kept in ((), between)
    )
    assert mended < plain / 5


def distance(model: Keras, data: bytes) -> float:
    """The mean difference between the probabilities of the network and of the file."""
    from converter.quantize.tflite_conversion import open_interpreter

    interpreter = open_interpreter(data)
    entrance, exit_ = (
        interpreter.get_input_details()[0]["index"],
        interpreter.get_output_details()[0]["index"],
    )
    result = []
    for picture in pictures():
        interpreter.set_tensor(entrance, picture[None])
        interpreter.invoke()
        result.append(interpreter.get_tensor(exit_)[0] / 256)
    wanted = model(np.float32(pictures()) / 127.5 - 1, training=False)
    return float(np.abs(np.array(result) - wanted).mean())
