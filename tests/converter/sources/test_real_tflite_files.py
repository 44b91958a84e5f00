"""ResNet-8 of MLPerf Tiny, a float .tflite, becomes an int8 export; skipped where the file is missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.contract import read_contract
from tests.conftest import SHARED

pytestmark = [pytest.mark.tensorflow, pytest.mark.real_data]

LABELS = "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck"
DATA = Path(os.environ.get("DERMPACK_DATA", SHARED / "data"))
MODEL, CIFAR10 = DATA.parent / "foreign" / "pretrainedResnet.tflite", DATA / "cifar10_sample"
MOST_POINTS = 1.0


def test_resnet_8_is_found_quantized_verified_and_packaged(tmp_path: Path) -> None:
    if not CIFAR10.is_dir() or not MODEL.is_file():
        pytest.skip(f"not there: {MODEL} or {CIFAR10}")
    dataset, export = str(tmp_path / "dataset"), tmp_path / "export"
    # A few pictures to calibrate with, the others to compare the files on.
    assert main(["data", "import", str(CIFAR10), "-o", dataset, "--split", "24/75/1", "-q"]) == 0
    command = ["convert", str(MODEL), "-o", str(export), "--labels", LABELS, "--data", dataset]
    assert main([*command, "--find-input", "-q"]) == 0
    contract = read_contract(export / "model.json")
    assert contract.input_evidence is not None
    assert contract.input_evidence.chosen == "0..255 RGB centre-square"
    (accuracy,) = contract.accuracy
    figure = next(one for one in accuracy.figures if one.metric == "accuracy")
    assert accuracy.n > 1000 and -100 * figure.difference <= MOST_POINTS
    assert all(run.works for run in contract.runtimes.tried)
    assert main(["verify", str(export), dataset, "-q"]) == 0
    assert main(["package", str(export), "-o", str(tmp_path / "skin.zip"), "--name", "skin", "-q"]) == 0
    assert main(["verify", str(tmp_path / "skin.zip"), "-q"]) == 0
