"""Progress, notes and tables for a person (stderr), results for a pipe (stdout)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import click

from dermpack.errors import DermpackError, OutputError, printable
from dermpack.progress import Item, Track, silent

LINED, UNLINED = 3, 2  # columns of the terminal beside each of a table: padding, and a line
Command = TypeVar("Command", bound=Callable[..., Any])


class FailedWithResultError(Exception):
    """A command failed after it had printed its result; stdout gets no second JSON document."""

    def __init__(self, error: DermpackError) -> None:
        super().__init__(str(error))
        self.error = error


def output_options(command: Command) -> Command:
    """The two options that every command has: `as_json` and `quiet`."""
    with_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
    with_quiet = click.option("-q", "--quiet", is_flag=True, help="No progress and no tables, only results.")
    return with_json(with_quiet(command))


def track(*, quiet: bool) -> Track:
    """A progress bar on stderr, or silence."""
    return silent if quiet else _bar


def note(text: str, *, quiet: bool) -> None:
    """One line for a person, on stderr."""
    if not quiet:
        click.echo(printable(text), err=True)


def table(
    title: str,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    quiet: bool,
    words: Sequence[str] = (),
) -> None:
    """A table on stderr; the first column and those named in `words` are text, the others are figures."""
    if quiet:
        return
    from rich.console import Console
    from rich.text import Text

    cells = [[printable(str(cell)) for cell in row] for row in rows]
    console = Console(stderr=True)
    drawn = _drawn(header, cells, words=words, width=console.width)
    for row in cells:
        drawn.add_row(*map(Text, row))
    console.print(Text(printable(title), style="italic"))  # a table's own title is cut to its width
    console.print(drawn)


def _drawn(header: Sequence[str], cells: Sequence[Sequence[str]], *, words: Sequence[str], width: int) -> Any:
    """An empty table; without lines between columns where only so no word would be broken."""
    from rich import box
    from rich.table import Table

    columns = [[name, *(row[at] for row in cells)] for at, name in enumerate(header)]
    lined = _widths(columns, room=width - LINED * len(columns) - 1)
    if lined:
        drawn = Table(header_style="bold")
    else:
        plain = box.SIMPLE_HEAD
        drawn = Table(header_style="bold", box=plain, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    widths = lined or _widths(columns, room=width - UNLINED * len(columns))
    for at, name in enumerate(header):
        side: Literal["left", "right"] = "left" if name in (header[0], *words) else "right"
        drawn.add_column(name, justify=side, overflow="fold", width=widths[at] if widths else None)
    return drawn


def _widths(columns: Sequence[Sequence[str]], *, room: int) -> list[int]:
    """A width a column in which each word is whole; empty where there is no room for that."""
    from rich.cells import cell_len

    wanted = [max(map(cell_len, texts)) for texts in columns]
    widths = [max(map(cell_len, " ".join(texts).split()), default=1) for texts in columns]
    if sum(widths) > room:
        return []
    for _ in range(min(room, sum(wanted)) - sum(widths)):
        tightest = max(range(len(widths)), key=lambda at: wanted[at] / widths[at])
        widths[tightest] += 1
    return widths


def result(value: object, text: str, *, as_json: bool) -> None:
    """The answer itself, on stdout: JSON in ASCII, or text in UTF-8, a path in the bytes that it has."""
    shown = json.dumps(value, sort_keys=True, indent=2) if as_json else text
    try:
        click.echo(shown.encode("utf-8", "surrogateescape"))
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_stdout()
        what, hint = f"cannot be written ({error.strerror})", "Check where stdout is redirected to."
        raise OutputError("stdout", what, hint, code="cannot-write") from error


def drop_stdout() -> None:
    """Lose what could not be written: some Pythons try again at the end, and exit with 120 then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bar(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items, total=total, description=what)
