"""`dermpack convert` makes an export from a run folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.contract import read_contract
from dermpack.inference.classifier import open_classifier
from dermpack.inference.model_files import read_sidecar
from dermpack.storage.files import sha256_file
from dermpack.tflite.reading import read_model
from tests.support.coloured_dataset import COLOURS
from tests.support.errors import assert_stderr_code

pytestmark = pytest.mark.tensorflow
FILES = {"model.tflite", "model.json", "verification.json"}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_an_export_contains_exactly_its_three_files(export: Path) -> None:
    assert names(export) == FILES


def test_no_other_file_is_left_next_to_an_export(export: Path) -> None:
    assert names(export.parent) == {"export"}


def test_the_contract_describes_the_file(export: Path, run: Path) -> None:
    contract = read_contract(export / "model.json")
    assert contract.sha256 == sha256_file(export / "model.tflite")
    assert contract.parents.run == sha256_file(run / "training.json")
    assert contract.labels == tuple(COLOURS)
    assert (contract.recipe.name, contract.recipe.method) == ("int8", "ptq")
    assert contract.calibration is not None and contract.calibration.n == 38
    assert contract.calibration.split == "train"


def test_decisions_are_fitted_on_the_predictions_of_the_file(export: Path) -> None:
    contract = read_contract(export / "model.json")
    assert contract.probabilities.temperature is not None and contract.probabilities.temperature.n == 11
    assert [point.label for point in contract.thresholds] == ["red"]
    assert contract.thresholds[0].n == 11
    assert contract.abstention is not None and contract.abstention.n == 11


def test_the_file_was_run_on_every_installed_interpreter(export: Path) -> None:
    tried = read_contract(export / "model.json").runtimes.tried
    assert {result.delegate for result in tried} == {"xnnpack", "none"}
    assert all(result.works for result in tried)


def test_the_file_contains_its_labels(export: Path) -> None:
    read = read_model((export / "model.tflite").read_bytes(), where="model")
    assert read.metadata is not None and read.metadata.labels == tuple(COLOURS)


def test_the_file_classifies_the_colours(export: Path, run: Path) -> None:
    sidecar = read_sidecar(export / "model.json")
    pictures = [run.parent / "dataset" / f"{colour}-04.png" for colour in COLOURS]
    with open_classifier(export / "model.tflite", sidecar=sidecar) as classifier:
        assert classifier(pictures).argmax(axis=1).tolist() == [0, 1, 2]


def test_two_processes_export_the_same_bytes(export: Path, run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dermpack", "convert", str(run), "-o", str(tmp_path / "again")]
    several = [*command, "--int8", "--float32", "--quiet"]
    subprocess.run(several, check=True, env=os.environ, capture_output=True)
    again = tmp_path / "again" / "int8"
    assert sha256_file(again / "model.tflite") == sha256_file(export / "model.tflite")
    assert (again / "model.json").read_bytes() == (export / "model.json").read_bytes()


def test_several_recipes_make_a_folder_of_exports(run: Path, tmp_path: Path) -> None:
    output = tmp_path / "several"
    assert main(["convert", str(run), "-o", str(output), "--float32", "--float16", "--quiet"]) == 0
    assert names(output) == {"exports.json", "float32", "float16"}
    assert all(names(output / recipe) == FILES for recipe in ("float32", "float16"))


def test_a_moved_dataset_is_recognised_by_its_hash(run: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(run, tmp_path / "elsewhere" / "run")
    output = tmp_path / "export"
    data = str(run.parent / "dataset")
    assert main(["convert", str(moved), "-o", str(output), "--data", data, "--float32", "-q"]) == 0
    assert names(output) == FILES


def test_a_missing_dataset_is_an_error_with_a_hint(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = shutil.copytree(run, tmp_path / "elsewhere" / "run")
    assert main(["convert", str(moved), "-o", str(tmp_path / "export"), "-q"]) == 1
    assert_stderr_code(capsys.readouterr().err, "dataset-not-found", "--data")
    assert names(tmp_path) == {"elsewhere"}


def test_another_dataset_is_refused(
    run: Path, demo_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "export"
    assert main(["convert", str(run), "-o", str(output), "--data", str(demo_dataset), "-q"]) == 1
    assert_stderr_code(capsys.readouterr().err, "run-mismatch", demo_dataset, "--data")


def test_an_existing_export_is_replaced_only_with_overwrite(
    export: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sha256_file(export / "model.json")
    assert main(["convert", str(run), "-o", str(export)]) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, "output-exists", export, "--overwrite")
    assert "Starting TensorFlow" not in error  # which takes seconds
    assert sha256_file(export / "model.json") == before


def test_a_folder_without_a_run_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(tmp_path), "-o", str(tmp_path / "export")]) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, "run-not-found", tmp_path)
    assert error.count("\n") == 1


def test_the_contract_names_the_clipping_of_the_ranges(export: Path, run: Path, tmp_path: Path) -> None:
    output = tmp_path / "several"
    way = (
        "--int8",
        "--int16x8",
        "--method",
        "ptq",
        "--calibration-method",
        "percentile",
        "--max-drop",
        "100",
    )
    assert main(["convert", str(run), "-o", str(output), *way, "-q"]) == 0
    folders = (export, output / "int8", output / "int16x8")
    answer = [read_contract(folder / "model.json").calibration for folder in folders]
    assert [item and item.method for item in answer] == [
        "minmax, biases corrected",
        "percentile 99.9, biases corrected",
        "percentile 99.9, biases corrected",
    ]


def test_evaluate_refuses_the_contract_of_another_file(
    export: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(export, tmp_path / "other")
    with (other / "model.tflite").open("ab") as file:
        file.write(bytes(4))
    dataset = str(run.parent / "dataset")
    assert main(["evaluate", str(export / "model.tflite"), dataset, "-q"]) == 0
    assert main(["evaluate", str(other / "model.tflite"), dataset, "-q"]) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, "contract-mismatch", "model.json", "model.tflite")
    assert error.count("\n") == 1


def test_json_contains_the_contract(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "export"
    assert main(["convert", str(run), "-o", str(output), "--dynamic", "--json", "-q"]) == 0
    stated = json.loads(capsys.readouterr().out)
    assert stated["models"]["dynamic"] == json.loads((output / "model.json").read_text())
