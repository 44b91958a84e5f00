"""Every path that a command takes can be a pipe, a device, a loop, a name that no file can have."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest

from dermpack.cli import main
from tests.support.colour_model import picture, write_export
from tests.support.evaluation_dataset import make_dataset
from tests.support.permissions import binding_permissions
from tests.support.picture_sources import write_folders

MOST_SECONDS = 20
# {bad} is the hostile path, {new} an output that does not exist; the other names are those of the workspace.
INPUTS = (
    "inspect {bad}",
    "verify {bad}",
    "verify {export} {bad}",
    "verify {export} --run {bad}",
    "verify {bundle} --key {bad}",
    "predict {bad} {picture}",
    "predict {export} {bad}",
    "predict {export} {picture} --labels {bad}",
    "evaluate {bad} {dataset}",
    "evaluate {export} {bad}",
    "evaluate {export} {dataset} --labels {bad}",
    "package {bad} -o {new}",
    "package {export} -o {new} --golden {bad}",
    "package {export} -o {new} --scores {bad}",
    "package {export} -o {new} --benchmark {bad}",
    "package {export} -o {new} --sign {bad}",
    "benchmark {bad} -o {new}",
    "benchmark {export} -o {new} --data {bad}",
    "benchmark {model} -o {new} --labels {bad}",
    "benchmark --compare {bad} {bad}",
    "data import {bad} -o {new}",
    "data import {source} -o {new} --map {bad}",
    "data import {source} -o {new} --metadata {bad} --format csv",
    "data check {bad}",
    "data report {bad} -o {new}",
    "train {bad} -o {new}",
    "train {dataset} -o {new} --recipe {bad}",
    "train {dataset} -o {new} --weights {bad}",
    "train {dataset} -o {new} --teacher {bad}",
    "train {dataset} -o {new} --augment {bad}",
    "study {bad} eczema -o {new}",
    "study {dataset} {bad} -o {new}",
    "study {dataset} eczema -o {new} --also {bad}",
    "tune {bad} -o {new} --trials 1",
    "tune {dataset} -o {new} --trials 1 --recipe {bad}",
    "tune {dataset} -o {new} --trials 1 --space {bad}",
    "convert {bad} -o {new}",
    "build {bad} -o {new}",
    "build {source} -o {new} --config {bad}",
)
OUTPUTS = (
    "predict {export} {picture} --csv {bad}",
    "evaluate {export} {dataset} -o {bad}",
    "evaluate {export} {dataset} --predictions {bad}",
    "package {export} -o {bad}",
    "package {export} -o {new} --card {bad}",
    "benchmark {export} -o {bad}",
    "data import {source} -o {bad}",
    "data report {dataset} -o {bad}",
    "data demo -o {bad} --pictures 20 --size 32",
    "train {dataset} -o {bad}",
    "study {dataset} eczema -o {bad}",
    "tune {dataset} -o {bad} --trials 1",
    "build {source} -o {bad}",
    "demo -o {bad}",
)


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _loop(path: Path) -> Path:
    path.symlink_to(path.name)
    return path


def _dangling(path: Path) -> Path:
    path.symlink_to("nowhere")
    return path


def _below_file(path: Path) -> Path:
    path.write_text("a file")
    return path / "below"


def _socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listening:
        # The address of a socket has at most 108 bytes, so it is made in the folder itself.
        before = Path.cwd()
        os.chdir(path.parent)
        listening.bind(path.name)
        os.chdir(before)
    return path


def _locked(path: Path) -> Path:
    path.mkdir()
    path.chmod(0)
    return path / "inside"


PATHS: dict[str, Callable[[Path], Path]] = {
    "long-name": lambda path: path.with_name("x" * 300),
    "long-path": lambda path: path.joinpath(*["x" * 200] * 30),
    "nul": lambda path: path.with_name("a\0b"),
    "undecodable": lambda path: path.with_name("\udcff\x1b[31m") / "below",
    "pipe": _pipe,
    "device": lambda _: Path("/dev/zero"),
    "socket": _socket,
    "loop": _loop,
    "dangling": _dangling,
    "below-file": _below_file,
    "locked": _locked,
}


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Fail if the block blocks: a pipe without a writer would wait for ever."""

    def stop(_: int, __: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("workspace")
    export = write_export(folder / "export")
    (folder / "bare").mkdir()
    names = {
        "export": export,
        "model": folder / "bare" / "model.tflite",
        "picture": folder / "picture.jpg",
        "dataset": make_dataset(folder / "dataset").folder,
        "source": write_folders(folder / "source"),
        "bundle": folder / "bundle.zip",
    }
    names["model"].write_bytes((export / "model.tflite").read_bytes())
    names["picture"].write_bytes(picture("mel"))
    assert main(["package", str(export), "-o", str(names["bundle"]), "--quiet"]) == 0
    return names


def run(command: str, names: dict[str, Path], bad: Path) -> int:
    arguments = [word.format(bad=bad, **names) for word in command.split()]
    with time_limit(MOST_SECONDS), binding_permissions():
        return main([*arguments, "--quiet"])


def check_refused(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Check that the command failed with one line without a control character."""
    captured = capsys.readouterr()
    assert code in (1, 2), captured.out
    *_, line = captured.err.strip().split("\n")
    assert line.startswith("error[" if code == 1 else "Error: "), captured.err
    assert line.isprintable()
    assert len(line) < 2500


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("command", INPUTS)
def test_an_input_that_is_no_file_is_one_line(
    command: str,
    kind: str,
    workspace: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    bad = PATHS[kind](tmp_path / "bad")
    code = run(command, {**workspace, "new": tmp_path / "new"}, bad)
    check_refused(code, capsys)
    # Every command writes its output whole or not at all; a build keeps the steps that are finished.
    assert command.startswith("build") or not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", [kind for kind in PATHS if kind != "undecodable"])
@pytest.mark.parametrize("command", OUTPUTS)
def test_an_output_that_cannot_be_written_is_one_line_and_stays(
    command: str,
    kind: str,
    workspace: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    bad = PATHS[kind](tmp_path / "bad")
    before = {path.name: path.lstat().st_mode for path in tmp_path.iterdir()}
    code = run(command, {**workspace, "new": tmp_path / "new.zip"}, bad)
    check_refused(code, capsys)
    assert {path.name: path.lstat().st_mode for path in tmp_path.iterdir()} == before
