"""Exports are verified from their files alone, however broken they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermpack.contract import Contract, QuantizationRecord, RuntimeResult, format_contract, summarize_runtimes
from dermpack.dataset.manifest import Split
from dermpack.inference.interpreter_host import installed_runtimes
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import temperature_calibration
from dermpack.tflite.reading import read_model
from dermpack.verification.check_result import CheckOutcome, Verification
from dermpack.verification.interpreter_runs import open_sample_pictures
from dermpack.verification.verify import VerificationTools, find_exports, open_hosts, verify_export
from tests.support.contracts import with_picture, with_probabilities
from tests.support.errors import raises_code
from tests.support.mutants import mutant
from tests.support.small_export import contract_of, export_bytes, spoil, write_export
from tests.support.tflite_models import LABELS, float_model, integer_model

pytestmark = pytest.mark.tensorflow
FEW_SECONDS = 20.0  # for one answer: a spoilt graph may run without end


@pytest.fixture(scope="module")
def tools() -> Iterator[VerificationTools]:
    with (
        open_sample_pictures(pictures=3, dataset=None, split=Split.TEST) as material,
        open_hosts(patience_seconds=FEW_SECONDS) as hosts,
    ):
        yield VerificationTools(hosts=hosts, samples=material)


def verified(folder: Path, tools: VerificationTools) -> Verification:
    (export,) = find_exports(folder)
    return verify_export(export, tools)


def failed(folder: Path, tools: VerificationTools) -> list[str]:
    return [check.name for check in verified(folder, tools).failed]


def changed(**fields: object) -> Contract:
    return replace(contract_of(export_bytes("int8"), "int8"), **fields)  # type: ignore[arg-type] # by name


@pytest.mark.parametrize("recipe", ["int8", "float32"])
def test_a_valid_export_passes(tmp_path: Path, tools: VerificationTools, recipe: str) -> None:
    found = verified(write_export(tmp_path / "export", recipe), tools)
    assert {check.outcome for check in found.checks} == {CheckOutcome.HOLDS}
    names = [check.name for check in found.checks]
    assert sum(name.startswith("runs on") for name in names) == 2 * len(installed_runtimes())
    assert sum(name.startswith("outputs on") for name in names) == 2 * len(installed_runtimes()) - 1


def test_one_changed_weight_fails(tmp_path: Path, tools: VerificationTools) -> None:
    folder, data = write_export(tmp_path / "export", "float32"), bytearray(export_bytes("float32"))
    generator = np.random.default_rng(0)  # as in the graph
    generator.normal(size=(3, 3, 3, 4))
    weight = np.float32(generator.normal(size=(4, 3))[0, 0]).tobytes()
    data[data.index(weight)] ^= 1
    (folder / "model.tflite").write_bytes(data)
    assert failed(folder, tools) == ["bytes"]


def test_the_file_of_another_contract_fails(tmp_path: Path, tools: VerificationTools) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "model.tflite").write_bytes(export_bytes("float32"))
    assert {"bytes", "input", "output", "operators", "recipe"} <= set(failed(folder, tools))


def test_a_model_without_metadata_fails(tmp_path: Path, tools: VerificationTools) -> None:
    folder = write_export(tmp_path / "export", "float32")
    (folder / "model.tflite").write_bytes(float_model())
    (folder / "model.json").write_text(
        format_contract(contract_of(float_model(), "float32")), encoding="utf-8"
    )
    assert failed(folder, tools) == ["metadata"]


def test_labels_in_another_order_fail(tmp_path: Path, tools: VerificationTools) -> None:
    folder = write_export(tmp_path / "export", contract=changed(labels=LABELS[::-1]))
    assert failed(folder, tools) == ["metadata"]


def test_another_temperature_than_in_the_file_fails(tmp_path: Path, tools: VerificationTools) -> None:
    model = read_model(export_bytes("int8"), where="model.tflite").metadata
    assert model is not None
    calibrated = replace(model, calibration=temperature_calibration(len(LABELS), 1.25))
    data = with_metadata(integer_model("uint8"), calibrated)
    stated = contract_of(data, "int8")
    folder = write_export(tmp_path / "export", contract=stated)
    (folder / "model.tflite").write_bytes(data)
    assert failed(folder, tools) == []
    soft = stated.probabilities.temperature
    assert soft is not None
    other = with_probabilities(stated, temperature=replace(soft, value=2.0))
    (folder / "model.json").write_text(format_contract(other), encoding="utf-8")
    (check,) = verified(folder, tools).failed
    assert check.detail == "the temperature is 2, the file has 1.25"


def test_another_operator_version_than_in_the_file_fails(tmp_path: Path, tools: VerificationTools) -> None:
    operators = contract_of(export_bytes("int8"), "int8").operators
    later = (replace(operators[0], version=99), *operators[1:])
    folder = write_export(tmp_path / "export", contract=changed(operators=later))
    assert failed(folder, tools) == ["operators"]


def test_a_float_file_labelled_int8_fails(tmp_path: Path, tools: VerificationTools) -> None:
    contract = contract_of(export_bytes("float32"), "float32")
    stated = replace(contract, recipe=QuantizationRecord(name="int8", method="ptq"))
    assert failed(write_export(tmp_path / "export", "float32", contract=stated), tools) == ["recipe"]


def test_a_file_is_not_run_where_the_contract_describes_another(
    tmp_path: Path, tools: VerificationTools
) -> None:
    contract = contract_of(export_bytes("int8"), "int8")
    wrong = with_picture(contract, zero_point=3)
    found = verified(write_export(tmp_path / "export", contract=wrong), tools)
    assert [check.name for check in found.failed] == ["input"]
    assert found.checks[-1].outcome is CheckOutcome.UNTRIED


def test_an_unknown_recipe_is_not_tried(tmp_path: Path, tools: VerificationTools) -> None:
    stated = changed(recipe=QuantizationRecord(name="int2", method="ptq"))
    found = verified(write_export(tmp_path / "export", contract=stated), tools)
    assert {check.name: check.outcome for check in found.checks}["recipe"] is CheckOutcome.UNTRIED


def test_a_runtime_that_is_named_but_not_installed_is_not_tried(
    tmp_path: Path, tools: VerificationTools
) -> None:
    old = RuntimeResult(runtime="tflite-runtime", version="2.5.0", delegate="none", works=True, result="")
    found = verified(
        write_export(tmp_path / "export", contract=changed(runtimes=summarize_runtimes((old,)))), tools
    )
    outcomes = {check.name: check.outcome for check in found.checks}
    assert outcomes["runs on tflite-runtime 2.5.0"] is CheckOutcome.UNTRIED


def test_a_missing_file_is_a_failed_check(tmp_path: Path, tools: VerificationTools) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "model.tflite").unlink()
    assert failed(folder, tools) == ["flatbuffer", "bytes"]


def test_a_broken_contract_is_a_failed_check(tmp_path: Path, tools: VerificationTools) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "model.json").write_text("{}", encoding="utf-8")
    assert failed(folder, tools) == ["contract"]


def test_a_folder_of_exports_is_found_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_export(tmp_path / name)
    (tmp_path / "other").mkdir()
    assert [export.name for export in find_exports(tmp_path)] == ["a", "b"]


def test_a_model_is_found_by_its_file(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export")
    (export,) = find_exports(folder / "model.tflite")
    assert export.contract == folder / "model.json"


def test_a_folder_without_an_export_is_refused(tmp_path: Path) -> None:
    with raises_code("model-not-found", tmp_path, "model.tflite"):
        find_exports(tmp_path)
    with raises_code("model-not-found", tmp_path / "none"):
        find_exports(tmp_path / "none")
    (tmp_path / "alone.tflite").write_bytes(b"")
    with raises_code("contract-not-found", tmp_path / "alone.tflite", "model.json"):
        find_exports(tmp_path / "alone.tflite")


def try_mutants(folder: Path, tools: VerificationTools, numbers: range) -> None:
    """Check that each mutant ends in checks, and that a process restarts only after it died."""
    starts = {engine: host.starts for engine, host in tools.hosts.items()}
    deaths = dict.fromkeys(tools.hosts, 0)
    for number in numbers:
        spoil(folder, mutant(export_bytes("int8"), number))
        found = verified(folder, tools)
        for engine in tools.hosts:
            of_engine = [p for p in found.checks if p.name.startswith(f"runs on {engine.package} ")]
            deaths[engine] += sum(p.code in ("interpreter-died", "interpreter-timeout") for p in of_engine)
    for engine, host in tools.hosts.items():
        assert host.starts - starts[engine] <= deaths[engine] + 1


def test_forty_mutants_end_in_checks(tmp_path: Path, tools: VerificationTools) -> None:
    try_mutants(write_export(tmp_path / "export"), tools, range(40))


@pytest.mark.slow
def test_five_hundred_mutants_end_in_checks(tmp_path: Path, tools: VerificationTools) -> None:
    try_mutants(write_export(tmp_path / "export"), tools, range(500))


def test_an_export_after_a_mutant_in_the_same_process_passes(
    tmp_path: Path, tools: VerificationTools
) -> None:
    folder = write_export(tmp_path / "export")
    spoil(folder, mutant(export_bytes("int8"), 1))
    verified(folder, tools)
    assert failed(write_export(tmp_path / "true"), tools) == []
