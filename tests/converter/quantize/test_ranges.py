"""Ranges: what the network really reaches, in a quarter of the stock calibrator's time."""

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
    from converter.quantize.tflite_conversion import Quantization, unquantized

    return unquantized(frozen, Quantization.INT8)


@pytest.fixture(scope="module")
def ranges(unquantized: bytes) -> Any:
    from converter.quantize.ranges import measure_ranges

    return measure_ranges(unquantized, noise(PICTURES))


def test_ranges_are_those_of_the_network_itself(ranges: Any, mobilenet: Any) -> None:
    """Also where an addition may take the place of what it adds, which the stock calibrator mistakes."""
    import tf_keras

    names = ("block_2_project_BN", "block_2_add", "Conv1_relu", "block_16_project_BN")
    layers = [mobilenet.get_layer(name).output for name in names]
    truth = tf_keras.Model(mobilenet.inputs, layers)(noise(PICTURES) / np.float32(127.5) - 1)
    for name, values in zip(names, truth, strict=True):
        at = next(
            at for at, tensor in enumerate(ranges.names) if f"/{name}/" in tensor or tensor.endswith(name)
        )
        expected = np.array([values.numpy().min(), values.numpy().max()])
        assert ranges.over_all()[at] == pytest.approx(expected, abs=CLOSE * np.ptp(expected)), name


def test_no_range_is_wider_than_the_stock_calibrators(ranges: Any, unquantized: bytes) -> None:
    from tensorflow.lite.python.optimize.calibrator import Calibrator

    inputs = (noise(PICTURES) / np.float32(127.5) - 1)[:, None]
    stock = ranges_in(Calibrator(unquantized).calibrate(lambda: ([of] for of in inputs)))
    ours = ranges.over_all()
    slack = CLOSE * (stock[:, 1] - stock[:, 0])
    apart = np.abs(ours - stock).max(axis=1) > slack
    assert (ours[1:, 0] >= stock[1:, 0] - slack[1:]).all() and (ours[1:, 1] <= stock[1:, 1] + slack[1:]).all()
    assert 0 < apart.sum() < len(apart) / 4  # the tensors that an addition overwrote


def test_the_input_has_the_range_of_bytes_whatever_the_pictures_are(unquantized: bytes) -> None:
    from converter.quantize.ranges import measure_ranges

    grey = np.full((1, 96, 96, 3), 128, np.uint8)
    assert measure_ranges(unquantized, grey).over_all()[0].tolist() == [-1, 1]


def test_threads_change_no_range(unquantized: bytes, ranges: Any) -> None:
    from converter.quantize.ranges import measure_ranges

    alone = measure_ranges(unquantized, noise(PICTURES), threads=1)
    assert np.array_equal(alone.over_all(), ranges.over_all())


def test_ranges_are_written_where_they_are_read(unquantized: bytes, ranges: Any) -> None:
    from converter.quantize.ranges import with_ranges

    assert np.array_equal(ranges_in(with_ranges(unquantized, ranges.over_all())), ranges.over_all())


def ranges_in(data: bytes) -> Any:
    """[tensors, 2], as the flatbuffer has them."""
    from tensorflow.lite.python import schema_py_generated as schema

    graph = schema.Model.GetRootAsModel(data, 0).Subgraphs(0)
    kept = (graph.Tensors(at).Quantization() for at in range(graph.TensorsLength()))
    pairs = [(of.Min(0), of.Max(0)) for of in kept if of is not None and of.MinLength()]
    return np.array(pairs, np.float32)
