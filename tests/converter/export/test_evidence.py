"""An export with an evidence map: the map adds up to the answer, and every reader finds it by its name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.variants import read_variants
from dermpack.bundle.zip_archive import unpack_files
from dermpack.cli import main
from dermpack.contract import EvidenceOutput, TensorType, read_contract
from dermpack.inference.classifier import ClassifierOutputs, load_classifier
from dermpack.inference.interpreter_host import first_installed_runtime, open_host
from dermpack.inference.model_files import read_sidecar
from dermpack.tflite.model_file import TensorInfo
from dermpack.tflite.model_tree import pack_model, unpack_model
from dermpack.tflite.randomized_weights import shuffle_weights
from dermpack.tflite.reading import read_model
from dermpack.verification.evidence import measure_steps
from tests.support.errors import assert_stderr_code

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def mapped(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run with its evidence map, in int8."""
    folder = tmp_path_factory.mktemp("mapped") / "export"
    options = ("--evidence", "--method", "ptq", "--max-drop", "100", "--quiet")
    assert main(["convert", str(run), "-o", str(folder), *options]) == 0
    return folder


@pytest.fixture(scope="module")
def pixels(mapped: Path) -> Any:
    side = read_contract(mapped / "model.json").picture.width
    return np.random.default_rng(0).integers(0, 256, (6, side, side, 3), dtype=np.uint8)


def outputs(export: Path, pixels: Any, data: bytes | None = None) -> ClassifierOutputs:
    # The temperature changes the probabilities after the file, so that they no longer fit the logits.
    settings = replace(read_sidecar(export / "model.json"), temperature=1.0)
    with open_host(first_installed_runtime()) as host:
        model = data or (export / "model.tflite").read_bytes()
        return load_classifier(host, model, where=export, sidecar=settings).run(pixels)


def test_contract_and_file_name_the_same_tensors(mapped: Path) -> None:
    contract = read_contract(mapped / "model.json")
    model = read_model((mapped / "model.tflite").read_bytes(), where="model.tflite")
    (signature,) = model.signatures
    assert (signature.key, contract.signature) == ("serving_default", "serving_default")
    assert set(signature.inputs) == set(contract.inputs) == {"picture"}
    assert set(signature.outputs) == set(contract.outputs) == {"probabilities", "evidence"}
    # Interfaces without signatures find the tensors by their own names.
    assert {tensor.name for tensor in (*model.inputs, *model.outputs)} == {
        *("picture", "probabilities", "evidence")
    }
    assert contract.evidence is not None and contract.evidence.shape[-1] == len(contract.labels)


