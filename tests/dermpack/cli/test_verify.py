"""dermpack verify, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.cli.verify import _failed_error
from dermpack.verification.check_result import Check, CheckOutcome, Verification
from tests.support.errors import assert_stderr_code
from tests.support.evaluation_dataset import make_dataset
from tests.support.small_export import export_bytes, write_export

pytestmark = pytest.mark.tensorflow


def run(*arguments: object) -> int:
    return main(["verify", *(str(argument) for argument in arguments), "--pictures", "2"])


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export")


def test_an_export_that_holds_ends_well(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(export) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("export: holds (")
    assert "check" in captured.err


def test_json_is_the_same_for_the_same_files(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [(run(export, "--json", "--quiet"), capsys.readouterr().out) for _ in range(2)]
    assert answers[0] == answers[1]
    answer = json.loads(answers[0][1])
    assert (answer["schema"], answer["holds"], answer["dataset"]) == (1, True, None)
    assert {proof["result"] for proof in answer["exports"][0]["proofs"]} == {"holds"}


def test_scores_come_with_a_dataset(export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = make_dataset(tmp_path / "set")
    assert run(export, dataset.folder, "--json", "--quiet") == 0
    answer = json.loads(capsys.readouterr().out)
    proofs = {proof["proof"]: proof for proof in answer["exports"][0]["proofs"]}
    assert answer["dataset"] == dataset.sha256
    assert proofs["accuracy on test"]["figures"]["value"] == 1.0
    assert proofs["accuracy on test"]["result"] == "noted"


def test_a_proof_that_fails_is_a_line_and_exit_code_1(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / "model.tflite").write_bytes(export_bytes("int8")[:500])
    assert run(export, "--quiet") == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("export: fails (")
    assert len(captured.err.splitlines()) == 1
    assert_stderr_code(captured.err, "verification-failed", export, "flatbuffer", "bytes")


def test_a_foreign_file_has_another_error_than_a_broken_export(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "alone.tflite"
    alone.write_bytes(export_bytes("int8"))
    assert run(alone) == 1
    assert_stderr_code(capsys.readouterr().err, "contract-not-found", alone, "model.json")


def test_a_contract_instead_of_its_export_is_one_line(
    export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(export / "model.json") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1
    assert_stderr_code(captured.err, "invalid-model", export / "model.json")


def test_what_is_no_run_is_refused(export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    assert run(export, "--run", tmp_path / "run") == 1
    assert_stderr_code(capsys.readouterr().err, "run-not-found", "training.json")


def test_one_bad_export_of_several_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_export(tmp_path / "all" / "good")
    bad = write_export(tmp_path / "all" / "bad")
    (bad / "model.json").write_text("{}", encoding="utf-8")
    assert run(tmp_path / "all", "--quiet") == 1
    assert_stderr_code(capsys.readouterr().err, "verification-failed", "bad: contract")


def test_the_hint_is_that_of_the_first_failed_check() -> None:
    kernels = Check(name="outputs", outcome=CheckOutcome.FAILS, detail="apart", hint="Use --float16.")
    hash_ = Check(name="bytes", outcome=CheckOutcome.FAILS, detail="another hash")
    for checks, word in (((kernels,), "--float16"), ((hash_, kernels), "download")):
        error = _failed_error(Path("export"), [Verification(name="export", sha256="", checks=checks)])
        assert word in error.hint
