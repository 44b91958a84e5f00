"""An export with the distance: next to the evidence map, in each quantization, on every interpreter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.variants import read_variants
from dermpack.bundle.zip_archive import unpack_files
from dermpack.cli import main
from dermpack.contract import read_contract
from dermpack.inference.classifier import ClassifierOutputs, load_classifier
from dermpack.inference.interpreter_host import first_installed_runtime, open_host
from dermpack.inference.model_files import read_sidecar
from tests.support.errors import assert_stderr_code

pytestmark = pytest.mark.tensorflow
RECIPES = ("float32", "float16", "int8")


@pytest.fixture(scope="module")
def exports(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with evidence map and distance."""
    folder = tmp_path_factory.mktemp("guarded") / "exports"
    options = ("--evidence", "--familiarity", "--method", "ptq", "--max-drop", "100", "--quiet")
    recipes = (f"--{recipe}" for recipe in RECIPES)
    assert main(["convert", str(run), "-o", str(folder), *options, *recipes]) == 0
    return folder


def outputs(export: Path, pixels: Any) -> ClassifierOutputs:
    settings = read_sidecar(export / "model.json")
    with open_host(first_installed_runtime()) as host:
        model = (export / "model.tflite").read_bytes()
        return load_classifier(host, model, where=export, sidecar=settings).run(pixels)


def side(exports: Path) -> int:
    return read_contract(exports / "int8" / "model.json").picture.width


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_contract_has_the_threshold_and_the_limits(exports: Path, recipe: str) -> None:
    contract = read_contract(exports / recipe / "model.json")
    assert contract.familiarity is not None
    assert contract.quality is not None
    assert set(contract.outputs) == {"probabilities", "evidence", "familiarity"}
    assert contract.familiarity.accepted >= 0.95
    assert contract.familiarity.split == contract.quality.split == "validation"


@pytest.mark.parametrize("recipe", RECIPES)
def test_noise_is_further_from_the_training_pictures_than_they_are(exports: Path, recipe: str) -> None:
    size = side(exports)
    noise = np.random.default_rng(0).integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    found = outputs(exports / recipe, noise).familiarity
    contract = read_contract(exports / recipe / "model.json")
    assert found is not None
    assert contract.familiarity is not None
    assert found.min() > contract.familiarity.threshold


def test_the_distances_of_all_quantizations_agree(exports: Path) -> None:
    size = side(exports)
    pixels = np.random.default_rng(1).integers(90, 160, (4, size, size, 3), dtype=np.uint8)
    found = [outputs(exports / recipe, pixels).familiarity for recipe in RECIPES]
    np.testing.assert_allclose(found[1], found[0], rtol=0.05)  # type: ignore[arg-type]
    np.testing.assert_allclose(found[2], found[0], rtol=0.5)  # type: ignore[arg-type]


def test_verification_compares_the_distances(exports: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(exports / "int8"), "--pictures", "2", "--json", "--quiet"]) == 0
    assert "distances on" in capsys.readouterr().out


def test_noise_is_called_unlike_the_training_pictures(
    exports: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = side(exports)
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    Image.fromarray(noise // 16).save(tmp_path / "dark.png")
    csv = tmp_path / "answers.csv"
    names = [str(tmp_path / "noise.png"), str(tmp_path / "dark.png")]
    assert main(["predict", str(exports / "int8"), *names, "--csv", str(csv), "--json", "--quiet"]) == 0
    first, second = json.loads(capsys.readouterr().out)["pictures"]
    assert (first["label"], first["familiar"], first["fault"]) == (None, False, None)
    assert (second["label"], second["fault"]) == (None, "too dark")
    rows = csv.read_text(encoding="utf-8").splitlines()
    assert "unlike the pictures this model was trained on" in rows[1]
    assert "too dark" in rows[2]


def test_the_golden_vectors_of_a_bundle_contain_the_distance(exports: Path) -> None:
    built = build_bundle(read_variants(exports / "int8"), BundleRequest(name="skin"))
    files = unpack_files(built.data, where="bundle")
    (golden,) = (data for name, data in files.items() if name.endswith("golden/golden.json"))
    for vector in json.loads(golden)["vectors"]:
        assert "familiarity" in vector["expected"]["int8"]["more"]


def test_unknown_pictures_need_a_file_with_a_distance(
    run: Path, export: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = json.loads((run / "training.json").read_text(encoding="utf-8"))["dataset"]["path"]
    folder = str(run / dataset)
    assert main(["evaluate", str(export), folder, "--unknown", folder]) == 1
    assert_stderr_code(capsys.readouterr().err, "no-familiarity")


@pytest.mark.slow
def test_a_file_of_quantization_aware_training_has_the_distance(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "trained"
    options = ("--method", "qat", "--max-drop", "100", "--evidence", "--familiarity", "--quiet")
    assert main(["convert", str(run), "-o", str(folder), *options]) == 0
    contract = read_contract(folder / "model.json")
    size = contract.picture.width
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    found = outputs(folder, noise).familiarity
    assert contract.familiarity is not None
    assert found is not None
    assert found.min() > contract.familiarity.threshold
    assert main(["verify", str(folder), "--pictures", "2", "--quiet"]) == 0
