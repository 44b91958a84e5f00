"""An export is proven again from its files alone, whatever became of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermpack.contract import Contract, QuantizationRecord, RuntimeResult, contract_text, runtimes_of
from dermpack.dataset.manifest import Split
from dermpack.inference import installed
from dermpack.tflite import read_model, temperature_calibration, with_metadata
from dermpack.verification import (
    CheckOutcome,
    Verification,
    VerificationTools,
    find_exports,
    gather,
    open_hosts,
    verify_export,
)
from tests.support.errors import raises_code
from tests.support.mutants import mutant
from tests.support.small_export import contract_of, export_bytes, spoil, write_export
from tests.support.tflite_models import LABELS, float_model, integer_model

pytestmark = pytest.mark.tensorflow
FEW_SECONDS = 20.0  # for one answer: a spoilt graph may run without end


@pytest.fixture(scope="module")
def means() -> Iterator[VerificationTools]:
    with (
        gather(pictures=3, dataset=None, split=Split.TEST) as material,
        open_hosts(patience_seconds=FEW_SECONDS) as hosts,
    ):
        yield VerificationTools(hosts=hosts, material=material)


def verified(folder: Path, means: VerificationTools) -> Verification:
    (export,) = find_exports(folder)
    return verify_export(export, means)


def failed(folder: Path, means: VerificationTools) -> list[str]:
    return [proof.name for proof in verified(folder, means).failed]


def changed(**fields: object) -> Contract:
    return replace(contract_of(export_bytes("int8"), "int8"), **fields)  # type: ignore[arg-type] # by name


@pytest.mark.parametrize("recipe", ["int8", "float32"])
def test_a_true_export_holds(tmp_path: Path, means: VerificationTools, recipe: str) -> None:
    found = verified(write_export(tmp_path / "export", recipe), means)
    assert {proof.outcome for proof in found.proofs} == {CheckOutcome.HOLDS}
    names = [proof.name for proof in found.proofs]
    assert sum(name.startswith("runs on") for name in names) == 2 * len(installed())
    assert sum(name.startswith("outputs on") for name in names) == 2 * len(installed()) - 1


def test_one_changed_weight_is_seen(tmp_path: Path, means: VerificationTools) -> None:
    folder, data = write_export(tmp_path / "export", "float32"), bytearray(export_bytes("float32"))
    generator = np.random.default_rng(0)  # as in the graph
    generator.normal(size=(3, 3, 3, 4))
    weight = np.float32(generator.normal(size=(4, 3))[0, 0]).tobytes()
    data[data.index(weight)] ^= 1
    (folder / "model.tflite").write_bytes(data)
    assert failed(folder, means) == ["bytes"]


def test_the_file_of_another_contract_is_seen(tmp_path: Path, means: VerificationTools) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "model.tflite").write_bytes(export_bytes("float32"))
    assert {"bytes", "input", "output", "operators", "recipe"} <= set(failed(folder, means))


def test_a_model_without_metadata_is_seen(tmp_path: Path, means: VerificationTools) -> None:
    folder = write_export(tmp_path / "export", "float32")
    (folder / "model.tflite").write_bytes(float_model())
    (folder / "model.json").write_text(contract_text(contract_of(float_model(), "float32")), encoding="utf-8")
    assert failed(folder, means) == ["metadata"]


def test_labels_in_another_order_are_seen(tmp_path: Path, means: VerificationTools) -> None:
    folder = write_export(tmp_path / "export", contract=changed(labels=LABELS[::-1]))
    assert failed(folder, means) == ["metadata"]


def test_another_temperature_than_the_files_is_seen(tmp_path: Path, means: VerificationTools) -> None:
    model = read_model(export_bytes("int8"), where="model.tflite").metadata
    assert model is not None
    calibrated = replace(model, calibration=temperature_calibration(len(LABELS), 1.25))
    data = with_metadata(integer_model("uint8"), calibrated)
    said = contract_of(data, "int8")
    folder = write_export(tmp_path / "export", contract=said)
    (folder / "model.tflite").write_bytes(data)
    assert failed(folder, means) == []
    soft = said.output.temperature
    assert soft is not None
    other = replace(said, output=replace(said.output, temperature=replace(soft, value=2.0)))
    (folder / "model.json").write_text(contract_text(other), encoding="utf-8")
    (proof,) = verified(folder, means).failed
    assert proof.detail == "output.temperature.value is 2, the file has 1.25"


def test_a_version_of_an_operator_that_is_not_the_files_is_seen(
    tmp_path: Path, means: VerificationTools
) -> None:
    operators = contract_of(export_bytes("int8"), "int8").operators
    later = (replace(operators[0], version=99), *operators[1:])
    folder = write_export(tmp_path / "export", contract=changed(operators=later))
    assert failed(folder, means) == ["operators"]


def test_floats_that_call_themselves_integers_are_seen(tmp_path: Path, means: VerificationTools) -> None:
    contract = contract_of(export_bytes("float32"), "float32")
    said = replace(contract, recipe=QuantizationRecord(name="int8", method="ptq"))
    assert failed(write_export(tmp_path / "export", "float32", contract=said), means) == ["recipe"]


def test_a_file_is_not_run_where_the_contract_describes_another(
    tmp_path: Path, means: VerificationTools
) -> None:
    contract = contract_of(export_bytes("int8"), "int8")
    wrong = replace(contract, input=replace(contract.input, zero_point=3))
    found = verified(write_export(tmp_path / "export", contract=wrong), means)
    assert [proof.name for proof in found.failed] == ["input"]
    assert found.proofs[-1].outcome is CheckOutcome.UNTRIED


def test_an_unknown_recipe_is_not_tried(tmp_path: Path, means: VerificationTools) -> None:
    said = changed(recipe=QuantizationRecord(name="int2", method="ptq"))
    found = verified(write_export(tmp_path / "export", contract=said), means)
    assert {proof.name: proof.outcome for proof in found.proofs}["recipe"] is CheckOutcome.UNTRIED


def test_a_runtime_that_is_named_but_not_installed_is_not_tried(
    tmp_path: Path, means: VerificationTools
) -> None:
    old = RuntimeResult(runtime="tflite-runtime", version="2.5.0", delegate="none", works=True, result="")
    found = verified(write_export(tmp_path / "export", contract=changed(runtimes=runtimes_of((old,)))), means)
    outcomes = {proof.name: proof.outcome for proof in found.proofs}
    assert outcomes["runs on tflite-runtime 2.5.0"] is CheckOutcome.UNTRIED


def test_a_missing_file_is_a_proof_that_fails(tmp_path: Path, means: VerificationTools) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "model.tflite").unlink()
    assert failed(folder, means) == ["flatbuffer", "bytes"]


def test_a_broken_contract_is_a_proof_that_fails(tmp_path: Path, means: VerificationTools) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "model.json").write_text("{}", encoding="utf-8")
    assert failed(folder, means) == ["contract"]


def test_a_folder_of_exports_is_found_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write_export(tmp_path / name)
    (tmp_path / "other").mkdir()
    assert [export.name for export in find_exports(tmp_path)] == ["a", "b"]


def test_a_model_is_found_by_its_file(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export")
    (export,) = find_exports(folder / "model.tflite")
    assert export.contract == folder / "model.json"


def test_what_holds_no_export_is_refused(tmp_path: Path) -> None:
    with raises_code("model-not-found", tmp_path, "model.tflite"):
        find_exports(tmp_path)
    with raises_code("model-not-found", tmp_path / "none"):
        find_exports(tmp_path / "none")
    (tmp_path / "alone.tflite").write_bytes(b"")
    with raises_code("contract-not-found", tmp_path / "alone.tflite", "model.json"):
        find_exports(tmp_path / "alone.tflite")


def try_mutants(folder: Path, means: VerificationTools, numbers: range) -> None:
    """Each ends in proofs; a process is started again only for one that died."""
    starts = {engine: host.starts for engine, host in means.hosts.items()}
    deaths = dict.fromkeys(means.hosts, 0)
    for number in numbers:
        spoil(folder, mutant(export_bytes("int8"), number))
        found = verified(folder, means)
        for engine in means.hosts:
            of_engine = [p for p in found.proofs if p.name.startswith(f"runs on {engine.package} ")]
            deaths[engine] += sum(p.code in ("interpreter-died", "interpreter-timeout") for p in of_engine)
    for engine, host in means.hosts.items():
        assert host.starts - starts[engine] <= deaths[engine] + 1


def test_forty_mutants_end_in_proofs(tmp_path: Path, means: VerificationTools) -> None:
    try_mutants(write_export(tmp_path / "export"), means, range(40))


@pytest.mark.slow
def test_five_hundred_mutants_end_in_proofs(tmp_path: Path, means: VerificationTools) -> None:
    try_mutants(write_export(tmp_path / "export"), means, range(500))


def test_what_follows_a_mutant_in_the_same_process_still_holds(
    tmp_path: Path, means: VerificationTools
) -> None:
    folder = write_export(tmp_path / "export")
    spoil(folder, mutant(export_bytes("int8"), 1))
    verified(folder, means)
    assert failed(write_export(tmp_path / "true"), means) == []
