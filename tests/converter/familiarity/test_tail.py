"""The tail computes the fitted distance on every kind of file, and changes nothing else in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dermpack.tflite.reading import read_model
from tests.support.errors import raises_code
from tests.support.tflite_models import LABELS, SIZE, float_model, integer_model

pytestmark = pytest.mark.tensorflow
KINDS = ("float32", "uint8", "int8")
LABEL_COUNT = len(LABELS)


def plain(kind: str) -> bytes:
    return float_model() if kind == "float32" else integer_model(kind)


def pictures(count: int, *, seed: int = 0) -> NDArray[np.uint8]:
    generator = np.random.default_rng(seed)
    middle = generator.integers(40, 216, size=(count, 1, 1, 3))
    noise = generator.integers(-40, 40, size=(count, SIZE, SIZE, 3))
    return np.asarray(middle + noise, np.uint8)


def with_tail(kind: str) -> tuple[bytes, Any]:
    """Return the file with the tail, and the distance that was fitted to its own features."""
    from converter.familiarity.distance import fit_distance
    from converter.familiarity.features import measure_features
    from converter.familiarity.tail import append_distance

    data = plain(kind)
    distance = fit_distance(measure_features(data, pictures(60), labels=LABEL_COUNT), directions=2)
    return append_distance(data, distance, labels=LABEL_COUNT), distance


def run_last_output(data: bytes, rows: NDArray[np.uint8]) -> NDArray[np.float32]:
    from converter.familiarity.features import _feed
    from converter.pixel_scale import UNIT_SCALE
    from converter.quantize.tflite_conversion import open_interpreter

    interpreter, found = open_interpreter(data), []
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[-1]
    for row in rows:
        interpreter.set_tensor(source["index"], _feed(row, source, UNIT_SCALE))
        interpreter.invoke()
        found.append(interpreter.get_tensor(target["index"])[0, 0])
    return np.array(found)


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_is_the_fitted_distance_of_the_features(kind: str) -> None:
    from converter.familiarity.features import measure_features

    data, distance = with_tail(kind)
    rows = pictures(8, seed=1)
    expected = distance(measure_features(plain(kind), rows, labels=LABEL_COUNT))
    np.testing.assert_allclose(run_last_output(data, rows), expected, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_bit_of_the_probabilities_changes(kind: str) -> None:
    from converter.quantize.tflite_conversion import open_interpreter

    data, _ = with_tail(kind)
    outputs = []
    for model in (plain(kind), data):
        interpreter = open_interpreter(model)
        source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        interpreter.set_tensor(source["index"], np.full(source["shape"], 3, source["dtype"]))
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"]).tobytes())
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_has_one_more_output_and_only_builtin_operators(kind: str) -> None:
    model = read_model(with_tail(kind)[0], where=kind)
    assert [tensor.name for tensor in model.outputs][1:] == ["familiarity"]
    assert (model.outputs[1].dtype, model.outputs[1].shape) == ("float32", (1, 1))
    assert not any(operator.custom for operator in model.operators)


def test_the_same_distance_gives_the_same_bytes() -> None:
    assert with_tail("uint8")[0] == with_tail("uint8")[0]


def test_a_map_with_one_channel_for_each_label_is_no_feature_map() -> None:
    from converter.familiarity.features import measure_features

    # The float file contains two maps. Neither is used: the convolution has a channel for each label.
    with raises_code("unsupported-model"):
        measure_features(plain("float32"), pictures(1), labels=4)
