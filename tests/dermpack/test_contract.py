"""The contract: written, read back, and refused where it says what cannot be."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermpack.contract import (
    Activation,
    RuntimeResult,
    TensorType,
    format_contract,
    parse_contract,
    read_contract,
    summarize_runtimes,
)
from dermpack.errors import TableError
from tests.support.contracts import contract_for, with_picture, with_probabilities
from tests.support.errors import raises_code

KEYS = {
    *("schema", "task", "name", "version", "labels", "source", "thresholds", "abstention", "recipe"),
    *("calibration", "operators", "runtimes", "accuracy", "size_bytes", "sha256", "parents", "license"),
    *("signature", "inputs", "outputs", "quality", "input_evidence", "intended_use"),
}
GONE = object()


def record() -> Any:
    return json.loads(format_contract(contract_for()))


def changed(path: str, value: object) -> Any:
    """The record with another value where the path leads: input.width, labels.0."""
    whole = at = record()
    *parents, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    for step in parents:
        at = at[step]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return whole


def result(runtime: str, version: str, *, works: bool = True, delegate: str = "none") -> RuntimeResult:
    return RuntimeResult(runtime=runtime, version=version, delegate=delegate, works=works, result="ran")


def test_a_contract_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(format_contract(contract_for()), encoding="utf-8")
    assert read_contract(tmp_path / "model.json") == contract_for()


def test_the_file_has_the_promised_keys_sorted() -> None:
    assert list(record()) == sorted(KEYS)


def test_a_contract_of_a_float_file_has_no_scales() -> None:
    contract = contract_for()
    numbers = {"dtype": TensorType.FLOAT32, "scale": None, "zero_point": None}
    given = with_picture(contract, **numbers, size_bytes=32 * 32 * 12)
    plain = replace(given, calibration=None, abstention=None, thresholds=())
    assert parse_contract(json.loads(format_contract(plain)), where="model.json") == plain


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("schema", 3, "schema"),
        ("schema", "1", "schema"),
        ("task", "detection", "task"),
        ("labels", [], "labels"),
        ("labels", ["mel"], "labels"),
        ("labels", ["akiec", "mel", "mel"], "labels"),
        ("labels", ["akiec", "mel", ""], "labels"),
        ("labels", ["akiec", "mel", "n\nv"], "labels"),
        ("labels", "akiec", "labels"),
        ("labels.1", 5, "labels[1]"),
        ("inputs", GONE, "inputs missing"),
        ("inputs", [], "inputs"),
        ("inputs.picture.width", 0, "inputs.picture.width"),
        ("inputs.picture.width", 1 << 20, "inputs.picture.width"),
        ("inputs.picture.width", True, "inputs.picture.width"),
        ("inputs.picture.width", 32.0, "inputs.picture.width"),
        ("inputs.picture.channels", 4, "inputs.picture.channels"),
        ("inputs.picture.scale", -1.0, "inputs.picture.scale"),
        ("inputs.picture.scale", None, "inputs.picture.scale"),
        ("inputs.picture.scale", float("nan"), "inputs.picture.scale"),
        ("inputs.picture.scale", 10**400, "inputs.picture.scale"),
        ("inputs.picture.zero_point", 256, "inputs.picture.zero_point"),
        ("inputs.picture.zero_point", -1, "inputs.picture.zero_point"),
        ("inputs.picture.dtype", "int4", "inputs.picture.dtype"),
        ("inputs.picture.dtype", {}, "inputs.picture.dtype"),
        ("inputs.picture.size_bytes", 5, "inputs.picture.size_bytes"),
        ("inputs.picture.policy", "", "inputs.picture.policy"),
        ("inputs.picture.secret", 1, "inputs.picture.secret"),
        ("outputs.probabilities.activation", "relu", "outputs.probabilities.activation"),
        ("outputs.probabilities.activation", "sigmoid", "labels"),
        ("outputs.probabilities.temperature.value", 0, "outputs.probabilities.temperature.value"),
        ("thresholds.0.label", "bcc", "thresholds"),
        ("thresholds.0.threshold", 1.5, "thresholds[0].threshold"),
        ("thresholds.0.sensitivity", 0.9, "thresholds[0].sensitivity 0.9 0.95"),
        ("abstention.curve.0.coverage", "all", "abstention.curve[0].coverage"),
        ("abstention.threshold", 0.95, "abstention.threshold 0.95 0.6 curve 80.0%"),
        ("abstention.accuracy", 0.99, "abstention.accuracy 0.99 0.9 curve"),
        ("abstention.coverage", 0.9, "abstention.threshold below 0.6 curve"),
        ("abstention.coverage", 0.7, "abstention.threshold above 0.6 curve"),
        ("calibration.split", "test", "calibration.split"),
        ("calibration.per_label", {"bcc": 3}, "calibration.per_label"),
        ("operators.0.version", 0, "operators[0].version"),
        ("runtimes.tried.0.runtime", "tensorflow", "runtimes.tried[0].runtime"),
        ("runtimes.oldest", "tflite-runtime 1.0.0", "runtimes.oldest"),
        ("accuracy.0.agreement", 1.01, "accuracy[0].agreement"),
        ("accuracy.0.figures.0.ci95", [0.1], "accuracy[0].figures[0].ci95"),
        ("accuracy.0.figures.0.ci95", [0.1, -0.1], "accuracy[0].figures[0].ci95"),
        ("size_bytes", 0, "size_bytes"),
        ("sha256", "abc", "sha256"),
        ("parents.run", "A" * 64, "parents.run"),
        ("license", "\ud800", "license"),
        ("license", None, "license"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(path: str, value: object, named: str) -> None:
    code = "unsupported-schema" if path == "schema" else "invalid-contract"
    with raises_code(code, "model.json: ", *named.split()) as caught:
        parse_contract(changed(path, value), where="model.json")
    assert isinstance(caught.value, TableError)
    assert "\n" not in str(caught.value)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(b"[" * 10_000)
    with raises_code("invalid-json", tmp_path / "model.json"):
        read_contract(tmp_path / "model.json")


def test_another_object_is_no_contract(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"labels": ["a", "b"]}', encoding="utf-8")
    with raises_code("unsupported-schema", tmp_path / "model.json", 2):
        read_contract(tmp_path / "model.json")


def test_the_oldest_runtime_is_the_oldest_on_which_everything_worked() -> None:
    litert, old = result("ai-edge-litert", "2.10.0"), result("ai-edge-litert", "2.3.0")
    broken = result("tflite-runtime", "2.14.0", works=False, delegate="xnnpack")
    half = result("tflite-runtime", "2.14.0")
    assert summarize_runtimes((litert, old, half, broken)).oldest == "ai-edge-litert 2.3.0"
    assert summarize_runtimes((litert, half)).oldest == "tflite-runtime 2.14.0"
    assert summarize_runtimes((broken,)).oldest == ""


def test_a_sigmoid_has_two_labels() -> None:
    contract = contract_for()
    with pytest.raises(ValueError, match="sigmoid"):
        with_probabilities(contract, activation=Activation.SIGMOID, shape=(1, 1))
