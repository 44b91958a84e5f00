"""`dermpack convert` makes the same exports of a Keras file as of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dermpack.cli import main
from dermpack.contract import SourceKind, read_contract
from tests.support.coloured_dataset import COLOURS, write_coloured
from tests.support.errors import assert_stderr_code
from tests.support.keras_files import (
    layer,
    sequential,
    small_layers,
    small_weights,
    stored,
    write_archive,
    write_h5,
)

pytestmark = pytest.mark.tensorflow

BACKWARDS = ("red", "green", "blue")  # not the order of the dataset
QUICK = ("--calibration", "8", "--max-drop", "100")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures") / "dataset"
    write_coloured(folder)
    return folder


def convert(model: Path, dataset: Path, export: Path, *more: str) -> int:
    labels = ",".join(BACKWARDS)
    asked = ["--labels", labels, "--data", str(dataset), *QUICK, *more]
    return main(["convert", str(model), "-o", str(export), *asked])


def colour_model(*, scale: float = 1 / 255, offset: float = 0.0) -> tuple[Any, Any]:
    """Return a network that knows the colours: its answers are red, green, blue in this order."""
    import numpy as np

    layers, weights = small_layers(), small_weights()
    layers[1] = layer("Rescaling", "scale", scale=scale, offset=offset)
    kernel = np.zeros((3, 3, 3, 4))
    for channel in range(3):
        kernel[1, 1, channel, channel] = 1.0
    weights["conv"] = {"kernel:0": kernel, "bias:0": np.ones(4)}
    weights["answer"] = {"kernel:0": np.eye(4, 3) * 20, "bias:0": np.zeros(3)}
    return sequential(layers), weights


@pytest.fixture(scope="module")
def export(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of the colours, converted with the check of the original."""
    folder = tmp_path_factory.mktemp("keras")
    config, weights = colour_model()
    model = write_archive(folder / "colours.keras", config, stored(weights))
    assert convert(model, dataset, folder / "export", "--int8", "--method", "ptq", "--quiet") == 0
    return folder / "export"


def test_the_contract_describes_the_file_and_its_pixels(export: Path) -> None:
    contract = read_contract(export / "model.json")
    assert contract.parents.kind is SourceKind.KERAS
    assert contract.parents.run is None
    assert contract.source == "Keras 3 file (.keras)"
    assert contract.picture.mean == (0.0, 0.0, 0.0)
    assert contract.picture.std == (255.0, 255.0, 255.0)
    # A raw byte is one step.
    assert contract.picture.scale == pytest.approx(1 / 255)
    assert contract.picture.zero_point == 0


