"""What the stock converter writes is read rightly, and computes the same with metadata in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dermpack.inference.classifier import open_classifier
from dermpack.inference.interpreter_host import Runtime, installed_runtimes
from dermpack.inference.model_files import ModelSettings
from dermpack.tflite.lint import is_integer, lint_model
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import Metadata, takes_raw_bytes
from dermpack.tflite.reading import read_model
from tests.support.tflite_models import LABELS, SIZE, float_model, integer_model

pytestmark = pytest.mark.tensorflow
METADATA = Metadata(name="lesions", labels=LABELS, mean=(127.5,), std=(127.5,))
KINDS = ("float32", "uint8", "int8")
RUNTIME = "tflite-runtime==2.14.0"


def converted(kind: str) -> bytes:
    return float_model() if kind == "float32" else integer_model(kind)


@pytest.mark.parametrize("engine", installed_runtimes(), ids=lambda engine: engine.value)
@pytest.mark.parametrize("kind", KINDS)
def test_metadata_changes_no_bit_of_the_outputs(tmp_path: Path, engine: Runtime, kind: str) -> None:
    generator = np.random.default_rng(5)
    pixels = generator.integers(0, 256, size=(8, SIZE, SIZE, 3)).astype(np.uint8)
    answers = []
    for name, data in (("plain", converted(kind)), ("described", with_metadata(converted(kind), METADATA))):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(data)
        with open_classifier(path, sidecar=ModelSettings(labels=LABELS), engine=engine) as classifier:
            answers.append(classifier.classify(pixels).tobytes())
    assert answers[0] == answers[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_converted_file_describes_its_input(kind: str) -> None:
    model = read_model(converted(kind), where=kind)
    assert [tensor.dtype for tensor in (*model.inputs, *model.outputs)] == [kind, kind]
    assert model.inputs[0].shape == (1, SIZE, SIZE, 3)
    assert is_integer(model) is takes_raw_bytes(model.inputs[0]) is (kind != "float32")
    assert model.min_runtime_version


def test_the_scales_of_a_convolution_are_per_channel() -> None:
    model = read_model(integer_model("uint8"), where="uint8")
    kernels = [tensor for tensor in model.tensors if len(tensor.shape) == 4 and tensor.constant_bytes]
    assert [(len(kernel.scales), kernel.parameters) for kernel in kernels] == [(4, 108)]


def test_a_converted_file_with_metadata_has_no_traps() -> None:
    model = read_model(with_metadata(integer_model("uint8"), METADATA), where="uint8")
    assert lint_model(model, runtimes=[RUNTIME]) == ()
