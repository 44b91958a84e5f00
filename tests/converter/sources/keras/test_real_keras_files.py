"""The Keras files of MLPerf Tiny become int8 exports; they are skipped where the files are missing."""

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
FOREIGN, CIFAR10 = DATA.parent / "foreign", DATA / "cifar10_sample"
MOST_POINTS = 1.0


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10: a few pictures to calibrate with, the others to compare the files on."""
    if not CIFAR10.is_dir() or not FOREIGN.is_dir():
        pytest.skip(f"not there: {FOREIGN} or {CIFAR10}")
    folder = tmp_path_factory.mktemp("cifar10") / "dataset"
    assert main(["data", "import", str(CIFAR10), "-o", str(folder), "--split", "20/79/1", "-q"]) == 0
    return folder


def test_resnet_8_loses_at_most_a_point(dataset: Path, tmp_path: Path) -> None:
    export = tmp_path / "export"
    options = ("--labels", LABELS, "--data", str(dataset), "--find-input", "--compare-original", "-q")
    assert main(["convert", str(FOREIGN / "pretrainedResnet.h5"), "-o", str(export), *options]) == 0
    contract = read_contract(export / "model.json")
    assert contract.picture.std == (1.0, 1.0, 1.0)
    assert contract.input_evidence is not None
    (accuracy,) = contract.accuracy
    figure = next(one for one in accuracy.figures if one.metric == "accuracy")
    assert -100 * figure.difference <= MOST_POINTS
    assert all(run.works for run in contract.runtimes.tried)
    assert main(["verify", str(export), str(dataset), "-q"]) == 0


def test_mobilenet_v1_is_rebuilt_as_the_original() -> None:
    import numpy as np

    from converter.sources.keras.keras_source import load_keras
    from converter.sources.keras.original import compare_original
    from dermpack.inference.foreign_model import DeclaredInput, InputRange

    path = FOREIGN / "vww_96.h5"
    if not path.is_file():
        pytest.skip(f"not there: {path}")
    declared = DeclaredInput(range=InputRange.UNIT)
    network = load_keras(path, labels=("non_person", "person"), declared=declared, size=None)
    pictures = np.random.default_rng(0).integers(0, 256, (32, 96, 96, 3)).astype(np.uint8)
    inputs = network.normalization.pixels.apply(pictures)
    rebuilt = np.asarray(network.rebuilt.model(inputs, training=False), np.float64)
    given = network.normalization.given.apply(pictures)
    assert compare_original(path, given, rebuilt, head=network.rebuilt.head, is_keras3=False).pictures == 32
