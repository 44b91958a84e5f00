"""dermpack inspect: what a person reads of any .tflite, and the traps it finds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermpack.cli import main
from dermpack.contract import RequiredOperator, format_contract
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import Metadata
from tests.support import flatbuffer_models as made
from tests.support.contracts import contract_for
from tests.support.errors import assert_stderr_code

METADATA = Metadata(
    name="lesions", version="1.0.0", labels=("akiec", "mel", "nv"), mean=(127.5,), std=(127.5,)
)
Run = Any


@pytest.fixture
def inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Inspect the bytes and answer the record."""

    def run(data: bytes, *options: str) -> dict[str, Any]:
        (tmp_path / "model.tflite").write_bytes(data)
        assert main(["inspect", str(tmp_path / "model.tflite"), "--json", *options]) == 0
        record = json.loads(capsys.readouterr().out)
        assert isinstance(record, dict)
        return record

    return run


def kinds(record: dict[str, Any]) -> list[str]:
    return [trap["kind"] for trap in record["traps"]]


def described_file(tensors: Sequence[Any] = (), **options: Any) -> bytes:
    return with_metadata(made.model(tensors, **options), METADATA)


def test_a_well_made_file_has_no_traps(inspect: Run) -> None:
    record = inspect(described_file())
    assert kinds(record) == []
    assert record["labels"] == ["akiec", "mel", "nv"]
    assert record["inputs"][0]["takes_raw_bytes"]
    assert "the pixels as they are" in record["inputs"][0]["feed"]


def test_a_file_without_metadata_is_named(inspect: Run) -> None:
    assert kinds(inspect(made.model())) == ["no metadata"]


def test_metadata_without_labels_is_named(inspect: Run) -> None:
    assert kinds(inspect(with_metadata(made.model(), Metadata(name="x")))) == ["no labels"]


def test_a_signed_input_is_named(inspect: Run) -> None:
    record = inspect(described_file([made.picture("int8", (1 / 127.5, -1)), made.scores()]))
    assert kinds(record) == ["signed input"]
    assert "each pixel less 128" in record["inputs"][0]["feed"]


def test_an_input_of_another_scale_is_named(inspect: Run) -> None:
    record = inspect(described_file([made.picture("uint8", (0.0186, 114)), made.scores()]))
    assert kinds(record) == ["not raw bytes"]
    assert "round((x - 127.5) / 127.5 of each pixel x / 0.0186) + 114" in record["inputs"][0]["feed"]


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point"),
    [("uint8", 1 / 255, 0), ("uint8", 1.0, 0), ("int8", 1 / 255, -128), ("uint8", 1 / 127.5, 127)],
)
def test_an_input_whose_numbers_are_the_pixels_takes_raw_bytes(
    inspect: Run, dtype: str, scale: float, zero_point: int
) -> None:
    record = inspect(described_file([made.picture(dtype, (scale, zero_point)), made.scores()]))
    assert "not raw bytes" not in kinds(record)
    assert record["inputs"][0]["takes_raw_bytes"]


@pytest.mark.parametrize(("mean", "is_raw"), [(100.0, True), (0.0, False)])
def test_the_metadata_show_which_numbers_are_the_pixels(inspect: Run, mean: float, is_raw: bool) -> None:
    model = made.model([made.picture("uint8", (1 / 50, 100)), made.scores()])
    metadata = Metadata(name="x", labels=("a", "b", "c"), mean=(mean,), std=(50.0,))
    record = inspect(with_metadata(model, metadata))
    assert record["inputs"][0]["takes_raw_bytes"] is is_raw
    assert ("not raw bytes" in kinds(record)) is not is_raw


def test_floats_inside_integers_are_named(inspect: Run) -> None:
    inner = made.tensor("bottleneck", (1, 4), "float32")
    assert kinds(inspect(described_file([made.picture(), made.scores(), inner]))) == ["float inside int8"]


def test_the_distance_to_the_training_pictures_is_float_in_an_int8_file(inspect: Run) -> None:
    inner = made.tensor("familiarity/roots", (1, 4), "float32")
    record = inspect(described_file([made.picture(), made.scores(), inner]))
    assert kinds(record) == []


def test_a_float_file_is_not_blamed_for_its_floats(inspect: Run) -> None:
    data = [made.picture("float32", None), made.scores("float32"), made.tensor("x", (1, 4), "float32")]
    record = inspect(described_file(data))
    assert kinds(record) == []
    assert "(x - 127.5) / 127.5" in record["inputs"][0]["feed"]


def test_a_float_input_without_normalisation_is_named(inspect: Run) -> None:
    data = made.model([made.picture("float32", None), made.scores("float32")])
    record = inspect(with_metadata(data, replace(METADATA, mean=(), std=())))
    assert kinds(record) == ["no normalisation"]
    assert "does not define" in record["inputs"][0]["feed"]


def test_a_dynamic_shape_is_named(inspect: Run) -> None:
    free = made.tensor("picture", (1, 8, 8, 3), "uint8", steps=made.RAW, signature=(-1, 8, 8, 3))
    assert kinds(inspect(described_file([free, made.scores()]))) == ["dynamic shape"]


