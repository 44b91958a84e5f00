"""Progress, notes and tables for a person (stderr), results for a pipe (stdout)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import click

from dermpack.errors import OutputError, printable
from dermpack.progress import Item, Track, silent

Command = TypeVar("Command", bound=Callable[..., Any])


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


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]], *, quiet: bool) -> None:
    """A table on stderr; the first column is text, the others are figures."""
    if quiet:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(header_style="bold")
    for at, name in enumerate(header):
        drawn.add_column(name, justify="left" if at == 0 else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(printable(str(cell))) for cell in row))
    console = Console(stderr=True)
    console.print(Text(printable(title), style="italic"))  # a table's own title is cut to its width
    console.print(drawn)


def result(value: object, text: str, *, as_json: bool) -> None:
    """The answer itself, on stdout: JSON in ASCII, or text in UTF-8, a path in the bytes that it has."""
    shown = json.dumps(value, sort_keys=True, indent=2) if as_json else text
    try:
        click.echo(shown.encode("utf-8", "surrogateescape"))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError("stdout", f"cannot be written ({error.strerror})", "check where it goes") from error


def _bar(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items, total=total, description=what)
