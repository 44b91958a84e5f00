"""Tiny networks and exports, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dermpack.cli import main


@pytest.fixture(scope="session")
def run(trained: Path) -> Path:
    """A run folder of a tiny network, beside its dataset."""
    return trained


@pytest.fixture(scope="session")
def export(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run, converted by the command as it stands."""
    folder = tmp_path_factory.mktemp("converted") / "export"
    assert main(["convert", str(run), "-o", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="session")
def mobilenet() -> Any:
    """MobileNetV2 0.35 at 96 px for three labels, its weights drawn."""
    from tests.support.drawn_networks import drawn_network

    return drawn_network()


@pytest.fixture(scope="session")
def frozen(mobilenet: Any) -> Any:
    from converter.quantize.tflite_conversion import freeze

    return freeze(mobilenet)
