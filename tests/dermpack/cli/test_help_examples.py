"""What --help gives as an example is a command that the program takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dermpack.cli import program

EXAMPLE = re.compile(r"^ +dermpack (.+)$", re.MULTILINE)
FILES = ("recipe.toml", "space.toml", "build.toml")  # that must be there when the command line is read


def commands(group: click.Group, *above: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)
        else:
            yield (*above, name), command


def examples(command: click.Command) -> list[str]:
    return EXAMPLE.findall((command.help or "").partition("Example")[2])


ALL = dict(commands(program))
LINES = [line for command in ALL.values() for line in examples(command)]


@pytest.mark.parametrize("names", ALL, ids=" ".join)
def test_every_command_shows_an_example_of_itself(names: tuple[str, ...]) -> None:
    assert any(f"{line} ".startswith(f"{' '.join(names)} ") for line in examples(ALL[names]))


@pytest.mark.parametrize("line", LINES)
def test_an_example_parses(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        Path(name).touch()
    words = shlex.split(line)
    names = next(names for names in ALL if tuple(words[: len(names)]) == names)
    ALL[names].make_context(" ".join(names), words[len(names) :])
