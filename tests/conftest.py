"""What the whole suite shares: small datasets, one tiny trained network, real pictures where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.synthetic.demo_folder import render_demo
from tests.support.coloured_dataset import write_coloured
from tests.support.known_patients import write_known_patients
from tests.support.paths import REPOSITORY

# The converter is TensorFlow from its first line: without it there is nothing to collect.
collect_ignore_glob = [] if find_spec("tensorflow") else ["converter/*"]
TINY = ("--arch", "scratch_cnn", "--size", "28", "--filters", "4,8", "--batch", "8", "--epochs", "6")
OPTIONS = (*TINY, "--rate", "0.005", "--ema", "0.9", "--label-smoothing", "0.05", "--quiet")
SHARED = REPOSITORY.parent / "shared"


def _real(variable: str, default: Path, name: str) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not (folder / name).exists():
        pytest.skip(f"no {name} in {folder} (set {variable})")
    return folder / name


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is taken from the user's cache, and nothing is left in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DERMPACK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def coloured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder that a tiny network learns in seconds: three colours, 60 pictures, some rarer."""
    folder = tmp_path_factory.mktemp("coloured") / "dataset"
    write_coloured(folder)
    return folder


@pytest.fixture(scope="session")
def trained(coloured: Path) -> Path:
    """A run folder beside it, trained by the command; it has a threshold for red."""
    run = coloured.parent / "run"
    assert main(["train", str(coloured), "-o", str(run), "--sensitivity", "red=0.9", *OPTIONS]) == 0
    return run


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset folder with age, sex and body site; runs and exports of a module lie beside it."""
    folder = tmp_path_factory.mktemp("patients") / "dataset"
    write_known_patients(folder)
    return folder


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
def fitzpatrick21() -> Path:
    """A part of Fitzpatrick17k with listed duplicates, or a skip that says what is missing."""
    return _real("DERMPACK_DATA", SHARED / "data", "fitzpatrick21")


@pytest.fixture(scope="session")
def backbone_035() -> Path:
    """The ImageNet weights of MobileNetV2 0.35, or a skip that says what is missing."""
    return _real("DERMPACK_WEIGHTS", SHARED / "weights", "mobilenet_v2_0.35_224_no_top.h5")


@pytest.fixture(scope="session")
def backbone_100() -> Path:
    """The ImageNet weights of MobileNetV2 1.0, or a skip that says what is missing."""
    return _real("DERMPACK_WEIGHTS", SHARED / "weights", "mobilenet_v2_1.0_224_no_top.h5")
