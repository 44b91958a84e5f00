"""Models that each Keras library wrote, made once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY

LIBRARIES = ("keras", "tf_keras")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of small models for each library."""
    return _write(tmp_path_factory, "small")


@pytest.fixture(scope="session")
def mobilenets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a nested MobileNetV2 for each library."""
    return _write(tmp_path_factory, "mobilenet")


def _write(tmp_path_factory: pytest.TempPathFactory, kind: str) -> dict[str, Path]:
    folders = {library: tmp_path_factory.mktemp(library) for library in LIBRARIES}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    for library, folder in folders.items():
        command = [sys.executable, "-m", "tests.support.keras_writers", library, str(folder), kind]
        subprocess.run(command, check=True, cwd=REPOSITORY, env=environment, capture_output=True)
    return folders
