"""The measured ranges are those of the network, also where TensorFlow's calibrator errs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.drawn_networks import noise

pytestmark = pytest.mark.tensorflow
CLOSE = 1e-3  # of a range: kernels add in another order
PICTURES = 3


@pytest.fixture(scope="module")
def unquantized(frozen: Any) -> bytes:
    from converter.quantize.tflite_conversion import Quantization, convert_unquantized

    return convert_unquantized(frozen, Quantization.INT8)


@pytest.fixture(scope="module")
def ranges(unquantized: bytes) -> Any:
    from converter.quantize.calibration import measure_ranges

    return measure_ranges(unquantized, noise(PICTURES))


def test_ranges_are_the_extremes_of_the_network(ranges: Any, mobilenet: Any) -> None:
    """Also for tensors that an addition overwrites, which TensorFlow's calibrator measures too late."""
    import tf_keras

    names = ("block_2_project_BN", "block_2_add", "Conv1_relu", "block_16_project_BN")
    layers = [mobilenet.get_layer(name).output for name in names]
    truth = tf_keras.Model(mobilenet.inputs, layers)(noise(PICTURES) / np.float32(127.5) - 1)
    for name, values in zip(names, truth, strict=True):
        at = next(
            at for at, tensor in enumerate(ranges.names) if f"/{name}/" in tensor or tensor.endswith(name)
        )
        expected = np.array([values.numpy().min(), values.numpy().max()])
        assert ranges.reached()[at] == pytest.approx(expected, abs=CLOSE * np.ptp(expected)), name


def test_no_range_is_wider_than_the_stock_calibrators(ranges: Any, unquantized: bytes) -> None:
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    inputs = (noise(PICTURES) / np.float32(127.5) - 1)[:, None]
    stock = ranges_in(Calibrator(unquantized).calibrate(lambda: ([item] for item in inputs)))
    ours = ranges.reached()
    slack = CLOSE * (stock[:, 1] - stock[:, 0])
    apart = np.abs(ours - stock).max(axis=1) > slack
    assert (ours[1:, 0] >= stock[1:, 0] - slack[1:]).all() and (ours[1:, 1] <= stock[1:, 1] + slack[1:]).all()
    assert 0 < apart.sum() < len(apart) / 4  # the tensors that an addition overwrote


def test_the_input_has_the_range_of_bytes_for_any_pictures(unquantized: bytes) -> None:
    from converter.quantize.calibration import measure_ranges

    grey = np.full((1, 96, 96, 3), 128, np.uint8)
    assert measure_ranges(unquantized, grey).reached()[0].tolist() == [-1, 1]


def test_threads_change_no_range(unquantized: bytes, ranges: Any) -> None:
    from converter.quantize.calibration import measure_ranges

    alone = measure_ranges(unquantized, noise(PICTURES), threads=1)
    assert np.array_equal(alone.reached(), ranges.reached())


def test_ranges_are_written_where_they_are_read(unquantized: bytes, ranges: Any) -> None:
    from converter.quantize.calibration import write_ranges

    assert np.array_equal(ranges_in(write_ranges(unquantized, ranges.reached())), ranges.reached())


def ranges_in(data: bytes) -> Any:
    """Return the ranges in the flatbuffer: [tensors, 2]."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(data, 0).Subgraphs(0)
    fields = (graph.Tensors(index).Quantization() for index in range(graph.TensorsLength()))
    pairs = [(field.Min(0), field.Max(0)) for field in fields if field is not None and field.MinLength()]
    return np.array(pairs, np.float32)
