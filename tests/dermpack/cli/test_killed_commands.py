"""Kills at random moments: half-written results never appear, and the next run makes what was asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermpack.cli import main
from tests.conftest import TINY
from tests.support.killed_commands import Killable, kill_and_finish

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]
KILLS, CHAIN = 4, 2
TRAINING = 'arch = "scratch_cnn"\nsize = 28\nfilters = [4, 8]\nbatch = 8\nepochs = 3\n'
STUDY = f"[common]\n{TRAINING}[recipes.plain]\n[recipes.faster]\nrate = 0.005\n"
SPACE = "[rate]\nlow = 1e-4\nhigh = 1e-2\nlog = true\n"
BUILD = f"""[train]
{TRAINING.replace("[4, 8]", '"4,8"')}weights = "none"
[convert]
max-drop = 100
calibration = 20
[benchmark]
threads = "1"
rounds = 5
seconds = 0
"""
QUIET = "--quiet"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with the TOML files of the commands, which run in folders below it."""
    for name, text in (("study", STUDY), ("recipe", TRAINING), ("space", SPACE), ("build", BUILD)):
        (tmp_path / f"{name}.toml").write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def export(trained: Path, coloured: Path) -> Path:
    folder = coloured.parent / "killed-export"
    assert main(["convert", str(trained), "-o", str(folder), "--float32", QUIET]) == 0
    return folder


def assert_survives(command: Killable, folder: Path) -> None:
    outcome = kill_and_finish(command, folder, kills=KILLS, chain=CHAIN, seed=0)
    assert outcome.problems == []
    assert outcome.kills == KILLS, "some kills came too late"


def test_a_killed_package_keeps_the_old_bundle(folder: Path, export: Path) -> None:
    arguments = ("package", str(export), "-o", "out.zip", QUIET)
    command = Killable(
        arguments=(*arguments, "--version", "2", "--overwrite"),
        earlier=(*arguments, "--version", "1"),
        result="out.zip",
        compared=("out.zip",),
    )
    assert_survives(command, folder)


def test_a_killed_conversion_resumes_its_training(folder: Path, trained: Path) -> None:
    options = ("--method", "qat", "--calibration", "20", "--max-drop", "100", QUIET)
    arguments = ("convert", str(trained), "-o", "out", *options)
    command = Killable(
        arguments=arguments,
        result="out/model.tflite",
        compared=("out/*",),
        kept=(".out.*.training",),
        begun=".out.*.training/**/checkpoint.npz",
    )
    assert_survives(command, folder)


def test_a_killed_training_resumes(folder: Path, coloured: Path) -> None:
    command = Killable(
        arguments=("train", str(coloured), "-o", "out", *TINY, QUIET),
        result="out/training.json",
        compared=("out/weights.npz",),
        kept=(".out.partial",),
        begun=".out.partial/*/checkpoint.npz",
    )
    assert_survives(command, folder)


def test_a_killed_study_resumes(folder: Path, coloured: Path) -> None:
    command = Killable(
        arguments=("study", str(coloured), "../study.toml", "-o", "out", QUIET),
        result="out/study.json",
        compared=("out/runs/*/weights.npz",),
    )
    assert_survives(command, folder)


def test_a_killed_search_resumes(folder: Path, coloured: Path) -> None:
    options = ("--recipe", "../recipe.toml", "--space", "../space.toml", "--trials", "3")
    command = Killable(
        arguments=("tune", str(coloured), "-o", "out", *options, QUIET),
        result="out/never",  # the files are written after each trial
        compared=("out/best.toml",),
    )
    assert_survives(command, folder)


def test_a_killed_build_resumes(folder: Path, demo_pictures: Path) -> None:
    command = Killable(
        arguments=("build", str(demo_pictures), "-o", "out", "--config", "../build.toml", QUIET),
        result="out/index.html",
        compared=("out/dataset/*", "out/run/weights.npz", "out/export/model*", "out/bundle.zip"),
    )
    assert_survives(command, folder)
