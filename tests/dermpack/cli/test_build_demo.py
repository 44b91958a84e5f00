"""dermpack demo: a build on generated pictures."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from pathlib import Path

import pytest

from dermpack.cli import main, program
from dermpack.cli.build import ANSWERS_FILE, DEMO_OPTIONS, demo_steps, next_commands, read_prediction
from dermpack.cli.build.run_steps import STATE_FILE, open_build, read_state, run_build
from dermpack.cli.build.summary import read_summary, write_index
from dermpack.cli.console import Printer
from tests.dermpack.cli.test_build import TINY, TINY_TOML, config_file
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
def test_the_demo_makes_what_its_summary_names_and_a_build_goes_on_from_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    remarks = json.loads((folder / "run" / "training.json").read_text())["remarks"]
    assert [remark for remark in remarks if f"training: {remark}" not in record["notes"]] == []
    assert record["training"] == "scratch_cnn, 28 px, --weights none"
    assert [duration["title"] for duration in record["steps"]] == [step.title for step in steps]
    assert [label["label"] for label in record["labels"]] == record["classes"]
    assert sum(label["n"] for label in record["labels"]) == record["tested"]
    assert main(["verify", str(folder / "skin.zip"), "--quiet"]) == 0
    with zipfile.ZipFile(folder / "skin.zip") as bundle:
        (name,) = (name for name in bundle.namelist() if name.endswith("MODEL_CARD.md"))
        card = bundle.read(name).decode()
    assert f"split test, n = {record['tested']}" in card
    assert "median ms" in card and "Not given" not in card
    evaluation = json.loads((folder / "evaluation" / "report.json").read_text())
    contract = json.loads((folder / "export" / "model.json").read_text())
    assert evaluation["model"]["sha256"] == contract["sha256"]
    resume_after_a_failed_step(folder, tmp_path, capsys)


def resume_after_a_failed_step(folder: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Build from the pictures of a finished demo: the same steps with the same options are not run again."""
    config = config_file(place, TINY_TOML.replace('"skin"', '"!"'))
    capsys.readouterr()
    command = ["build", str(folder / "pictures"), "-o", str(folder), "--config", str(config), "--json"]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["code"] == "invalid-option"
    assert not read_state(folder / STATE_FILE).steps["package"].is_finished
    config_file(place, TINY_TOML)
    assert main(command) == 0
    captured = capsys.readouterr()
    skipped = re.findall(r"^(\d+)/\d+ .*: done before", captured.err, re.MULTILINE)
    assert skipped == ["1", "3", "4", "5", "6", "8"]  # all but the checks and the failed step
    record = json.loads(captured.out)
    assert record["verification"].startswith("export: holds")
    assert [path for path in record["places"] if not Path(path).is_file()] == []
    page = (folder / "index.html").read_text("utf-8")
    assert [link for link in re.findall(r'<a href="([^#"]+)"', page) if not (folder / link).is_file()] == []
    assert main(["verify", record["bundle"], "--quiet"]) == 0
