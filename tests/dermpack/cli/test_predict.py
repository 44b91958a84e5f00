"""dermpack predict, from the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.cli import main
from dermpack.contract import format_contract
from dermpack.imaging.preprocessing import prepare
from dermpack.inference.classifier import open_classifier
from dermpack.inference.model_files import ModelSettings
from dermpack.metrics.calibration import apply_temperature
from tests.support.colour_model import (
    COLOURS,
    LABELS,
    SIZE,
    colour_contract,
    colour_model,
    picture,
    write_export,
)
from tests.support.errors import assert_stderr_code

TIMID = (120, 128, 120)  # the most of it is green, and not by much


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Three pictures, by their labels; one of them deeper."""
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    for name, label in (("a.jpg", "mel"), ("b.jpg", "nv"), ("more/c.jpg", "akiec")):
        (folder / name).write_bytes(picture(label))
    return folder


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    return tmp_path / "labels.txt"


def run(*arguments: object) -> int:
    return main(["predict", *(str(argument) for argument in arguments)])


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    """What --json says, of a run that ends well."""
    assert run(*arguments, "--json", "--quiet") == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    return record


def test_a_picture_is_a_block_of_labels(
    export: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(export, pictures / "a.jpg") == 0
    captured = capsys.readouterr()
    head, first, *others = captured.out.splitlines()
    assert head == f"{pictures / 'a.jpg'}: mel"
    assert first.startswith("  mel    ") and "█" in first and len(others) == 3
    assert (
        others[-1]
        == f"  mel: its probability, {first.split()[1]} %, reaches 30.0 %, the threshold for sensitivity 0.95"
    )
    assert "not a medical device" in captured.err


def test_an_answer_below_the_threshold_is_not_sure_and_shows_the_first_label(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "timid.jpg").write_bytes(picture(TIMID))
    assert run(export, tmp_path / "timid.jpg", "--top", 1) == 0
    head = capsys.readouterr().out.splitlines()[0]
    assert "timid.jpg: not sure (mel would come first, but 3" in head
    assert head.endswith("is less than 60.0 %)")


def test_folders_and_files_are_a_line_each_in_order(
    export: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(export, pictures / "more", pictures) == 0
    captured = capsys.readouterr()
    header, *lines = captured.out.splitlines()
    assert header.split() == ["picture", "answered", "1st", "2nd", "3rd", "thresholds", "reached"]
    assert [line.split()[:3] for line in lines] == [
        [str(pictures / name), "yes", label]
        for name, label in (("more/c.jpg", "akiec"), ("a.jpg", "mel"), ("b.jpg", "nv"))
    ]
    assert captured.err.startswith("3 in all: 1 akiec, 1 mel, 1 nv\n")


def test_json_holds_what_the_contract_makes_of_the_outputs(
    export: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = answer(capsys, export / "model.tflite", pictures / "b.jpg", "--top", 2)
    (one,) = record["pictures"]
    temperature = colour_contract().probabilities.temperature
    assert temperature is not None
    with open_classifier(export / "model.tflite", sidecar=ModelSettings(labels=LABELS)) as classifier:
        outputs = classifier.classify(np.stack([prepare(picture("nv"), SIZE)]))
    wanted = dict(zip(LABELS, apply_temperature(outputs, temperature)[0].tolist(), strict=True))
    assert one["top"] == [{"label": name, "probability": wanted[name]} for name in ("nv", "akiec")]
    assert (one["label"], one["sure"], record["schema"]) == ("nv", True, 1)
    assert one["operating_points"][0]["reached"] is False
    assert record["model"]["calibrated"] and record["model"]["sha256"] == colour_contract().sha256


def test_a_table_has_one_row_a_picture(export: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pictures.parent)
    Path("=1+1.jpg").write_bytes(picture("mel"))
    Path("broken.jpg").write_bytes(picture("mel")[:300])
    assert run(export, "=1+1.jpg", "broken.jpg", "pictures/b.jpg", "--csv", "out.csv", "-q", "--top", 1) == 1
    with Path("out.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [
        *("picture", "answer", "label_1", "probability_1"),
        *("mel at sensitivity 0.95", "error"),
    ]
    assert [(row[0], row[1], row[4]) for row in rows] == [
        *(("'=1+1.jpg", "mel", "yes"), ("broken.jpg", "", "")),
        ("pictures/b.jpg", "nv", "no"),
    ]
    assert rows[1][-1] != "" and rows[2][-1] == ""


def test_a_table_is_overwritten_only_when_asked(
    export: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "out.csv"
    table.write_text("mine", encoding="utf-8")
    asked = (export, pictures / "b.jpg", "--csv", table, "-q")
    assert run(*asked) == 1
    assert_stderr_code(capsys.readouterr().err, "output-exists", table, "--overwrite")
    assert table.read_text(encoding="utf-8") == "mine"
    assert run(*asked, "--overwrite") == 0
    assert table.read_text(encoding="utf-8").startswith("picture,answer,")


@pytest.mark.parametrize("where", ["there/is/none.csv", "pictures", "/dev/full"])
def test_a_table_that_cannot_be_written_is_said_first(
    export: Path, pictures: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(export, pictures, "--csv", pictures.parent / where) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1


def test_a_broken_picture_is_one_line_while_the_others_go_on(
    export: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "broken.jpg").write_bytes(picture("mel")[:300])
    (pictures / "empty.png").touch()
    assert run(export, pictures, pictures / "missing.jpg", "--quiet") == 1
    captured = capsys.readouterr()
    assert [line.split()[2] for line in captured.out.splitlines()[1:]] == ["mel", "nv", "akiec"]
    lines = captured.err.splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        str(pictures / name) for name in ("broken.jpg", "empty.png", "missing.jpg")
    ]


def test_broken_pictures_alone_leave_stdout_empty(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.jpg").touch()
    assert run(export, tmp_path / "empty.jpg", "-q") == 1
    captured = capsys.readouterr()
    assert (
        captured.out == ""
        and captured.err.startswith("error[picture-empty]: ")
        and captured.err.count("\n") == 1
    )


def test_a_link_that_is_named_is_followed(
    export: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "latest.jpg").symlink_to(pictures / "b.jpg")
    record = answer(capsys, export, tmp_path / "latest.jpg")
    assert record["pictures"][0]["label"] == "nv"
    assert record["pictures"][0]["picture"] == str(tmp_path / "latest.jpg")


def test_many_pictures_on_many_cores_are_as_alone(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    colours, generator = list(COLOURS.values()), np.random.default_rng(0)
    (tmp_path / "many").mkdir()
    for at in range(21):
        colour = tuple((np.array(colours[at % 4]) + generator.integers(-40, 20)).clip(0, 255).tolist())
        (tmp_path / "many" / f"{at:02}.jpg").write_bytes(picture(colour))
    together = answer(capsys, export, tmp_path / "many", "--threads", 3)
    alone = answer(capsys, export, tmp_path / "many", "--threads", 1)
    one = answer(capsys, export, tmp_path / "many" / "17.jpg")
    assert together == alone and together["pictures"][17] == one["pictures"][0]


def test_a_foreign_file_works_with_given_labels(
    pictures: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "foreign.tflite").write_bytes(colour_model("float32"))
    assert run(tmp_path / "foreign.tflite", pictures) == 1
    assert_stderr_code(capsys.readouterr().err, "missing-labels", "foreign.tflite", "--labels FILE")
    assert run(tmp_path / "foreign.tflite", pictures, "--labels", labels) == 0
    captured = capsys.readouterr()
    assert [line.split()[1] for line in captured.out.splitlines()] == ["1st", "green", "blue", "red"]
    assert "the temperature is unknown" in captured.err and "scaled to -1 to 1" in captured.err
    assert 'never answers "not sure"' in captured.err


def test_a_foreign_file_without_a_softmax_shows_its_outputs(
    pictures: Path, labels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bare.tflite").write_bytes(colour_model("float32", softmax=False))
    record = answer(capsys, tmp_path / "bare.tflite", pictures / "a.jpg", "--labels", labels)
    (one,) = record["pictures"]
    assert one["top"][0]["label"] == "green" and 0 < one["top"][0]["output"] < 1
    assert one["sure"] is None and not record["model"]["calibrated"]


def test_labels_that_do_not_fit_the_outputs_are_one_line(
    pictures: Path, tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels.write_text("red\ngreen\n", encoding="utf-8")
    (tmp_path / "foreign.tflite").write_bytes(colour_model())
    assert run(tmp_path / "foreign.tflite", pictures, "--labels", labels) == 1
    assert_stderr_code(capsys.readouterr().err, "labels-mismatch", "3 outputs", "2 labels")


def test_a_contract_of_another_model_is_refused(
    export: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / "model.tflite").write_bytes(colour_model("float32"))
    assert run(export, pictures) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert_stderr_code(captured.err, "contract-mismatch", export / "model.json", "model.tflite")


def test_a_model_that_cannot_be_run_is_one_line_even_where_no_picture_can_be_read(
    tmp_path: Path, labels: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.tflite").write_bytes(colour_model()[:200])
    (tmp_path / "empty.jpg").touch()
    assert run(tmp_path / "broken.tflite", tmp_path / "empty.jpg", "--labels", labels) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1 and stderr.startswith("error[interpreter-")
    assert "broken.tflite: " in stderr


def test_a_contract_that_names_another_size_than_the_file_is_refused(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_export(tmp_path / "other")
    record = json.loads(format_contract(colour_contract()))
    record["inputs"]["picture"].update(width=64, height=64, shape=[1, 64, 64, 3], size_bytes=64 * 64 * 3)
    (folder / "model.json").write_text(json.dumps(record), encoding="utf-8")
    assert run(folder, pictures) == 1
    assert_stderr_code(capsys.readouterr().err, "contract-mismatch", "32 px", 64)


def test_stdin_is_no_picture_and_nothing_is_run(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(export, "-") == 1
    assert_stderr_code(capsys.readouterr().err, "invalid-option", "-: ", "stdin")


def test_no_picture_is_a_usage_error(export: Path) -> None:
    assert run(export) == 2


def test_one_picture_needs_neither_tensorflow_nor_what_draws(export: Path, pictures: Path) -> None:
    code = (
        "import sys; from dermpack.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'tensorflow', 'tf_keras', 'rich', 'matplotlib', 'pandas', 'multiprocessing', 'PIL'};"
        "heavy |= {'dermpack.dataset.manifest', 'dermpack.metrics.intervals'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "predict", str(export), str(pictures / "a.jpg"), "-q"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")
