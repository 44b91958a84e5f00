"""What stands around a model is checked before an interpreter sees it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermpack.contract import MAX_MODEL_BYTES, Temperature, TensorType
from dermpack.imaging.preprocessing import Policy
from dermpack.inference import model_files as modelfile
from dermpack.inference.classifier import (
    expand_single_output,
    open_classifier,
    soften,
)
from dermpack.inference.model_files import ModelSettings, find_sidecar, read_sidecar
from dermpack.inference.picture_feed import Tensor, build_input_table, dequantize
from dermpack.metrics.calibration import apply_temperature
from dermpack.storage.codec import encode
from dermpack.storage.files import sha256_of
from tests.support.contracts import contract_for, with_picture, with_probabilities
from tests.support.errors import raises_code


def sidecar(folder: Path, record: object) -> Path:
    path = folder / "model.json"
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def quantized(number: TensorType, scale: float, zero_point: int) -> Tensor:
    return Tensor(shape=(1, 8, 8, 3), number=number, scale=scale, zero_point=zero_point)


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\5\6TFL", b"\0" * 100])
def test_what_is_no_flatbuffer_of_tflite_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    with raises_code("invalid-model", path):
        modelfile.read_model(path)


def test_a_zip_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(b"PK\3\4TFL3")
    with raises_code("invalid-model", path, "zip"):
        modelfile.read_model(path)


def test_a_model_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    with path.open("wb") as file:
        file.truncate(MAX_MODEL_BYTES + 1)
    with raises_code("file-too-large", path, "512 MiB"):
        modelfile.read_model(path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "model.tflite")
    with raises_code("not-a-file", tmp_path / "model.tflite"):
        modelfile.read_model(tmp_path / "model.tflite")


def test_a_missing_model_is_an_error_of_one_line(tmp_path: Path) -> None:
    with (
        raises_code("model-not-found", tmp_path / "none.tflite"),
        open_classifier(tmp_path / "none.tflite", sidecar=ModelSettings(labels=("a", "b"))),
    ):
        pass


def test_a_contract_gives_labels_policy_and_temperature(tmp_path: Path) -> None:
    contract = with_picture(contract_for(), policy=Policy.WHOLE.value)
    record = encode(contract)
    expected = ModelSettings(
        labels=contract.labels, policy=Policy.WHOLE, temperature=1.25, floor=1 / 512, interface=contract
    )
    assert read_sidecar(sidecar(tmp_path, record)) == expected


def test_a_contract_without_temperature_leaves_probabilities_alone(tmp_path: Path) -> None:
    contract = contract_for()
    record = encode(with_probabilities(contract, temperature=None))
    plain = read_sidecar(sidecar(tmp_path, record))
    assert (plain.temperature, plain.floor) == (1.0, 0.0)


def test_a_contract_of_an_unknown_policy_is_refused(tmp_path: Path) -> None:
    contract = contract_for()
    record = encode(with_picture(contract, policy="stretch-7"))
    with raises_code("invalid-contract", "model.json", "stretch-7"):
        read_sidecar(sidecar(tmp_path, record))


def test_a_contract_of_another_model_is_refused(tmp_path: Path) -> None:
    model, data = tmp_path / "foreign.tflite", b"\0\0\0\0TFL3"
    model.write_bytes(data)
    contract = contract_for()
    foreign = sidecar(tmp_path, encode(contract))
    with raises_code("contract-mismatch", foreign, "foreign.tflite", "--labels FILE"):
        read_sidecar(foreign, of=model)
    own = sidecar(tmp_path, encode(replace(contract, sha256=sha256_of(data))))
    assert read_sidecar(own, of=model).labels == contract.labels


def test_labels_alone_are_of_any_model(tmp_path: Path) -> None:
    labels = sidecar(tmp_path, {"labels": ["a", "b"]})
    assert read_sidecar(labels, of=tmp_path / "any.tflite").labels == ("a", "b")


def test_a_sidecar_of_labels_alone_has_the_defaults(tmp_path: Path) -> None:
    assert read_sidecar(sidecar(tmp_path, {"labels": ["a", "b"]})) == ModelSettings(labels=("a", "b"))


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({}, "invalid-labels"),
        ({"labels": "ab"}, "invalid-labels"),
        ({"labels": ["a"]}, "invalid-labels"),
        ({"labels": ["a", "a"]}, "invalid-labels"),
        ({"labels": ["a", 1]}, "invalid-labels"),
        ({"labels": ["a", ""]}, "invalid-labels"),
        ({"labels": ["a", "b"], "schema": 1}, "invalid-contract"),
        (["a", "b"], "invalid-json"),
    ],
)
def test_a_sidecar_that_is_wrong_is_refused(tmp_path: Path, record: object, code: str) -> None:
    with raises_code(code, tmp_path / "model.json"):
        read_sidecar(sidecar(tmp_path, record))


def test_a_sidecar_of_the_models_own_name_comes_first(tmp_path: Path) -> None:
    own = tmp_path / "small.json"
    own.write_text("{}", encoding="utf-8")
    sidecar(tmp_path, {})
    assert find_sidecar(tmp_path / "small.tflite") == own
    assert find_sidecar(tmp_path / "other.tflite") == tmp_path / "model.json"


def test_float_inputs_run_from_minus_one_to_one() -> None:
    table = build_input_table(quantized(TensorType.FLOAT32, 0.0, 0))
    assert table.dtype == np.float32
    assert (table[0], table[255]) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("scale", "zero_point"),
    [(2 / 255, 127), (2 / 255, 128), (1 / 128, 128), (1 / 255, 0), (1.0, 0), (0.0, 0)],
)
def test_raw_pixels_are_fed_where_the_quantization_requires_it(scale: float, zero_point: int) -> None:
    assert build_input_table(quantized(TensorType.UINT8, scale, zero_point)).tolist() == list(range(256))
    signed = build_input_table(quantized(TensorType.INT8, scale, zero_point - 128 if scale else 0))
    assert signed.tolist() == list(range(-128, 128))


def test_an_input_of_another_range_is_fed_by_its_scale() -> None:
    table = build_input_table(quantized(TensorType.UINT8, 4 / 255, 128))
    assert (table[0], table[255]) == (64, 192)


def test_outputs_are_read_by_scale_and_zero_point() -> None:
    output = quantized(TensorType.INT8, 1 / 256, -128)
    assert dequantize(np.array([[-128, 0]], np.int8), output).tolist() == [[0.0, 0.5]]


def test_a_single_output_is_the_probability_of_the_second_label() -> None:
    assert expand_single_output(np.array([[0.25]]), ("benign", "malignant")).tolist() == [[0.75, 0.25]]


@pytest.mark.parametrize("value", [0.05, 0.7, 1.0, 1.25, 20.0])
@pytest.mark.parametrize("floor", [1 / 512, 1e-9])
def test_a_temperature_is_applied_as_it_was_fitted(value: float, floor: float) -> None:
    steps = np.array([[256, 0, 0], [255, 1, 0], [100, 100, 56], [0, 3, 253]]) / 256
    zeros = {"nll_before": 0.0, "nll_after": 0.0, "ece_before": 0.0, "ece_after": 0.0}
    fitted = Temperature(value=value, floor=floor, n=4, **zeros)
    assert soften(steps, value, floor=floor) == pytest.approx(apply_temperature(steps, fitted), abs=1e-12)


def test_no_temperature_changes_no_bit() -> None:
    probabilities = np.array([[0.3, 0.7, 0.0]])
    assert soften(probabilities, 1.0) is probabilities