def test_several_inputs_are_named(inspect: Run) -> None:
    record = inspect(
        made.model([made.picture(), made.scores(), made.tensor("age", (1, 1), "float32")], inputs=[0, 2])
    )
    assert "several inputs" in kinds(record)


@pytest.mark.parametrize(("name", "kind"), [("FlexErf", "flex operator"), ("MyOperator", "custom operator")])
def test_an_operator_that_is_not_builtin_is_named(inspect: Run, name: str, kind: str) -> None:
    assert kinds(inspect(described_file(operators=[(made.CUSTOM, 1, name)]))) == [kind]


def test_an_operator_that_a_runtime_lacks_is_named(inspect: Run) -> None:
    newer = described_file(operators=[(made.FULLY_CONNECTED, 12, "")])
    assert kinds(inspect(newer, "--runtime", "tflite-runtime==2.14.0")) == ["operator too new"]
    assert kinds(inspect(newer, "--runtime", "ai-edge-litert==2.3.0")) == []


def test_an_unknown_runtime_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.tflite").write_bytes(made.model())
    assert main(["inspect", str(tmp_path / "model.tflite"), "--runtime", "tensorflow==1.0"]) == 1
    assert_stderr_code(capsys.readouterr().err, "invalid-option", "tensorflow==1.0")


def test_an_export_shows_its_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(tmp_path)
    assert main(["inspect", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "contract  describes this file" in shown
    assert "tflite-runtime 2.14.0 (none): works" in shown
    assert "validation (n = 100): 97.0% agree with float" in shown


def test_a_contract_of_another_file_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = export(tmp_path)
    (tmp_path / "model.tflite").write_bytes(data + b"\0")
    assert main(["inspect", str(tmp_path)]) == 0
    assert "contract  DOES NOT describe this file" in capsys.readouterr().out


def test_a_contract_that_differs_from_the_file_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = export(tmp_path)
    contract = replace(contract_for(data), operators=(RequiredOperator(name="CONV_2D", version=9),))
    (tmp_path / "model.json").write_text(format_contract(contract), encoding="utf-8")
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert any("operators" in line for line in record["contract_disagrees"])


def test_a_broken_contract_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(tmp_path)
    (tmp_path / "model.json").write_text('{"schema": 1, "labels": 3}', encoding="utf-8")
    assert main(["inspect", str(tmp_path)]) == 1
    assert_stderr_code(capsys.readouterr().err, "invalid-contract", "model.json")


def test_what_is_no_model_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.tflite").write_bytes(b"hello")
    for name, code in (("model.tflite", "invalid-model"), ("none.tflite", "model-not-found")):
        assert main(["inspect", str(tmp_path / name)]) == 1
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert_stderr_code(error, code, tmp_path / name)


def test_the_error_for_a_run_suggests_to_convert_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "training.json").write_text("{}", encoding="utf-8")
    assert main(["inspect", str(tmp_path)]) == 1
    assert_stderr_code(capsys.readouterr().err, "model-not-found", tmp_path, "dermpack convert")


def test_the_text_shows_the_values_of_the_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.tflite").write_bytes(described_file())
    assert main(["inspect", str(tmp_path / "model.tflite")]) == 0
    shown = capsys.readouterr().out
    for line in ("feed 192 bytes: the pixels as they are", "SOFTMAX  version  2", "labels: akiec, mel, nv"):
        assert line in shown
    assert "no findings" in shown and "not a medical device" in shown


def test_one_finding_is_singular(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.tflite").write_bytes(made.model([made.picture(), made.scores()]))
    assert main(["inspect", str(tmp_path / "model.tflite"), "--quiet"]) == 0
    assert "\n1 finding\n" in capsys.readouterr().out


def export(folder: Path) -> bytes:
    """A model of 32 px with the contract that is about it."""
    picture = made.tensor("picture", (1, 32, 32, 3), "uint8", steps=(0.007843137718737125, 127))
    data = with_metadata(made.model([picture, made.scores()]), METADATA)
    contract = replace(contract_for(data), operators=(RequiredOperator(name="SOFTMAX", version=2),))
    (folder / "model.tflite").write_bytes(data)
    (folder / "model.json").write_text(format_contract(contract), encoding="utf-8")
    return data


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (made.model([made.picture("float32", None), made.scores("float32")]), "float"),
        (made.model(), "quantized"),
        (with_metadata(made.model(), replace(METADATA, author="dermpack")), "own"),
    ],
)
def test_the_kind_of_file_that_a_conversion_starts_from_is_shown(
    inspect: Run, data: bytes, kind: str
) -> None:
    assert inspect(data)["kind"] == kind


def test_of_many_labels_the_first_ten_and_the_count_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tuple(f"label {number}" for number in range(1001))
    data = with_metadata(
        made.model([made.picture(), made.scores(labels=1001)]), replace(METADATA, labels=labels)
    )
    (tmp_path / "model.tflite").write_bytes(data)
    assert main(["inspect", str(tmp_path / "model.tflite")]) == 0
    shown = capsys.readouterr().out
    assert "label 9 and 991 more (1,001 in all)" in shown
    assert "label 10" not in shown
