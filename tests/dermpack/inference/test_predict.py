"""What is made of outputs, without any interpreter."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermpack.errors import PictureError
from dermpack.inference.interpreter_host import count_hosts
from dermpack.inference.model_files import OpenedModel, open_model
from dermpack.inference.predict.answer_formats import (
    answers_csv,
    answers_record,
    format_answers,
    format_value,
)
from dermpack.inference.predict.answers import (
    Answers,
    Familiarity,
    OutputKind,
    PictureRow,
    Row,
    interpret_outputs,
)
from dermpack.inference.predict.picture_search import FoundPictures, find_pictures
from dermpack.metrics.calibration import apply_temperature
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import Metadata
from tests.support.colour_model import (
    LABELS,
    SIZE,
    colour_model,
    picture,
    write_export,
)
from tests.support.errors import raises_code


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "export")


@pytest.fixture
def model(export: Path) -> OpenedModel:
    return open_model(export)


def row(*values: float) -> PictureRow:
    return PictureRow(probabilities=np.array(values))


def judged(model: OpenedModel, *rows: Row, top: int = 3) -> Answers:
    names = tuple(Path(f"{at}.jpg") for at in range(len(rows)))
    return interpret_outputs(model, found(*names), rows, top=top)


def found(*pictures: Path) -> FoundPictures:
    return replace(find_pictures([]), pictures=pictures)


def foreign(model: OpenedModel) -> OpenedModel:
    return replace(model, temperature=None, abstain_below=None, points=())


def test_probabilities_are_calibrated_with_the_floor_of_the_contract(model: OpenedModel) -> None:
    outputs = row(0.0, 250 / 256, 6 / 256)
    assert model.temperature is not None and model.temperature.floor == 1 / 512
    wanted = apply_temperature(outputs.probabilities[None], model.temperature)[0]
    (answer,) = judged(model, outputs).answered
    assert {of.label: of.value for of in answer.guesses} == dict(zip(LABELS, wanted, strict=True))
    assert answer.guesses[-1].value > 0


def test_labels_are_ranked_and_of_equals_the_first_leads(model: OpenedModel) -> None:
    (answer,) = judged(foreign(model), row(0.2, 0.4, 0.4)).answered
    assert [of.label for of in answer.guesses] == ["mel", "nv", "akiec"]
    assert [of.value for of in answer.guesses] == [0.4, 0.4, 0.2]


def test_below_the_threshold_the_answer_is_not_sure_and_names_the_first(model: OpenedModel) -> None:
    sure, unsure = judged(model, row(0.05, 0.9, 0.05), row(0.3, 0.4, 0.3)).answered
    assert (sure.label, sure.is_sure) == ("mel", True)
    assert (unsure.label, unsure.is_sure, unsure.first.label) == (None, False, "mel")


def test_a_confidence_that_is_the_threshold_is_an_answer(model: OpenedModel) -> None:
    exact = replace(foreign(model), abstain_below=0.5)
    assert judged(exact, row(0.5, 0.25, 0.25)).answered[0].label == "akiec"


def test_an_operating_point_is_reached_by_its_own_label_alone(model: OpenedModel) -> None:
    points = replace(model, temperature=None).points
    with_points = replace(foreign(model), points=points)
    reached, missed = judged(with_points, row(0.7, 0.3, 0.0), row(0.71, 0.29, 0.0)).answered
    assert [of.is_reached for of in (*reached.flags, *missed.flags)] == [True, False]


def test_outputs_that_are_no_probabilities_are_called_outputs(model: OpenedModel) -> None:
    answers = judged(foreign(model), row(7.0, -3.0, 1.0), row(1.0, 0.0, 0.0))
    assert answers.kind is OutputKind.OUTPUT
    assert "akiec 7  nv  1  mel -3" in format_answers(foreign(model), answers)


def test_rounded_probabilities_of_many_labels_are_probabilities(model: OpenedModel) -> None:
    many = replace(foreign(model), labels=tuple(f"label {at}" for at in range(1000)))
    assert judged(many, row(*[0.0] * 1000)).kind is OutputKind.PROBABILITY
    assert judged(many, row(*[0.5] * 1000)).kind is OutputKind.OUTPUT


def test_a_contract_that_promises_probabilities_is_held_to_it(model: OpenedModel) -> None:
    with raises_code("contract-mismatch", model.path, "--labels FILE"):
        judged(model, row(7.0, -3.0, 1.0))


def test_an_answer_that_is_no_number_fails_its_picture_alone(model: OpenedModel) -> None:
    answers = judged(model, row(np.nan, 0.5, 0.5), row(0.1, 0.8, 0.1))
    assert [(of.error.code, of.error.where) for of in answers.failures] == [("invalid-output", "0.jpg")]
    assert [of.label for of in answers.answered] == ["mel"]


def test_more_labels_than_there_are_are_all_of_them(model: OpenedModel) -> None:
    answers = judged(model, row(0.1, 0.8, 0.1), top=50)
    assert answers.top == len(answers.answered[0].guesses) == 3


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        *((0.71234, "71.2 %"), (0.9996, ">99.9 %"), (1.0, "100.0 %")),
        *((0.0004, "<0.1 %"), (0.0, "0.0 %"), (0.9994, "99.9 %")),
    ],
)
def test_what_is_not_certain_is_never_shown_as_certain(value: float, wanted: str) -> None:
    assert format_value(value, OutputKind.PROBABILITY) == wanted


def test_columns_are_aligned_for_wide_and_hostile_names(model: OpenedModel) -> None:
    wide = replace(foreign(model), labels=("皮膚", "a\x1b[2J", "nv"))
    header, *lines = format_answers(wide, judged(wide, row(0.8, 0.1, 0.1), row(0.1, 0.8, 0.1))).splitlines()
    assert header.split() == ["picture", "1st", "2nd", "3rd"]
    assert lines[0].startswith("0.jpg    皮膚     80.0 %")
    assert lines[1].startswith("1.jpg    a\\x1b[2J 80.0 %")


def test_every_text_of_a_table_is_made_safe(model: OpenedModel) -> None:
    hostile = replace(model, labels=("=a", "@b", "nv"), points=())
    failed = PictureError("x", "empty", "=HYPERLINK()", "Hint.")
    answers = interpret_outputs(
        hostile, found(Path("=1.jpg"), Path("-2.jpg")), [row(0.9, 0.05, 0.05), failed], top=2
    )
    header, first, second = csv.reader(io.StringIO(answers_csv(hostile, answers).decode()))
    assert header == ["picture", "answer", "label_1", "probability_1", "label_2", "probability_2", "error"]
    assert (first[0], first[1], first[4], second[0], second[-1]) == (
        *("'=1.jpg", "'=a", "'@b"),
        *("'-2.jpg", "'=HYPERLINK()"),
    )


def test_a_file_name_that_is_not_utf8_can_be_printed(model: OpenedModel) -> None:
    answers = interpret_outputs(model, found(Path("\udcff.jpg")), [row(0.1, 0.8, 0.1)], top=1)
    assert answers_csv(model, answers).splitlines()[1].startswith(b"\\udcff.jpg,mel")
    assert (
        json.loads(json.dumps(answers_record(model, answers, runtime=None)))["pictures"][0]["label"] == "mel"
    )


def test_folders_are_walked_sorted_and_without_what_is_hidden(tmp_path: Path) -> None:
    for name in (
        "b.JPG",
        "a/z.png",
        "a/plain",
        ".hidden.jpg",
        ".thumbnails/c.jpg",
        "notes.txt",
        "phone.avif",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(picture("mel"))
    (tmp_path / "a" / "empty").touch()
    seen = find_pictures([tmp_path])
    assert [of.relative_to(tmp_path).as_posix() for of in seen.pictures] == ["a/plain", "a/z.png", "b.JPG"]
    assert seen.left_out == {".txt": 1, ".avif": 1, "without extension": 1}


def test_links_to_folders_are_not_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture("mel"))
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    assert [of.name for of in find_pictures([tmp_path]).pictures] == ["a.jpg", "loop.jpg"]


def test_files_are_taken_as_named_in_order_and_once(tmp_path: Path) -> None:
    named = [tmp_path / name for name in ("z.jpg", "a.txt", "z.jpg")]
    assert find_pictures(named).pictures == (tmp_path / "z.jpg", tmp_path / "a.txt")


def test_a_folder_without_a_picture_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    seen = find_pictures([tmp_path / "empty", tmp_path / "a.jpg"])
    assert seen.pictures == (tmp_path / "a.jpg",)
    assert [(of.code, of.where) for of in seen.failures] == [("no-pictures", str(tmp_path / "empty"))]


def test_stdin_is_no_picture() -> None:
    with raises_code("invalid-option", "-: ", "stdin"):
        find_pictures([Path("-")])


def test_a_contract_of_another_model_is_refused(export: Path) -> None:
    (export / "model.tflite").write_bytes(colour_model("float32"))
    with raises_code("contract-mismatch", export / "model.json", "model.tflite"):
        open_model(export)


def test_a_temperature_that_no_fit_gives_is_refused(export: Path) -> None:
    contract = json.loads((export / "model.json").read_text(encoding="utf-8"))
    contract["outputs"]["probabilities"]["temperature"]["value"] = 1e6
    (export / "model.json").write_text(json.dumps(contract), encoding="utf-8")
    with raises_code("invalid-contract", export / "model.json", "temperature"):
        open_model(export)


def test_labels_that_are_named_leave_the_contract_unread(export: Path, tmp_path: Path) -> None:
    (export / "model.json").write_text("broken", encoding="utf-8")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    known = open_model(export, given_labels=str(tmp_path / "labels.txt"))
    assert (known.labels, known.temperature, known.size) == (("red", "green", "blue"), None, None)


def test_labels_inside_a_file_that_lies_alone_are_read(tmp_path: Path) -> None:
    metadata = Metadata(
        name="n",
        version="1",
        licence="l",
        labels=LABELS,
        mean=(127.5,),
        std=(127.5,),
        lowest=(-1.0,),
        highest=(1.0,),
    )
    (tmp_path / "a.tflite").write_bytes(with_metadata(colour_model(), metadata))
    assert open_model(tmp_path / "a.tflite").labels == LABELS


def test_a_sidecar_of_labels_alone_will_do(tmp_path: Path) -> None:
    (tmp_path / "a.tflite").write_bytes(colour_model())
    (tmp_path / "a.json").write_text(json.dumps({"labels": LABELS}), encoding="utf-8")
    assert open_model(tmp_path / "a.tflite").labels == LABELS


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((), "model.tflite"),
        (("training.json",), "dermpack convert"),
        (("int8/model.tflite", "float32/model.tflite"), "{folder}/float32, {folder}/int8"),
        (("src/main/assets/skin/model.tflite",), "src/main/assets/skin/model.tflite"),
    ],
)
def test_the_error_for_a_folder_without_an_export_names_what_to_give(
    tmp_path: Path, content: tuple[str, ...], message: str
) -> None:
    for name in content:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    with raises_code("model-not-found", tmp_path, message.format(folder=tmp_path)):
        open_model(tmp_path)


def test_a_contract_contains_all_that_an_answer_needs(model: OpenedModel) -> None:
    settings = (model.name, model.version, model.labels, model.size, model.abstain_below)
    assert settings == ("lesions", "1.0.0", LABELS, SIZE, 0.6)
    (point,) = model.points
    assert (point.label, point.threshold) == ("mel", 0.3)


def test_a_host_is_started_for_chunks_and_no_more_than_asked() -> None:
    assert [count_hosts(count, threads=4) for count in (0, 1, 8, 9, 24, 1000)] == [1, 1, 1, 2, 3, 4]
    assert count_hosts(1000, threads=None) >= 1


@pytest.mark.parametrize(
    ("distance", "is_familiar"), [(0.0, True), (2.5, True), (2.6, False), (-0.001, False), (-1e9, False)]
)
def test_only_numbers_from_zero_to_the_threshold_are_of_familiar_pictures(
    distance: float, is_familiar: bool
) -> None:
    assert Familiarity(distance=distance, threshold=2.5).is_familiar is is_familiar
