"""Reading the models that are to be measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.models import name_models, read_models
from dermpack.errors import TableError
from tests.support.errors import raises_code
from tests.support.flatbuffer_models import model, picture, scores, tensor
from tests.support.runnable_models import LABELS, float_model, integer_model


def test_a_folder_of_exports_begins_with_the_unquantized_one(models: Path) -> None:
    (models / "a-first").mkdir()
    (models / "a-first" / "model.tflite").write_bytes(integer_model(size=4))
    found = read_models([models])
    assert [item.name for item in found] == ["float32", "a-first", "int8"]
    assert [item.binding.size for item in found] == [8, 4, 8]


def test_a_model_is_fed_as_its_input_requires(models: Path) -> None:
    float32, int8 = read_models([models])
    assert (float32.binding.feed.table.dtype.name, int8.binding.feed.table.dtype.name) == ("float32", "int8")
    assert (float32.binding.feed.table[0], float32.binding.feed.table[255]) == (-1, 1)
    assert (int8.binding.feed.table[0], int8.binding.feed.table[255]) == (-128, 127)
    assert float32.sidecar is not None and float32.sidecar.labels == LABELS
    assert float32.recipe == ""


def test_a_foreign_model_has_the_labels_that_are_given(tmp_path: Path) -> None:
    (tmp_path / "foreign.tflite").write_bytes(float_model())
    (tmp_path / "labels.txt").write_text("a\nb\nc\n", encoding="utf-8")
    alone, result = (
        read_models([tmp_path / "foreign.tflite"], labels=labels)[0]
        for labels in (None, tmp_path / "labels.txt")
    )
    assert (alone.name, alone.sidecar) == ("foreign", None)
    assert result.sidecar is not None and result.sidecar.labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["/x/a.tflite"], ["a"]),
        (["/runs/a/model.tflite", "/runs/b/model.tflite"], ["a", "b"]),
        (["/a/export/model.tflite", "/b/export/model.tflite"], ["a/export", "b/export"]),
        (["/a/export/model.tflite", "/b/other.tflite"], ["export", "other"]),
        (["/x/a.tflite", "/x/a/model.tflite"], ["x/a (1)", "x/a (2)"]),
        (["/model.tflite"], ["model"]),
    ],
)
def test_names_are_short_and_each_is_there_once(files: list[str], names: list[str]) -> None:
    assert name_models([Path(file) for file in files]) == names


@pytest.mark.parametrize(
    ("data", "code", "reply"),
    [
        (b"not a model", "invalid-model", "foreign.tflite: "),
        (b"PK\x03\x04 a bundle", "invalid-model", "zip"),
        (
            model([picture(), picture(), scores()], inputs=(0, 1), outputs=(2,)),
            "unsupported-model",
            "2 inputs",
        ),
        (model([tensor("x", (1, 8, 9, 3), "float32"), scores()]), "unsupported-model", "[1, 8, 9, 3]"),
        (model([tensor("x", (1, 8, 8, 1), "float32"), scores()]), "unsupported-model", "[1, 8, 8, 1]"),
        (
            model([tensor("x", (1, 9000, 9000, 3), "float32"), scores()]),
            "unsupported-model",
            "[1, 9000, 9000, 3]",
        ),
        (model([tensor("x", (8, 8, 3), "float32"), scores()]), "unsupported-model", "[8, 8, 3]"),
        (model([picture("int32", None), scores()]), "unsupported-model", "int32"),
    ],
)
def test_a_model_that_is_no_classifier_of_pictures_is_refused(
    tmp_path: Path, data: bytes, code: str, reply: str
) -> None:
    (tmp_path / "foreign.tflite").write_bytes(data)
    with raises_code(code, tmp_path / "foreign.tflite", reply):
        read_models([tmp_path / "foreign.tflite"])


def test_places_without_a_model_are_refused(tmp_path: Path, models: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "training.json").write_text("{}", encoding="utf-8")
    with raises_code("model-not-found", tmp_path / "run", "dermpack convert"):
        read_models([tmp_path / "run"])
    with raises_code("model-not-found", models.parent, "model.tflite"):
        read_models([models.parent])
    with raises_code("file-not-found", tmp_path / "nothing"):
        read_models([tmp_path / "nothing"])
    with raises_code("model-not-found", "models: "):
        read_models([])


def test_a_model_is_measured_once(models: Path) -> None:
    with raises_code("duplicate-model", models / "int8"):
        read_models([models, models / "int8"])


def test_a_contract_of_another_file_is_refused(models: Path) -> None:
    (models / "int8" / "model.json").write_text('{"schema": 1}', encoding="utf-8")
    with pytest.raises(TableError):
        read_models([models])
