"""Every command that the README shows is run, in order, and prints what the README shows."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from dermpack.cli import main, program
from dermpack.cli.lazy import LazyGroup

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps() -> list[tuple[str, list[str]]]:
    """Each command, with the lines shown below it."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall(README.read_text(encoding="utf-8")):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(line: str) -> str:
    """A line without its figures and spacing: versions of the libraries move the last digit."""
    return re.sub(r"-?[\d.]+", "#", re.sub(r"\s+|[━─]+", " ", line)).strip()


def test_the_readme_shows_true_commands_and_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for command, shown in steps():
        name, *arguments = shlex.split(command)
        assert name == "dermpack", command
        if arguments[0] == "train" and find_spec("tensorflow") is None:
            pytest.skip("the train extra is missing: the walk through ends before training")
        assert main(arguments) == 0, command
        captured = capfd.readouterr()
        printed = {shape(line) for line in (captured.err + captured.out).splitlines()}
        assert {shape(line) for line in shown} <= printed, command


def test_the_readme_names_every_command() -> None:
    text = README.read_text(encoding="utf-8")
    for name in program.commands_in:
        command = program.get_command(None, name)  # type: ignore[arg-type]  # needs no context
        names = [f"{name} {sub}" for sub in command.commands_in] if isinstance(command, LazyGroup) else [name]
        assert [n for n in names if f"dermpack {n}" not in text] == []