def test_labels_are_matched_by_name(export: Path, dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contract = read_contract(export / "model.json")
    assert contract.labels == BACKWARDS
    (accuracy,) = contract.accuracy
    figures = {figure.metric: figure.of_file for figure in accuracy.figures}
    assert figures["accuracy"] > 0.9
    pictures = sorted(str(path) for path in dataset.glob("*-04.png"))
    assert main(["predict", str(export), *pictures, "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["pictures"]
    assert len(answers) == len(COLOURS)


def test_the_export_holds_what_it_promises(export: Path, dataset: Path) -> None:
    assert main(["verify", str(export), str(dataset), "--quiet"]) == 0


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--labels", "red,green"), "labels-mismatch"),
        (("--labels", "red,green,white"), "unknown-label"),
        (("--labels", "red,green,blue,white"), "labels-mismatch"),
        (("--head", "logits"), "option-not-applicable"),
        (("--size", "40"), "conflicting-options"),
    ],
)
def test_what_contradicts_the_file_is_refused(
    options: tuple[str, ...], code: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, weights = colour_model()
    model = write_h5(tmp_path / "m.h5", config, weights)
    assert convert(model, dataset, tmp_path / "export", *options) == 1
    assert_stderr_code(capsys.readouterr().err, code)
    assert not (tmp_path / "export").exists()


def test_the_search_of_the_input_agrees_with_the_normalization_of_the_file(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_h5(tmp_path / "m.h5", *colour_model())
    options = ("--find-input", "--float32", "--quiet")
    assert convert(model, dataset, tmp_path / "refused", *options, "--input-range", "0..1") == 1
    assert_stderr_code(capsys.readouterr().err, "option-not-applicable", "--input-range")
    assert convert(model, dataset, tmp_path / "export", *options) == 0
    evidence = read_contract(tmp_path / "export" / "model.json").input_evidence
    assert evidence is not None
    assert evidence.chosen == "0..255 RGB centre-square"
    assert all(tried.name.startswith("0..255 ") for tried in evidence.candidates)


@pytest.mark.parametrize("missing", ["--labels", "--data"])
def test_a_model_file_needs_labels_and_a_dataset(
    missing: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write_h5(tmp_path / "m.h5", *colour_model())
    given = {"--labels": ",".join(BACKWARDS), "--data": str(dataset)}
    del given[missing]
    arguments = [part for pair in given.items() for part in pair]
    assert main(["convert", str(model), "-o", str(tmp_path / "export"), *arguments]) == 1
    code = "missing-labels" if missing == "--labels" else "missing-option"
    assert_stderr_code(capsys.readouterr().err, code, missing)


def test_a_run_refuses_the_options_of_a_file(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(trained), "-o", str(tmp_path / "export"), "--compare-original"]) == 1
    assert_stderr_code(capsys.readouterr().err, "option-not-applicable", "--compare-original")


def test_the_original_gives_the_same_answers(tmp_path: Path) -> None:
    """Keras itself loads the file that was written by hand."""
    import numpy as np

    from converter.sources.keras.keras_source import load_keras
    from converter.sources.keras.original import compare_original
    from dermpack.inference.foreign_model import DeclaredInput
    from tests.support.errors import raises_code

    path = write_h5(tmp_path / "m.h5", *colour_model(scale=1 / 127.5, offset=-1.0))
    network = load_keras(path, labels=BACKWARDS, declared=DeclaredInput(), size=None)
    pictures = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype(np.uint8)
    given, pixels = network.normalization.given, network.normalization.pixels
    rebuilt = np.asarray(network.rebuilt.model(pixels.apply(pictures), training=False), np.float64)
    arguments: dict[str, Any] = {"head": network.rebuilt.head, "is_keras3": False}
    compared = compare_original(path, given.apply(pictures), rebuilt, **arguments)
    assert (compared.pictures, compared.difference < 1e-5) == (4, True)
    with raises_code("original-differs"):
        compare_original(path, given.apply(pictures), rebuilt[:, ::-1], **arguments)


def test_quantization_aware_training_uses_the_pixel_scale(dataset: Path, tmp_path: Path) -> None:
    model = write_h5(tmp_path / "m.h5", *colour_model())
    assert convert(model, dataset, tmp_path / "export", "--method", "qat", "--quiet") == 0
    contract = read_contract(tmp_path / "export" / "model.json")
    assert contract.recipe.method == "qat"
    assert contract.picture.scale == pytest.approx(1 / 255)
    (accuracy,) = contract.accuracy
    assert accuracy.agreement > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ptq", "qat"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_nested_mobilenet_passes_every_way(
    mobilenets: dict[str, Path], library: str, ending: str, method: str, dataset: Path, tmp_path: Path
) -> None:
    """With augmentation and preprocessing inside, from either Keras, in either format."""
    # Keras 3 cannot load the operators that it writes to .h5 files; dermpack can, but there is no original.
    name = "rescaled" if (library, ending) == ("keras", "h5") else "mobilenet"
    model = mobilenets[library] / f"{name}.{ending}"
    options = ("--compare-original", "--method", method, "--quiet")
    assert convert(model, dataset, tmp_path / "export", *options) == 0
    assert read_contract(tmp_path / "export" / "model.json").recipe.method == method


@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_a_keras_file_gets_an_evidence_map_and_a_distance(
    written: dict[str, Path], library: str, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ending = "keras" if library == "keras" else "h5"
    model, export = written[library] / f"rescaling.{ending}", tmp_path / "export"
    options = ("--evidence", "--familiarity", "--int8", "--method", "ptq", "--quiet")
    assert convert(model, dataset, export, *options) == 0
    contract = read_contract(export / "model.json")
    assert set(contract.outputs) == {"probabilities", "evidence", "familiarity"}
    capsys.readouterr()
    assert main(["verify", str(export), str(dataset), "--pictures", "4", "--json", "--quiet"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["exports"]
    held = [check["proof"] for check in found["proofs"] if check["result"] == "holds"]
    for kind in ("evidence on ai-edge-litert", "evidence on tflite-runtime", "distances on ai-edge-litert"):
        assert any(proof.startswith(kind) for proof in held), kind
