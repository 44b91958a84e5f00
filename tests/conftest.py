"""What the whole suite shares: where real pictures and weights are, if they are."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.pictures import render_demo

# The converter is TensorFlow from its first line: without it there is nothing to collect.
collect_ignore_glob = [] if find_spec("tensorflow") else ["converter/*"]
SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


def _real(variable: str, default: Path, name: str) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not (folder / name).exists():
        pytest.skip(f"no {name} in {folder} (set {variable})")
    return folder / name


@pytest.fixture(scope="session")
def demo_pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small folder of demo pictures, as `dermpack data demo` renders it."""
    folder = tmp_path_factory.mktemp("demo") / "pictures"
    render_demo(folder, classes=2, pictures=24, size=64, seed=0)
    return folder


@pytest.fixture(scope="session")
def demo_dataset(demo_pictures: Path) -> Path:
    """The demo pictures, imported."""
    folder = demo_pictures.parent / "dataset"
    assert main(["data", "import", str(demo_pictures), "-o", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="session")
def ham10000() -> Path:
    """The real part of HAM10000, or a skip that says what is missing."""
    return _real("DERMPACK_DATA", SHARED / "data", "ham10000")


@pytest.fixture(scope="session")
def backbone_035() -> Path:
    """The ImageNet weights of MobileNetV2 0.35, or a skip that says what is missing."""
    return _real("DERMPACK_WEIGHTS", SHARED / "weights", "mobilenet_v2_0.35_224_no_top.h5")


@pytest.fixture(scope="session")
def backbone_100() -> Path:
    """The ImageNet weights of MobileNetV2 1.0, or a skip that says what is missing."""
    return _real("DERMPACK_WEIGHTS", SHARED / "weights", "mobilenet_v2_1.0_224_no_top.h5")
