"""Run the commands on a page, and compare their output with the lines that the page shows."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

from dermpack.cli import main

BLOCK = re.compile(r"^( *)```(console|sh)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One `dermpack` command, and the lines of its output that a page shows."""

    command: str
    shown: tuple[str, ...] = ()

    @property
    def arguments(self) -> list[str]:
        name, *arguments = shlex.split(self.command, comments=True)
        assert name == "dermpack", self.command
        return arguments


def steps(page: Path) -> list[Step]:
    """Return the commands of a page: of console blocks with their output, of sh blocks without."""
    found: list[Step] = []
    for _, kind, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = dedent(block).replace("\\\n", " ").splitlines()
        if kind == "console":
            found.extend(_console(lines))
        else:
            found.extend(Step(command=line) for line in lines if line.startswith("dermpack "))
    return found


def play(step: Step, capfd: pytest.CaptureFixture[str], *, more: Sequence[str] = ()) -> None:
    """Run a step, with more options if it would take too long; check that it prints each shown line."""
    assert main([*step.arguments, *more]) == 0, step.command
    captured = capfd.readouterr()
    printed = {shape(line) for line in (captured.err + captured.out).splitlines()}
    assert {shape(line) for line in step.shown} <= printed, step.command


def shape(line: str) -> str:
    """Return a line without its figures and spacing, because library versions change the last digits.

    Intervals are removed, too, because a dataset of few groups has none.
    """
    figures = re.sub(r"-?[\d.]+", "#", re.sub(r"\s+|[━─]+", " ", line)).strip()
    return re.sub(r"\((# to #|–)\)", "(#)", figures)


def _console(lines: Sequence[str]) -> Iterator[Step]:
    starts = [index for index, line in enumerate(lines) if line.startswith("$ ")]
    assert starts[:1] == [0], "a console block begins with a command"
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield Step(command=lines[start].removeprefix("$ "), shown=tuple(lines[start + 1 : end]))
