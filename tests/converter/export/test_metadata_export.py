"""A network with metadata becomes a file with two inputs: bound by name, verified, fed by every command."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from dermpack.cli import main
from dermpack.contract import MetadataInput, read_contract
from dermpack.dataset.manifest import Split, read_dataset
from dermpack.inference.metadata_rows import MetadataVariant, blank_row, encode_split
from tests.conftest import TINY
from tests.support.errors import assert_stderr_code, raises_code
from tests.support.known_patients import METADATA

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def run(patients: Path) -> Path:
    folder = patients.parent / "both"
    options = (*TINY, *METADATA, "--rate", "0.005", "--epochs", "3", "--quiet")
    assert main(["train", str(patients), "-o", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def exports(run: Path) -> Path:
    folder = run.parent / "exports"
    options = ("--float32", "--float16", "--int8", "--method", "ptq", "--max-drop", "100", "--quiet")
    assert main(["convert", str(run), "-o", str(folder), *options]) == 0
    return folder


@pytest.mark.parametrize(
    ("recipe", "dtype"), [("float32", "float32"), ("float16", "float32"), ("int8", "uint8")]
)
def test_the_contract_names_both_inputs(exports: Path, recipe: str, dtype: str) -> None:
    contract = read_contract(exports / recipe / "model.json")
    assert (contract.signature, sorted(contract.inputs)) == ("serving_default", ["metadata", "picture"])
    known = contract.inputs["metadata"]
    assert isinstance(known, MetadataInput)
    assert [column.name for column in known.columns] == ["age", "sex", "localization"]
    assert (known.shape, known.dtype.value) == ((1, 9), dtype)


def test_a_file_passes_every_check_with_its_run_and_dataset(exports: Path, run: Path, patients: Path) -> None:
    assert main(["verify", str(exports), str(patients), "--run", str(run), "--quiet"]) == 0


def test_a_file_answers_as_the_network_with_the_same_metadata(
    exports: Path, run: Path, patients: Path
) -> None:
    from dataclasses import replace

    from dermpack.inference.classifier import open_classifier
    from dermpack.inference.model_files import read_sidecar
    from trainer.runs.run_folder import load_predictor

    predictor, dataset = load_predictor(run), read_dataset(patients)
    plain = replace(predictor.run.temperature, value=1.0, floor=1e-9)
    predictor = replace(predictor, run=replace(predictor.run, temperature=plain))
    files = [dataset.file(picture) for picture in dataset.manifest.of(Split.TEST)]
    rows = encode_split(dataset, Split.TEST, predictor.columns).rows
    blank = np.tile(blank_row(predictor.columns), (len(files), 1))
    variants = [MetadataVariant(rows=rows), MetadataVariant(rows=blank)]
    expected = predictor.predict_variants(files, variants)
    for recipe, most in (("float32", 1e-4), ("float16", 1e-2), ("int8", 0.1)):
        model = exports / recipe / "model.tflite"
        sidecar = replace(read_sidecar(model.with_name("model.json")), temperature=1.0, floor=0.0)
        with open_classifier(model, sidecar=sidecar) as classifier:
            assert np.abs(classifier.predict_variants(files, variants) - expected).max() < most


def test_a_quarter_of_the_calibration_rows_is_blank(run: Path, patients: Path) -> None:
    from converter.quantize.calibration import read_calibration_set
    from converter.sources.run_source import open_run
    from trainer.runs.run_folder import read_run

    source = open_run(read_run(run), read_dataset(patients), threads=1)
    metadata = read_calibration_set(source, count=20, seed=0, threads=1).metadata
    assert metadata is not None
    is_blank = (metadata.rows == blank_row(source.columns)).all(axis=1)
    assert 5 <= is_blank.sum() < 20
    ends = np.array(metadata.range, np.float32)
    assert metadata.rows.min() >= ends[0] and metadata.rows.max() <= ends[1]


def predict(exports: Path, *arguments: str) -> int:
    return main(["predict", str(exports / "int8"), *arguments, "--top", "3", "--json", "--quiet"])


def test_options_and_a_table_give_the_same_answer(
    exports: Path, patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = patients / "red-00.png"
    assert predict(exports, str(picture), "--with", "age=60", "--with", "sex=male") == 0
    by_option = json.loads(capsys.readouterr().out)
    assert predict(exports, str(picture)) == 0
    without = json.loads(capsys.readouterr().out)
    table = tmp_path / "known.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        rows = [("picture", "age", "sex", "localization", "other"), ("red-00.png", "60", "male", "", "x")]
        csv.writer(file).writerows(rows)
    assert predict(exports, str(picture), "--metadata", str(table)) == 0
    assert json.loads(capsys.readouterr().out) == by_option != without


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("sex=mal", "unknown-category"),
        ("age=999", "value-out-of-range"),
        ("age=old", "invalid-value"),
        ("weight=70", "unknown-column"),
        ("age", "invalid-option"),
    ],
)
def test_a_wrong_value_ends_in_one_line(
    exports: Path, patients: Path, capsys: pytest.CaptureFixture[str], value: str, code: str
) -> None:
    picture = str(patients / "red-00.png")
    assert main(["predict", str(exports / "int8"), picture, "--with", value]) == 1
    assert_stderr_code(capsys.readouterr().err, code)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("picture,age,sex\nred-00.png,1,male\n", "missing-column"),
        ("picture,age,sex,localization\nred-00.png,1\n", "invalid-table"),
        ("picture,age,age,sex,localization\nred-00.png,1,2,,\n", "invalid-table"),
        ("picture,age,sex,localization\na,1,,\na,2,,\n", "conflicting-rows"),
        ("picture,age,sex,localization\nred-00.png,86,,\n", "value-out-of-range"),
    ],
)
def test_a_wrong_table_ends_in_one_line(
    exports: Path, patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, code: str
) -> None:
    table = tmp_path / "known.csv"
    table.write_text(text, encoding="utf-8")
    picture = str(patients / "red-00.png")
    assert main(["predict", str(exports / "int8"), picture, "--metadata", str(table)]) == 1
    assert_stderr_code(capsys.readouterr().err, code, table)


@pytest.mark.parametrize("command", ["predict", "evaluate", "convert", "benchmark", "package", "verify"])
def test_a_file_of_two_inputs_without_its_contract_is_one_line(
    exports: Path, patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """As a file of another program: nothing says what its tensors are."""
    foreign, output = tmp_path / "foreign.tflite", str(tmp_path / "output")
    shutil.copyfile(exports / "float32" / "model.tflite", foreign)
    named = ("--labels", "blue,green,red")
    options = {
        "predict": (str(patients / "red-00.png"), *named),
        "evaluate": (str(patients), "-o", output, *named),
        "convert": ("-o", output, "--data", str(patients), "--input-range", "0..1", *named),
        "benchmark": ("-o", output),
        "package": ("-o", f"{output}.zip", "--name", "skin"),
        "verify": (),
    }
    assert main([command, str(foreign), *options[command], "--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert_stderr_code(line, "contract-not-found" if command == "verify" else "unsupported-model", foreign)


@pytest.mark.parametrize(
    ("tensor", "shape", "code"),
    [
        ("metadata", [1, 8], "invalid-contract"),
        ("picture", [1, 32, 32, 3], "contract-mismatch"),
    ],
)
def test_a_contract_with_a_wrong_shape_is_one_line(
    exports: Path,
    patients: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tensor: str,
    shape: list[int],
    code: str,
) -> None:
    export = tmp_path / "export"
    shutil.copytree(exports / "int8", export)
    record = json.loads((export / "model.json").read_text(encoding="utf-8"))
    record["inputs"][tensor]["shape"] = shape
    if tensor == "picture":
        record["inputs"][tensor] |= {"width": shape[2], "height": shape[1], "size_bytes": math.prod(shape)}
    (export / "model.json").write_text(json.dumps(record), encoding="utf-8")
    assert main(["predict", str(export), str(patients / "red-00.png"), "--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert_stderr_code(line, code)


def test_evaluation_has_four_rows_and_a_loss_for_each_column(
    exports: Path, patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report"
    assert (
        main(["evaluate", str(exports / "int8"), str(patients), "-o", str(report), "--quiet", "--json"]) == 0
    )
    study = json.loads(capsys.readouterr().out)["metadata"]
    names = ["picture and metadata", "picture alone", "metadata alone", "metadata of other pictures"]
    assert [row["name"] for row in study["rows"]] == names
    assert [loss["column"] for loss in study["columns"]] == ["age", "sex", "localization"]
    assert study["rows"][0]["gains"]["accuracy"]["difference"] == 0
    assert "Picture and metadata" in (report / "report.html").read_text(encoding="utf-8")


def test_a_run_without_a_picture_is_not_converted(patients: Path, tmp_path: Path) -> None:
    from converter.sources.run_source import open_run
    from trainer.runs.run_folder import read_run

    alone = tmp_path / "alone"
    options = ("--arch", "metadata", *METADATA, "--epochs", "1", "--quiet")
    assert main(["train", str(patients), "-o", str(alone), *options]) == 0
    with raises_code("conversion-not-supported", alone):
        open_run(read_run(alone), read_dataset(patients), threads=1)


def test_a_bundle_has_golden_vectors_with_metadata_and_is_verified(exports: Path, tmp_path: Path) -> None:
    from dermpack.bundle.read_bundle import read_bundle

    bundle = tmp_path / "skin.zip"
    assert main(["package", str(exports / "int8"), "-o", str(bundle), "--name", "skin", "--quiet"]) == 0
    assert main(["verify", str(bundle), "--pictures", "2", "--quiet"]) == 0
    opened = read_bundle(bundle)
    known = [vector.metadata for vector in opened.require_golden().vectors]
    assert known[0] == {}
    assert {"age", "sex", "localization"} == set().union(*known)
    assert len({str(values) for values in known}) > 5
    assert any(name.endswith("MetadataFields.java") for name in opened.files)
