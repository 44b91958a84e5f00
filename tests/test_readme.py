"""Every command of the walkthrough runs, in order, and prints what the page shows."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from dermpack.cli import LazyGroup, program
from tests.support.paths import REPOSITORY
from tests.support.readme_commands import play, steps

README = REPOSITORY / "README.md"
WALKTHROUGH = REPOSITORY / "docs/walkthrough.md"


@pytest.mark.pages
def test_the_walkthrough_shows_true_commands_and_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for step in steps(WALKTHROUGH):
        if step.arguments[0] == "train" and find_spec("tensorflow") is None:
            pytest.skip("the train extra is missing: the walkthrough ends before training")
        play(step, capfd)


def test_the_readme_names_every_command() -> None:
    text = README.read_text(encoding="utf-8")
    for name in program.commands_in:
        command = program.get_command(None, name)  # type: ignore[arg-type]  # needs no context
        names = [f"{name} {sub}" for sub in command.commands_in] if isinstance(command, LazyGroup) else [name]
        assert [n for n in names if f"dermpack {n}" not in text] == []
