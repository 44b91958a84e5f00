"""Tiny networks and runs to convert, made once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dermpack.cli import main
from tests.trainer.coloured import write_coloured

TINY = ("--arch", "scratch_cnn", "--size", "28", "--filters", "4,8", "--batch", "8", "--epochs", "4")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMPACK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of a tiny network, beside its dataset; it has a threshold for red."""
    dataset = tmp_path_factory.mktemp("coloured") / "dataset"
    write_coloured(dataset)
    run = dataset.parent / "run"
    arguments = ["train", str(dataset), "-o", str(run), "--sensitivity", "red=0.9", "--rate", "0.005"]
    assert main([*arguments, *TINY, "--quiet"]) == 0
    return run


@pytest.fixture(scope="session")
def export(run: Path) -> Path:
    """The run, converted by the command as it stands."""
    folder = run.parent / "export"
    assert main(["convert", str(run), "-o", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="session")
def mobilenet() -> Any:
    """MobileNetV2 0.35 at 96 px for three labels, its weights drawn."""
    from tests.converter.drawn import drawn_network

    return drawn_network()


@pytest.fixture(scope="session")
def frozen(mobilenet: Any) -> Any:
    from converter.freeze import freeze

    return freeze(mobilenet)
