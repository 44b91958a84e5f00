"""A full disk where a command writes: one line, nothing half-written, and the same bytes later."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from dermpack.cli import main
from dermpack.storage.files import sha256_file
from tests.conftest import TINY
from tests.support.full_disk import run_with_full_disk, write_sites

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]
CODES = ("error[cannot-write]", "error[disk-full]")
States = dict[str, str]


def read_state(folder: Path) -> States:
    """Return the digest of every file, by its name."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256_file(path) for path in files}


def assert_survives(
    arguments: Sequence[str],
    world: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    step: int,
) -> None:
    """Run the command for one in `step` places, odd so that all four calls of an atomic write occur.

    It writes `world/work/out`, and its cache is `world/cache`.
    """
    work, cache = world / "work", world / "cache"
    monkeypatch.setenv("DERMPACK_CACHE", str(cache))
    command = [*arguments, "-o", str(work / "out"), "--quiet"]

    def prepare() -> None:
        for folder in (work, cache):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()

    prepare()
    sites = write_sites(lambda: main(command), below=world)
    whole = read_state(work)
    assert len(sites) > 10
    resumed: list[States] = []
    for site in sites[::step]:
        prepare()
        capsys.readouterr()
        code = run_with_full_disk(lambda: main(command), site=site, below=world)
        error, left = capsys.readouterr().err, read_state(work)
        if code:  # nothing may depend on the write, as on the lock of the cache
            assert (code, error.count("\n")) == (1, 1), site
            assert error.startswith(CODES), site
            assert not [name for name in left if name.startswith("out/")], site
        if left not in resumed:  # the next run depends only on what this one left
            resumed.append(left)
            assert (code == 0 and left == whole) or main(command) == 0, site
            assert read_state(work) == whole, site


def test_a_training(
    coloured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_survives(["train", str(coloured), *TINY, "--epochs", "1"], tmp_path, monkeypatch, capsys, step=13)


@pytest.mark.parametrize("option", ["--float32", "--int8"])
def test_a_conversion(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str,
) -> None:
    kind = [option, *(["--method", "ptq", "--calibration", "20"] if option == "--int8" else [])]
    assert_survives(
        ["convert", str(trained), *kind, "--max-drop", "100"], tmp_path, monkeypatch, capsys, step=3
    )
