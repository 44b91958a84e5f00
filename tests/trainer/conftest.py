"""A dataset that a tiny network learns in seconds, and one training of it that many tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.trainer.coloured import write_coloured

TINY = ("--arch", "scratch_cnn", "--size", "28", "--filters", "4,8", "--batch", "8", "--epochs", "6")
OPTIONS = (*TINY, "--rate", "0.005", "--ema", "0.9", "--label-smoothing", "0.05", "--quiet")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMPACK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder: three colours, 60 pictures, some classes rarer."""
    folder = tmp_path_factory.mktemp("coloured") / "dataset"
    write_coloured(folder)
    return folder


@pytest.fixture(scope="session")
def trained(coloured: Path) -> Path:
    """A run folder, trained by the command."""
    run = coloured.parent / "run"
    assert main(["train", str(coloured), "-o", str(run), "--sensitivity", "red=0.9", *OPTIONS]) == 0
    return run
