"""dermpack evaluate, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.support.bundle_exports import write_export
from tests.support.errors import assert_stderr_code
from tests.support.evaluation_dataset import make_dataset
from tests.support.tflite_models import LABELS, float_model, integer_model

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "set").folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return export(tmp_path / "export", float_model())


def export(folder: Path, data: bytes) -> Path:
    folder.mkdir()
    (folder / "model.tflite").write_bytes(data)
    (folder / "model.json").write_text(json.dumps({"labels": LABELS}), encoding="utf-8")
    return folder / "model.tflite"


def run(*arguments: object) -> int:
    return main(["evaluate", *(str(argument) for argument in arguments)])


def test_json_on_stdout_has_the_figures(
    model: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, dataset, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["n"], answer["groups"], answer["split"], answer["top3"]) == (24, 13, "test", None)
    assert answer["accuracy"] == 1.0
    assert answer["model"]["name"] == "model.tflite"


def test_quiet_leaves_the_figures_on_stdout_alone(
    model: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, dataset, "--quiet") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("24 pictures, 13 groups, split test\n")
    assert captured.err == ""


def test_labels_and_slices_stand_on_stderr(
    model: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, dataset) == 0
    stderr = capsys.readouterr().err
    assert "sex: f" in stderr and "not a medical device" in stderr


def test_an_export_brings_its_thresholds_along(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = write_export(tmp_path / "own") / "model.tflite"
    assert run(own, dataset, "--json", "-q") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["answered"]["threshold"], answer["operating"][0]["label"]) == (0.6, "mel")
    assert any("another dataset" in note for note in answer["notes"])


def test_an_export_is_given_by_its_folder_or_its_file(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, answers = write_export(tmp_path / "own"), []
    for path in (folder, folder / "model.tflite"):
        assert run(path, dataset, "--json", "-q") == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert [answer["model"].pop("name") for answer in answers] == ["own", "model.tflite"]
    assert answers[0] == answers[1]


def test_float_and_integer_models_are_scored_alike(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = export(tmp_path / "small", integer_model("uint8"))
    answers = []
    for path in (model, small):
        assert run(path, dataset, "--json", "-q") == 0
        answers.append(json.loads(capsys.readouterr().out))
    assert answers[0]["confusion"] == answers[1]["confusion"]


def test_labels_come_from_a_file_where_no_sidecar_is(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bare.tflite").write_bytes(float_model())
    (tmp_path / "labels.txt").write_text("\n".join(LABELS), encoding="utf-8")
    assert run(tmp_path / "bare.tflite", dataset) == 1
    assert_stderr_code(capsys.readouterr().err, "missing-labels", tmp_path / "bare.tflite", "--labels")
    assert run(tmp_path / "bare.tflite", dataset, "--labels", tmp_path / "labels.txt") == 0


def test_report_and_table_are_written(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, csv_file = tmp_path / "report", tmp_path / "predictions.csv"
    assert run(model, dataset, "-o", folder, "--predictions", csv_file, "-q") == 0
    assert capsys.readouterr().out.endswith(f"\n{folder / 'report.html'}\n")
    assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["schema"] == 1
    assert (folder / "report.html").is_file() and (folder / "roc.png").is_file()
    assert len(csv_file.read_text(encoding="utf-8").splitlines()) == 25


def test_a_report_is_not_replaced_unasked(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "report"
    folder.mkdir()
    (folder / "report.json").write_text("{}", encoding="utf-8")
    assert run(model, dataset, "-o", folder) == 1
    assert_stderr_code(capsys.readouterr().err, "output-exists", folder)
    assert run(model, dataset, "-o", folder, "--overwrite", "-q") == 0


def test_a_table_is_not_replaced_unasked(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "predictions.csv"
    table.write_text("mine", encoding="utf-8")
    assert run(tmp_path / "a model that is not even looked for", dataset, "--predictions", table) == 1
    assert_stderr_code(capsys.readouterr().err, "output-exists", table, "--overwrite")
    assert table.read_text(encoding="utf-8") == "mine"
    assert run(model, dataset, "--predictions", table, "--overwrite", "-q") == 0
    assert len(table.read_text(encoding="utf-8").splitlines()) == 25


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--slice", "nonsense"), "unknown-column"),
        (("--split", "validation"), "empty-split"),
    ],
)
def test_what_the_dataset_lacks_is_said_before_a_model_is_looked_for(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, str], code: str
) -> None:
    assert run(tmp_path / "no model", dataset, *options) == 1
    assert_stderr_code(capsys.readouterr().err, code, dataset, options[1])


def test_the_export_stays_as_it_is(model: Path, dataset: Path) -> None:
    before = {path.name: path.read_bytes() for path in model.parent.iterdir()}
    assert run(model, dataset, "-q") == 0
    assert {path.name: path.read_bytes() for path in model.parent.iterdir()} == before


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "invalid-model"),
        (b"GIF89a", "invalid-model"),
        (b"\x1c\0\0\0TFL3" + b"\xff" * 400, "interpreter-failed"),
    ],
)
def test_a_damaged_model_is_one_line_and_leaves_nothing(
    model: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, code: str
) -> None:
    model.write_bytes(content)
    assert run(model, dataset, "-o", tmp_path / "report", "--predictions", tmp_path / "p.csv") == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert_stderr_code(stderr, code, model)
    assert not (tmp_path / "report").exists() and not (tmp_path / "p.csv").exists()


@pytest.mark.parametrize("kind", ["missing", "empty folder"])
def test_what_is_neither_run_nor_model_is_refused(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / kind
    if kind == "empty folder":
        path.mkdir()
    assert run(path, dataset) == 1
    assert_stderr_code(capsys.readouterr().err, "model-not-found", path)


def test_a_label_unknown_to_the_model_is_one_line(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model.parent / "model.json").write_text('{"labels": ["a", "mel", "nv"]}', encoding="utf-8")
    assert run(model, make_dataset(tmp_path / "other").folder) == 1
    assert_stderr_code(capsys.readouterr().err, "unknown-label", tmp_path / "other", "'akiec'")


def test_too_few_draws_are_a_usage_error(model: Path, dataset: Path) -> None:
    assert run(model, dataset, "--bootstrap", 10) == 2
