"""MediaPipe Tasks loads our files and gives the same labels as our runtime.

Runs by `make mediapipe`; EXPORTS="FOLDER …" checks exports too.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dermpack.imaging.preprocessing import prepare
from dermpack.inference.classifier import open_classifier
from dermpack.inference.model_files import ModelSettings, read_sidecar
from dermpack.synthetic.demo_folder import render_demo
from dermpack.tflite.metadata_writing import with_metadata
from dermpack.tflite.model_file import Metadata, ScoreCalibration, temperature_calibration
from dermpack.tflite.reading import read_model
from tests.support.paths import REPOSITORY
from tests.support.tflite_models import LABELS, SIZE, float_model, integer_model

PYTHON = os.environ.get("DERMPACK_MEDIAPIPE", "")
EXPORTS = os.environ.get("EXPORTS", "").split()
SCRIPT = REPOSITORY / "tests/tools/classify_with_mediapipe.py"
PICTURES = 50
pytestmark = [
    pytest.mark.slow,
    pytest.mark.tensorflow,
    pytest.mark.skipif(not PYTHON, reason="DERMPACK_MEDIAPIPE is not set to a Python with mediapipe"),
]
Pixels = NDArray[np.uint8]
METADATA = Metadata(
    name="lesions", labels=LABELS, mean=(127.5,), std=(127.5,), lowest=(-1.0,), highest=(1.0,)
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("demo") / "pictures"
    render_demo(folder, classes=2, pictures=80, size=96, seed=0)
    return sorted(path for path in folder.rglob("*.jpg") if not path.name.startswith("broken"))


def mediapipe_scores(model: Path, pixels: Pixels) -> list[dict[str, float]]:
    array = model.with_suffix(".npy")
    np.save(array, pixels)
    command = [PYTHON, str(SCRIPT), str(model), str(array)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    scores: list[dict[str, float]] = json.loads(done.stdout)
    return scores


def check_labels(model: Path, pixels: Pixels, sidecar: ModelSettings) -> None:
    """Check that the best label of each picture is the same; any of equal labels is accepted."""
    with open_classifier(model, sidecar=sidecar) as classifier:
        ours = classifier.classify(pixels)
    theirs = mediapipe_scores(model, pixels)
    assert len(theirs) == len(ours) == PICTURES
    for mine, scores in zip(ours, theirs, strict=True):
        assert set(scores) == set(sidecar.labels)
        best = next(iter(scores))
        assert mine[sidecar.labels.index(best)] == mine.max()


def brightened(files: list[Path], size: int) -> Pixels:
    """Return the pictures at model size, from dark to bright, so that every label occurs."""
    pixels = np.stack([prepare(file, size) for file in files[:PICTURES]]).astype(np.int64)
    shift = np.linspace(-200, 80, len(pixels)).astype(np.int64)[:, None, None, None]
    return np.clip(pixels + shift, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["float32", "uint8"])
@pytest.mark.parametrize(
    "calibration", [None, temperature_calibration(3, 1.0), temperature_calibration(3, 1.7)]
)
def test_the_top_label_is_the_same_on_all_pictures(
    tmp_path: Path, pictures: list[Path], kind: str, calibration: ScoreCalibration | None
) -> None:
    data = float_model() if kind == "float32" else integer_model(kind)
    model = tmp_path / "model.tflite"
    model.write_bytes(with_metadata(data, replace(METADATA, calibration=calibration)))
    check_labels(model, brightened(pictures, SIZE), ModelSettings(labels=LABELS))


@pytest.mark.skipif(not EXPORTS, reason="EXPORTS is not set")
@pytest.mark.parametrize("export", EXPORTS)
def test_an_export_gives_the_same_labels_in_mediapipe(
    tmp_path: Path, pictures: list[Path], export: str
) -> None:
    data = (Path(export) / "model.tflite").read_bytes()
    size = read_model(data, where=export).inputs[0].shape[1]
    model = tmp_path / "model.tflite"
    model.write_bytes(data)
    check_labels(model, brightened(pictures, size), read_sidecar(Path(export) / "model.json"))
