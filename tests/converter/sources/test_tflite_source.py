"""A float .tflite of any layout, normalization, head and number of labels becomes a verified int8 export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dermpack.cli import main
from dermpack.contract import Activation, ColorOrder, Contract, PictureLayout, SourceKind, read_contract
from dermpack.storage.files import sha256_of
from tests.support.errors import assert_stderr_code
from tests.support.foreign_files import IMAGENET, LABELS, foreign_file, write_levelled
from tests.support.tflite_models import integer_model

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_levelled(tmp_path_factory.mktemp("foreign") / "dataset")


def convert(folder: Path, data: bytes, dataset: Path, *options: str, labels: str = ",".join(LABELS)) -> int:
    (folder / "model.tflite").write_bytes(data)
    return main(
        [
            *("convert", str(folder / "model.tflite"), "-o", str(folder / "export"), "--labels", labels),
            *("--data", str(dataset), "--quiet", "--overwrite", *options),
        ]
    )


def accuracy_of(contract: Contract) -> float:
    (accuracy,) = contract.accuracy
    return next(figure.of_file for figure in accuracy.figures if figure.metric == "accuracy")


KINDS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "keras": ({}, ("--input-range", "-1..1")),
    "unit": ({"mean": (0.0,) * 3, "std": (255.0,) * 3}, ("--input-range", "0..1")),
    "bytes": ({"mean": (0.0,) * 3, "std": (1.0,) * 3, "is_batch_fixed": True}, ("--input-range", "0..255")),
    "pytorch": (
        {"mean": IMAGENET[0], "std": IMAGENET[1], "layout": "NCHW", "head": "logits"},
        ("--input-range", "imagenet"),
    ),
    "caffe": (
        {"mean": (103.939, 116.779, 123.68), "std": (1.0,) * 3, "color": "BGR"},
        ("--input-range", "caffe", "--color", "BGR"),
    ),
    "own": (
        {"mean": (100.0, 110.0, 120.0), "std": (50.0,) * 3},
        ("--mean", "100,110,120", "--std", "50", "--resize", "whole"),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_float_file_becomes_int8_as_it_was_declared(tmp_path: Path, dataset: Path, kind: str) -> None:
    made, options = KINDS[kind]
    data = foreign_file(**made)
    assert convert(tmp_path, data, dataset, *options) == 0
    contract = read_contract(tmp_path / "export" / "model.json")
    picture, scores = contract.picture, contract.probabilities
    assert (picture.mean, picture.std) == (made.get("mean", (127.5,) * 3), made.get("std", (127.5,) * 3))
    assert picture.color is ColorOrder(made.get("color", "RGB"))
    assert picture.layout is PictureLayout(made.get("layout", "NHWC"))
    assert (scores.activation, scores.applied) == (Activation.SOFTMAX, made.get("head") != "logits")
    assert (contract.recipe.name, contract.recipe.method) == ("int8", "ptq")
    assert (picture.dtype.value, scores.dtype.value) == ("uint8", "uint8")
    assert (contract.parents.kind, contract.parents.file) == (SourceKind.TFLITE, sha256_of(data))
    assert accuracy_of(contract) == 1.0
    assert all(result.works for result in contract.runtimes.tried)
    assert main(["verify", str(tmp_path / "export"), str(dataset), "--quiet"]) == 0


def test_a_single_sigmoid_is_the_probability_of_the_second_label(tmp_path: Path) -> None:
    two = write_levelled(tmp_path / "two", labels=("low", "high", "high"))
    data = foreign_file(head="sigmoid")
    # The middle level is at the threshold, so a third of the pictures is decided by chance.
    code = convert(tmp_path, data, two, "--input-range", "-1..1", "--max-drop", "50", labels="low,high")
    assert code == 0
    contract = read_contract(tmp_path / "export" / "model.json")
    assert contract.probabilities.activation is Activation.SIGMOID
    assert accuracy_of(contract) > 0.6
    assert main(["verify", str(tmp_path / "export"), str(two), "--quiet"]) == 0


def test_1001_labels_are_no_obstacle(tmp_path: Path, dataset: Path) -> None:
    labels = [*LABELS, *(f"label {number}" for number in range(998))]
    (tmp_path / "labels.txt").write_text("\n".join(labels), encoding="utf-8")
    made = foreign_file(labels=1001)
    options = ("--input-range", "-1..1")
    assert convert(tmp_path, made, dataset, *options, labels=str(tmp_path / "labels.txt")) == 0
    contract = read_contract(tmp_path / "export" / "model.json")
    assert len(contract.labels) == 1001
    assert accuracy_of(contract) == 1.0


@pytest.mark.parametrize("recipe", ["float32", "float16", "dynamic"])
def test_the_other_quantizations_keep_float_inputs(tmp_path: Path, dataset: Path, recipe: str) -> None:
    data = foreign_file(mean=IMAGENET[0], std=IMAGENET[1], layout="NCHW", head="logits")
    assert convert(tmp_path, data, dataset, "--input-range", "imagenet", f"--{recipe}") == 0
    contract = read_contract(tmp_path / "export" / "model.json")
    assert (contract.recipe.name, contract.picture.dtype.value) == (recipe, "float32")
    assert accuracy_of(contract) == 1.0
    assert main(["verify", str(tmp_path / "export"), str(dataset), "--quiet"]) == 0


@pytest.mark.parametrize("recipe", ["int8", "float16"])
def test_constants_that_the_quantizer_writes_behind_the_tables_are_kept(
    tmp_path: Path, dataset: Path, recipe: str
) -> None:
    """It does so where they have 256 KiB or more in all."""
    data = foreign_file(spare_features=50_000)
    assert convert(tmp_path, data, dataset, "--input-range", "-1..1", f"--{recipe}") == 0
    assert (tmp_path / "export" / "model.tflite").stat().st_size > 256 * 1024
    assert accuracy_of(read_contract(tmp_path / "export" / "model.json")) == 1.0


def test_a_quantized_file_takes_no_other_quantization(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, integer_model("uint8"), dataset, "--float16") == 1
    assert_stderr_code(capsys.readouterr().err, "option-not-applicable")


def test_a_quantized_file_is_kept_byte_for_byte(tmp_path: Path, dataset: Path) -> None:
    assert convert(tmp_path, foreign_file(), dataset, "--input-range", "-1..1") == 0
    # Without its metadata, it is a file of another program.
    from dermpack.tflite.model_tree import pack_model, unpack_model

    tree = unpack_model((tmp_path / "export" / "model.tflite").read_bytes(), where="model.tflite")
    tree.metadata = None
    data = pack_model(tree)
    assert convert(tmp_path, data, dataset) == 0
    assert (tmp_path / "export" / "model.tflite").read_bytes() == data
    contract = read_contract(tmp_path / "export" / "model.json")
    assert (contract.recipe.name, contract.sha256) == ("original", sha256_of(data))
    assert np.allclose(contract.picture.mean, 127.5, atol=0.6)
    assert accuracy_of(contract) == 1.0
    assert main(["verify", str(tmp_path / "export"), str(dataset), "--quiet"]) == 0


def test_layers_stay_in_floating_point_if_int8_loses_too_much(tmp_path: Path, dataset: Path) -> None:
    made = foreign_file()
    assert convert(tmp_path, made, dataset, "--input-range", "-1..1", "--method", "selective") == 0
    contract = read_contract(tmp_path / "export" / "model.json")
    assert contract.recipe.method == "selective"
    assert contract.recipe.float_layers
    assert main(["verify", str(tmp_path / "export"), str(dataset), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), "missing-normalization"),
        (("--input-range", "0..1", "--mean", "1", "--std", "1"), "conflicting-options"),
        (("--mean", "1"), "missing-option"),
        (("--mean", "1", "--std", "0"), "invalid-option"),
        (("--input-range", "0..1", "--layout", "NCHW"), "unsupported-model"),
        (("--input-range", "0..1", "--method", "qat"), "qat-not-supported"),
        (("--input-range", "0..1", "--int16x8"), "option-not-applicable"),
        (("--input-range", "0..1", "--layer-errors"), "option-not-applicable"),
    ],
)
def test_what_cannot_be_converted_ends_in_an_error_with_a_code(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: str
) -> None:
    assert convert(tmp_path, foreign_file(), dataset, *options) == 1
    assert_stderr_code(capsys.readouterr().err, code)
    assert not (tmp_path / "export").exists()


@pytest.mark.parametrize(
    ("labels", "code"),
    [
        *(("a,b", "labels-mismatch"), ("a,b,c,d", "labels-mismatch"), ("a,b,a", "invalid-labels")),
        ("a,b,c", "unknown-label"),
    ],
)
def test_wrong_labels_end_in_an_error_with_a_code(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str], labels: str, code: str
) -> None:
    assert convert(tmp_path, foreign_file(), dataset, "--input-range", "-1..1", labels=labels) == 1
    assert_stderr_code(capsys.readouterr().err, code)


def test_options_of_a_foreign_model_are_refused_for_a_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(tmp_path), "-o", str(tmp_path / "export"), "--find-input"]) == 1
    assert_stderr_code(capsys.readouterr().err, "run-not-found")


# --- Finding the input ---


def test_the_input_of_a_file_is_found_and_the_evidence_recorded(tmp_path: Path, dataset: Path) -> None:
    data = foreign_file(mean=IMAGENET[0], std=IMAGENET[1], layout="NCHW", head="logits")
    assert convert(tmp_path, data, dataset, "--find-input") == 0
    contract = read_contract(tmp_path / "export" / "model.json")
    assert (contract.picture.mean, contract.picture.std) == IMAGENET
    evidence = contract.input_evidence
    assert evidence is not None
    assert (evidence.chosen, evidence.split, evidence.n) == ("imagenet RGB centre-square", "train", 90)
    assert len(evidence.candidates) == 10
    assert {candidate.n for candidate in evidence.candidates} == {60, 90}
    assert accuracy_of(contract) == 1.0


def test_bgr_is_found(tmp_path: Path, dataset: Path) -> None:
    data = foreign_file(mean=(0.0,) * 3, std=(255.0,) * 3, color="BGR")
    assert convert(tmp_path, data, dataset, "--find-input") == 0
    contract = read_contract(tmp_path / "export" / "model.json")
    assert contract.input_evidence is not None
    assert contract.input_evidence.chosen == "0..1 BGR centre-square"


def test_ways_to_feed_without_a_significant_difference_are_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = write_levelled(tmp_path / "wide", width=48)
    data = foreign_file(mean=(0.0,) * 3, std=(255.0,) * 3)
    assert convert(tmp_path, data, wide, "--find-input") == 1
    assert_stderr_code(capsys.readouterr().err, "input-ambiguous", "whole", "centre-square", "--resize")
    assert not (tmp_path / "export").exists()
    # What is declared is not searched.
    assert convert(tmp_path, data, wide, "--find-input", "--resize", "whole") == 0
    assert read_contract(tmp_path / "export" / "model.json").picture.policy == "whole-1"


def test_a_file_that_answers_by_chance_has_no_input(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ",".join((*LABELS[1:], LABELS[0]))  # in the wrong order
    assert convert(tmp_path, foreign_file(), dataset, "--find-input", labels=labels) == 1
    assert_stderr_code(capsys.readouterr().err, "input-not-found")


def test_a_model_that_answers_by_chance_is_reported(
    tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shifted = ",".join((*LABELS[1:], LABELS[0]))  # in the wrong order
    options = ("--input-range", "-1..1", "--max-drop", "100", "--json")
    reported = []
    for labels in (",".join(LABELS), shifted):
        assert convert(tmp_path, foreign_file(), dataset, *options, labels=labels) == 0
        reported.append(json.loads(capsys.readouterr().out)["is_guessing"])
    # A quantized file is kept as it is, and measured, too.
    quantized = (tmp_path / "export" / "model.tflite").read_bytes()
    assert convert(tmp_path, quantized, dataset, "--json", labels=shifted) == 0
    reported.append(json.loads(capsys.readouterr().out)["is_guessing"])
    assert reported == [False, True, True]


def test_what_was_tried_is_printed(tmp_path: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "model.tflite").write_bytes(foreign_file(mean=(0.0,) * 3, std=(255.0,) * 3))
    command = ["convert", str(tmp_path / "model.tflite"), "-o", str(tmp_path / "export"), "--find-input"]
    assert main([*command, "--labels", ",".join(LABELS), "--data", str(dataset)]) == 0
    shown = capsys.readouterr().err
    assert "0..1 RGB centre-square" in shown and "100.0% (95.9% to 100.0%)" in shown and "used" in shown


# --- Without a dataset ---


def test_a_file_is_packaged_without_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = foreign_file(mean=IMAGENET[0], std=IMAGENET[1], layout="NCHW", head="logits")
    (tmp_path / "model.tflite").write_bytes(data)
    bundle = tmp_path / "skin.zip"
    command = ["package", str(tmp_path / "model.tflite"), "-o", str(bundle), "--labels", ",".join(LABELS)]
    assert main([*command, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "missing-normalization"
    assert main([*command, "--input-range", "imagenet"]) == 0
    assert "accuracy: not measured" in capsys.readouterr().err
    assert main(["verify", str(bundle), "--quiet"]) == 0
    from dermpack.bundle.zip_archive import unpack_files

    files = unpack_files(bundle.read_bytes(), where="skin.zip")
    (path,) = (name for name in files if name.endswith("/model.json"))
    (tmp_path / "model.json").write_bytes(files[path])
    contract = read_contract(tmp_path / "model.json")
    assert (contract.accuracy, contract.sha256) == ((), sha256_of(data))
    card = next(text for name, text in files.items() if name.endswith("MODEL_CARD.md")).decode()
    assert "Not measured." in card


def test_a_file_in_the_metadata_of_another_program_declares_itself(tmp_path: Path, dataset: Path) -> None:
    from dermpack.tflite.metadata_writing import with_metadata
    from dermpack.tflite.model_file import Metadata

    tflite_metadata = Metadata(name="skin", labels=LABELS, mean=(127.5,), std=(127.5,), licence="CC0")
    (tmp_path / "model.tflite").write_bytes(with_metadata(foreign_file(), tflite_metadata))
    command = ["convert", str(tmp_path / "model.tflite"), "-o", str(tmp_path / "export")]
    assert main([*command, "--data", str(dataset), "--quiet"]) == 0
    contract = read_contract(tmp_path / "export" / "model.json")
    assert (contract.labels, contract.license, accuracy_of(contract)) == (LABELS, "CC0", 1.0)
