"""Files of litert-quantizer get the versions that their types need, and compute what the float file does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converter.quantize.clipping import BINS, Clipping
from converter.quantize.litert_quantizing import FloatFile, open_float_file
from dermpack.inference.classifier import load_classifier
from dermpack.inference.interpreter_host import Kernels, installed_runtimes, open_host
from dermpack.inference.model_files import ModelSettings
from dermpack.tflite.reading import read_model
from tests.support.errors import raises_code
from tests.support.foreign_files import LABELS, foreign_file, levelled_pictures
from tests.support.tflite_models import integer_model

pytestmark = pytest.mark.tensorflow
PICTURES, TRUTH = levelled_pictures(24)
WHERE = Path("foreign.tflite")
UNIT, SHARE = (-1.0, 1.0), (0.0, 1.0)


def scaled(pictures: Any) -> Any:
    return np.float32(pictures) / 127.5 - 1


def ranges_of(file: FloatFile) -> dict[str, tuple[float, float]]:
    limits = file.measure(scaled(PICTURES))
    ends = zip(limits[:, 0].min(axis=0).tolist(), limits[:, 1].max(axis=0).tolist(), strict=True)
    ranges = dict(zip(file.tensors, ends, strict=True))
    return {**ranges, file.tensors[0]: UNIT}


@pytest.fixture(scope="module")
def opened() -> Iterator[FloatFile]:
    with open_float_file(foreign_file(), where=WHERE) as file:
        yield file


def quantized(file: FloatFile, recipe: str, io: str, **options: Any) -> bytes:
    ranges = ranges_of(file) if recipe == "int8" else {}
    return file.quantize(recipe, io=io, input_limits=UNIT, output_limits=SHARE, ranges=ranges, **options)


@pytest.mark.parametrize(
    ("recipe", "io"),
    [
        *(("int8", "uint8"), ("int8", "int8"), ("int8", "float32")),
        *(("float16", "float32"), ("dynamic", "float32"), ("float32", "float32")),
    ],
)
def test_each_recipe_answers_like_the_float_file_on_every_runtime(
    opened: FloatFile, recipe: str, io: str
) -> None:
    data = quantized(opened, recipe, io)
    model = read_model(data, where=WHERE)
    assert (model.inputs[0].dtype, model.outputs[0].dtype) == (io, io)
    assert not model.inputs[0].is_dynamic
    for runtime in installed_runtimes():
        with open_host(runtime) as host:
            settings = ModelSettings(labels=LABELS)
            expected = load_classifier(host, foreign_file(), where=WHERE, sidecar=settings).classify(PICTURES)
            for kernels in Kernels:
                classifier = load_classifier(host, data, where=WHERE, sidecar=settings, kernels=kernels)
                answers = classifier.classify(PICTURES)
                assert (answers.argmax(axis=1) == TRUTH).all()
                assert np.abs(answers - expected).max() < 0.05


def test_an_int8_file_has_the_operator_versions_that_tensorflow_writes(opened: FloatFile) -> None:
    ours = read_model(quantized(opened, "int8", "uint8"), where=WHERE)
    reference = read_model(integer_model("uint8"), where=WHERE)
    versions = {operator.name: operator.version for operator in ours.operators}
    expected = {operator.name: operator.version for operator in reference.operators}
    shared = versions.keys() & expected.keys()
    assert {"CONV_2D", "FULLY_CONNECTED", "MEAN", "SOFTMAX"} <= shared
    assert {name: versions[name] for name in shared} == {name: expected[name] for name in shared}
    assert versions["DEPTHWISE_CONV_2D"] == 3
    assert ours.min_runtime_version == reference.min_runtime_version == "1.14.0"


@pytest.mark.parametrize(
    ("recipe", "operator", "version", "runtime"),
    [("float16", "DEQUANTIZE", 3, "1.15.0"), ("dynamic", "CONV_2D", 1, "1.6.0")],
)
def test_other_recipes_have_the_versions_that_their_weights_need(
    opened: FloatFile, recipe: str, operator: str, version: int, runtime: str
) -> None:
    # The constants of this network are too small for the dynamic quantization.
    model = read_model(quantized(opened, recipe, "float32"), where=WHERE)
    assert {found.name: found.version for found in model.operators}[operator] == version
    assert model.min_runtime_version == runtime


def test_named_layers_stay_in_floating_point(opened: FloatFile) -> None:
    layer = next(name for name in opened.tensors if "depthwise" in name.lower())
    model = read_model(quantized(opened, "int8", "uint8", float_layers=[layer]), where=WHERE)
    assert [tensor.dtype for tensor in model.tensors if tensor.name == layer] == ["float32"]
    names = {operator.name: operator.version for operator in model.operators}
    assert names["DEQUANTIZE"] == 2


def test_the_same_request_gives_the_same_bytes(opened: FloatFile) -> None:
    assert quantized(opened, "int8", "uint8") == quantized(opened, "int8", "uint8")


def test_values_are_counted_for_clipping() -> None:
    with open_float_file(foreign_file(), where=WHERE, clipping=Clipping.MSE) as file:
        file.measure(scaled(PICTURES))
        counts = file.read_counts()
    assert counts.shape == (2, len(file.tensors), BINS)
    assert counts.sum(axis=2).min() > 0


@pytest.mark.parametrize("length", [None, 2000])
def test_a_broken_file_ends_in_an_error(length: int | None) -> None:
    data = b"\0\0\0\0TFL3" if length is None else foreign_file()[:length]
    with raises_code("quantizer-failed", WHERE), open_float_file(data, where=WHERE):
        pass
