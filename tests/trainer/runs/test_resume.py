"""A training killed at any moment goes on, and ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.conftest import TINY
from tests.support.errors import assert_stderr_code
from tests.trainer.runs.test_train import files_of

pytestmark = pytest.mark.tensorflow

LONG = (*TINY, "--epochs", "16", "--rate", "0.005", "--ema", "0.9")


def killed(dataset: Path, run: Path, *, after: str) -> None:
    """Start the command, and kill it when a line begins so; many epochs are still to come then."""
    command = [sys.executable, "-m", "dermpack", "train", str(dataset), "-o", str(run), *LONG]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ.copy()) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(after):
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


def test_a_killed_training_ends_like_an_undisturbed_one(coloured: Path) -> None:
    whole, broken = coloured.parent / "whole", coloured.parent / "broken"
    assert main(["train", str(coloured), "-o", str(whole), "--quiet", *LONG]) == 0
    killed(coloured, broken, after="everything 3/16")
    assert not broken.exists()
    checkpoint = coloured.parent / ".broken.partial" / "everything" / "checkpoint.npz"
    assert checkpoint.is_file()
    assert main(["train", str(coloured), "-o", str(broken), "--quiet", *LONG]) == 0
    assert files_of(broken) == files_of(whole)


def interrupted(dataset: Path, run: Path) -> Path:
    """What a killed training leaves, by hand."""
    from dermpack.dataset.manifest import read_dataset
    from dermpack.storage.files import format_json, write_text
    from trainer.recipe.recipe import parse_recipe
    from trainer.runs.train import package_versions

    names = [name.removeprefix("--").replace("-", "_") for name in TINY[::2]]
    recipe = parse_recipe(dict(zip(names, TINY[1::2], strict=True)), where="test")
    asked = {"recipe": recipe.record(), "manifest_sha256": read_dataset(dataset).sha256, **package_versions()}
    folder = run.with_name(f".{run.name}.partial")
    folder.mkdir()
    write_text(folder / "asked.json", format_json(asked))
    (folder / "everything").mkdir()
    (folder / "everything" / "checkpoint.npz").write_bytes(b"an epoch's work")
    return folder


def test_other_options_on_an_interrupted_training_are_refused(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted(coloured, tmp_path / "run")
    options = (*TINY, "--quiet", "--rate", "0.5")
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *options]) == 1
    values = (tmp_path / "run", "rate: 0.001, now 0.5", "--overwrite")
    assert_stderr_code(capsys.readouterr().err, "output-mismatch", *values)


def test_other_options_take_over_where_no_epoch_was_finished(coloured: Path, tmp_path: Path) -> None:
    folder = interrupted(coloured, tmp_path / "run")
    (folder / "everything" / "checkpoint.npz").unlink()
    options = (*TINY, "--quiet", "--rate", "0.005", "--epochs", "1")
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *options]) == 0


def test_overwrite_begins_anew(coloured: Path, tmp_path: Path) -> None:
    interrupted(coloured, tmp_path / "run")
    options = (*TINY, "--quiet", "--rate", "0.005", "--epochs", "1", "--overwrite")
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *options]) == 0
    assert not list(tmp_path.glob(".run*"))


def test_two_trainings_of_one_run_are_refused(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    folder = interrupted(coloured, tmp_path / "run")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *TINY, "--quiet"]) == 1
    assert_stderr_code(capsys.readouterr().err, "in-use", tmp_path / "run")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_before_an_epoch_is_one_line_and_leaves_nothing(
    coloured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = interrupted(coloured, tmp_path / "run")
    (folder / "everything" / "checkpoint.npz").unlink()
    (folder / "everything" / f".checkpoint.npz.0.{os.getpid()}.partial").symlink_to("/dev/full")
    assert main(["train", str(coloured), "-o", str(tmp_path / "run"), *TINY, "--quiet"]) == 1
    error = capsys.readouterr().err
    assert_stderr_code(error, "cannot-write", "No space left on device")
    assert error.count("\n") == 1
    assert not folder.exists()
