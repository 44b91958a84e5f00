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
    """A folder of models for each library."""
    folders = {library: tmp_path_factory.mktemp(library) for library in LIBRARIES}
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    for library, folder in folders.items():
        command = [sys.executable, "-m", "tests.support.keras_writers", library, str(folder)]
        subprocess.run(command, check=True, cwd=REPOSITORY, env=environment, capture_output=True)
    return folders
