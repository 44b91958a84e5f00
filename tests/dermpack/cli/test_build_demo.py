"""dermpack demo: a build on generated pictures."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from dermpack.cli import main, program
from dermpack.cli.build import ANSWERS_FILE, DEMO_OPTIONS, demo_steps, next_commands, read_prediction
from dermpack.cli.build.run_steps import open_build, run_build
from dermpack.cli.build.summary import read_summary, write_index
from dermpack.cli.console import Printer
from tests.dermpack.cli.test_build import TINY
from tests.support.paths import REPOSITORY

WALKTHROUGH = REPOSITORY / "docs/walkthrough.md"


def test_the_steps_are_those_of_the_walkthrough() -> None:
    shown = WALKTHROUGH.read_text("utf-8")
    commands = [shlex.join(step.arguments) for step in demo_steps(Path("demo"), DEMO_OPTIONS)]
    assert [line for line in commands if f"$ dermpack {line.partition(' --csv')[0]}\n" not in shown] == []


def test_every_next_command_can_be_typed() -> None:
    lines = next_commands()[1:]
    assert max(map(len, lines)) <= 80
    for line in lines:
        words = shlex.split(re.split(r" {2,}", line.strip())[0])
        assert words[0] == "dermpack"
        assert program.get_command(None, words[1]) is not None  # type: ignore[arg-type]  # needs no context


@pytest.mark.tensorflow
def test_the_demo_makes_what_its_summary_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tensorflow")
    folder = tmp_path / "demo"
    steps = demo_steps(folder, TINY)
    with open_build(folder, overwrite=False) as state:
        state = run_build(folder, steps, state, overwrite=False, printer=Printer())
    summary = read_summary(folder, steps, state, asked=read_prediction(folder / ANSWERS_FILE))
    write_index(folder, summary, title="Demo", subtitle="Generated")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "points lost" in captured.err and "median of one inference" in captured.err
    record = json.loads(json.dumps(summary.record()))
    assert record["size_bytes"] == (folder / "export" / "model.tflite").stat().st_size
    assert [place for place in record["places"] if not Path(place).is_file()] == []
    assert (record["recipe"], record["asked"]["picture"]) == ("int8 ptq", "demo_00000.jpg")
    assert record["speed"]["median_ms"] > 0
    assert record["training"] == "scratch_cnn, 28 px, --weights none"
    assert [duration["title"] for duration in record["steps"]] == [step.title for step in steps]
    assert main(["verify", str(folder / "skin.zip"), "--quiet"]) == 0
