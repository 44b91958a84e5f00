"""Quantization-aware training of networks with metadata: verified where it is supported, else refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.contract import read_contract
from tests.conftest import TINY
from tests.support.errors import assert_stderr_code
from tests.support.known_patients import METADATA

pytestmark = pytest.mark.tensorflow
LITE = (
    "--arch",
    "efficientnet_lite0",
    "--size",
    "96",
    "--weights",
    "none",
    "--batch",
    "8",
    "--rate",
    "0.005",
)
RECIPES = ("float32", "int8")


@pytest.fixture(scope="module")
def gated(patients: Path) -> Path:
    """A run whose metadata scales and shifts the features of the picture."""
    folder = patients.parent / "gated"
    options = (*TINY, *METADATA, "--join", "gates", "--rate", "0.005", "--quiet")
    assert main(["train", str(patients), "-o", str(folder), *options]) == 0
    return folder


def assert_verified(exports: Path, patients: Path, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every check holds, with and without XNNPACK on both runtimes."""
    capsys.readouterr()
    command = ["verify", str(exports), str(patients), "--run", str(run), "--pictures", "4"]
    assert main([*command, "--json", "--quiet"]) == 0
    for export in json.loads(capsys.readouterr().out)["exports"]:
        held = [check["proof"] for check in export["proofs"] if check["result"] == "holds"]
        for runtime in ("ai-edge-litert", "tflite-runtime"):
            assert sum(proof.startswith(f"runs on {runtime}") for proof in held) == 2, held


def test_gates_become_verified_files(
    gated: Path, patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exports = tmp_path / "exports"
    recipes = [f"--{recipe}" for recipe in RECIPES]
    options = (*recipes, "--method", "ptq", "--max-drop", "100", "--quiet")
    assert main(["convert", str(gated), "-o", str(exports), *options]) == 0
    for recipe in RECIPES:
        assert set(read_contract(exports / recipe / "model.json").inputs) == {"picture", "metadata"}
    assert_verified(exports, patients, gated, capsys)


def test_gates_are_not_trained_for_integers(
    gated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    export = tmp_path / "export"
    assert main(["convert", str(gated), "-o", str(export), "--method", "qat", "--quiet"]) == 1
    assert_stderr_code(capsys.readouterr().err, "qat-not-supported", "--join gates", "--method ptq")
    assert not export.exists()


@pytest.mark.slow
def test_efficientnet_lite_with_metadata_is_trained_for_integers(
    patients: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, export = tmp_path / "run", tmp_path / "export"
    options = (*LITE, *METADATA, "--join", "concat", "--epochs", "2", "--quiet")
    assert main(["train", str(patients), "-o", str(run), *options]) == 0
    converting = ("--int8", "--method", "qat", "--max-drop", "100", "--quiet")
    assert main(["convert", str(run), "-o", str(export), *converting]) == 0
    contract = read_contract(export / "model.json")
    assert (set(contract.inputs), contract.recipe.method) == ({"picture", "metadata"}, "qat")
    assert_verified(export, patients, run, capsys)
