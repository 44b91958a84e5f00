"""A conversion needs the run's dataset, and says before any work where it is not."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.errors import DatasetError
from tests.support.errors import assert_stderr_code, raises_code

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def moved(run: Path, tmp_path: Path) -> Path:
    """The run alone, in a folder where nothing lies beside it."""
    return Path(shutil.copytree(run, tmp_path / "here" / "run"))


def test_a_missing_dataset_is_reported_by_a_normalised_path(
    moved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", str(moved), "-o", str(moved.parent / "export"), "--quiet"]) == 1
    answer = capsys.readouterr().err
    assert_stderr_code(answer, "dataset-not-found", "--data")
    assert ".." not in answer


def test_missing_pictures_are_counted_before_the_network_is_loaded(run: Path, tmp_path: Path) -> None:
    from converter.sources.run_source import find_dataset
    from trainer.runs.run_folder import read_run

    read = read_run(run)
    here = shutil.copytree(
        run / read.dataset["path"], tmp_path / "dataset", ignore=shutil.ignore_patterns("*.png")
    )
    with raises_code("pictures-missing") as caught:
        find_dataset(read, here)
    assert isinstance(caught.value, DatasetError)
    assert re.search(r"\b\d+ of \d+\b", caught.value.what)