def test_every_check_holds_and_the_labels_are_those_of_the_plain_export(
    mapped: Path, export: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = str(run.parent / "dataset")
    command = ["verify", str(mapped), dataset, "--plain", str(export), "--pictures", "4", "--json"]
    assert main(command) == 0
    checks = json.loads(capsys.readouterr().out)["exports"][0]["proofs"]
    named = {check["proof"]: check for check in checks if "evidence on" in check["proof"]}
    assert len(named) == 4 and all(check["figures"]["steps"] <= 1 for check in named.values())
    assert any(check["proof"] == "labels of the plain export" for check in checks)


def test_the_order_of_the_tensors_does_not_matter(mapped: Path, pixels: Any) -> None:
    data = (mapped / "model.tflite").read_bytes()
    tree = unpack_model(data, where="model.tflite")
    tree.subgraphs[0].outputs = list(tree.subgraphs[0].outputs)[::-1]
    turned = pack_model(tree)
    first, other = outputs(mapped, pixels), outputs(mapped, pixels, turned)
    assert np.array_equal(first.probabilities, other.probabilities)
    assert first.evidence is not None and other.evidence is not None
    assert np.array_equal(first.evidence, other.evidence)


def test_a_map_of_another_picture_is_steps_away_from_the_logits(mapped: Path, pixels: Any) -> None:
    evidence = read_contract(mapped / "model.json").evidence
    assert isinstance(evidence, EvidenceOutput)
    found = outputs(mapped, pixels)
    tensors = read_model((mapped / "model.tflite").read_bytes(), where=mapped).logits
    step = {"probability_step": 1 / 256}
    own = measure_steps(found.probabilities, found, evidence, tensors=tensors, **step)
    turned = measure_steps(found.probabilities[::-1], found, evidence, tensors=tensors, **step)
    assert own.max() <= evidence.tolerance_steps < turned.max()


def test_a_logit_at_the_limit_of_its_tensor_is_not_a_difference() -> None:
    evidence = EvidenceOutput(
        shape=(1, 1, 1, 2), dtype=TensorType.INT8, scale=0.1, zero_point=0, tolerance_steps=1.0
    )
    maps = np.array([[[[-6.0, 6.0]]]])  # the logits end at ±2
    logits = TensorInfo(name="logits", shape=(1, 2), dtype="int8", scales=(4 / 255,), zero_points=(0,))
    assert logits.limits == pytest.approx((-2.0, 2.0), abs=0.01)
    powers = np.exp([[-2.0, 2.0]])
    found = ClassifierOutputs(probabilities=powers / powers.sum(), evidence=maps)
    unlimited = measure_steps(found.probabilities, found, evidence, probability_step=1 / 256)
    own = measure_steps(found.probabilities, found, evidence, probability_step=1 / 256, tensors=(logits,))
    assert own.max() <= evidence.tolerance_steps < unlimited.max()


def test_the_tensor_of_the_logits_is_found(mapped: Path) -> None:
    (logits,) = read_model((mapped / "model.tflite").read_bytes(), where=mapped).logits
    assert logits.shape == (1, 3) and logits.limits is not None


def test_shuffled_weights_give_another_map(mapped: Path, pixels: Any) -> None:
    data = (mapped / "model.tflite").read_bytes()
    first, other = outputs(mapped, pixels), outputs(mapped, pixels, shuffle_weights(data, seed=0))
    assert first.evidence is not None and other.evidence is not None
    assert not np.array_equal(first.evidence, other.evidence)


def test_golden_vectors_contain_the_map_and_a_changed_one_is_found(
    mapped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = build_bundle(read_variants(mapped), BundleRequest(name="skin"))
    files = unpack_files(made.data, where="bundle")
    golden = json.loads(next(data for name, data in files.items() if name.endswith("golden.json")))
    expected = golden["vectors"][0]["expected"]["int8"]["more"]["evidence"]
    assert any(name.endswith(expected["output"]) for name in files)
    bundle = tmp_path / "skin.zip"
    bundle.write_bytes(made.data)
    assert main(["verify", str(bundle), "--pictures", "1", "--quiet"]) == 0
    assert "holds" in capsys.readouterr().out


def test_predict_draws_a_map_for_each_picture(mapped: Path, run: Path, tmp_path: Path) -> None:
    pictures = sorted((run.parent / "dataset").glob("*.png"))[:2]
    maps, occluded = tmp_path / "maps", tmp_path / "occluded"
    options = ("--evidence", str(maps), "--occlusion", str(occluded), "--quiet")
    assert main(["predict", str(mapped), *map(str, pictures), *options]) == 0
    for folder, kind in ((maps, "evidence"), (occluded, "occlusion")):
        record = json.loads((folder / "maps.json").read_text(encoding="utf-8"))
        assert (record["kind"], len(record["maps"])) == (kind, len(pictures))
        with Image.open(folder / record["maps"][0]["file"]) as drawn:
            assert drawn.size == (448, 224)  # the picture, and the picture under its map


def test_a_file_without_a_map_is_refused_before_it_runs(
    export: Path, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "maps"
    assert main(["predict", str(export), str(run), "--evidence", str(folder)]) == 1
    assert_stderr_code(capsys.readouterr().err, "no-evidence", "--evidence", "--occlusion")
    assert not folder.exists()


def test_an_evaluation_contains_the_sanity_checks(mapped: Path, run: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = ["evaluate", str(mapped), str(run.parent / "dataset"), "-o", str(report), "--quiet"]
    assert main(command) == 0
    found = json.loads((report / "report.json").read_text(encoding="utf-8"))["evidence"]
    assert set(found["curves"]) == {
        *("deletion", "insertion", "deletion at random", "insertion at random"),
    }
    assert {"deletion gain", "insertion gain", "occlusion correlation"} <= set(found["figures"])
    for share in ("the last layer", "all layers"):
        low, high = found["figures"][f"correlation after shuffling {share}"]["ci95"]
        assert -1 <= low <= high <= 1
    assert (report / "evidence.png").is_file()


def test_files_with_float_activations_have_a_verified_map(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, wide, exports = run.parent / "dataset", tmp_path / "wide", tmp_path / "exports"
    # Kernels of fewer than 1024 weights would stay float.
    options = ("--arch", "scratch_cnn", "--size", "28", "--filters", "16,32", "--batch", "8", "--epochs", "2")
    assert main(["train", str(dataset), "-o", str(wide), *options, "--quiet"]) == 0
    converting = ("--float16", "--dynamic", "--evidence", "--max-drop", "100", "--quiet")
    assert main(["convert", str(wide), "-o", str(exports), *converting]) == 0
    model = read_model((exports / "dynamic" / "model.tflite").read_bytes(), where="model.tflite")
    assert "int8" in {tensor.dtype for tensor in model.tensors}
    capsys.readouterr()
    command = ["verify", str(exports), str(dataset), "--run", str(wide), "--pictures", "4", "--json"]
    assert main([*command, "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)["exports"]
    for export in found:
        held = [check["proof"] for check in export["proofs"] if check["result"] == "holds"]
        assert sum("evidence on" in proof for proof in held) == 4, held
    assert len(found) == 2
