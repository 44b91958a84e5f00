"""Output of the commands: progress, notes and tables on stderr, results on stdout."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import click

from dermpack.errors import DermpackError, OutputError, escape_unprintable
from dermpack.progress import Item, Track, silent

# Printed wherever a command prints figures that a reader could take for a diagnosis.
RESEARCH_ONLY = "research software, not a medical device: no figure is a diagnosis"
# Columns of the terminal that a table column takes besides its text: padding, and a line in the first.
LINED, UNLINED = 3, 2
REFRESH_S = 0.2
CLEAR_LINE = "\r\x1b[2K"
Command = TypeVar("Command", bound=Callable[..., Any])


class FailedWithResultError(Exception):
    """A command failed after it had printed its result, so stdout gets no second JSON document."""

    def __init__(self, error: DermpackError) -> None:
        super().__init__(str(error))
        self.error = error


def output_options(command: Command) -> Command:
    """Add the two options that every command has: `as_json` and `quiet`."""
    with_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
    with_quiet = click.option(
        "-q", "--quiet", is_flag=True, help="Print results and errors only: no progress, notes and tables."
    )
    return with_json(with_quiet(command))


def progress_bar(*, quiet: bool) -> Track:
    """Return a callback that draws a progress bar on stderr, or one that prints nothing."""
    return silent if quiet else _bar


def print_note(text: str, *, quiet: bool) -> None:
    """Print one line on stderr."""
    if not quiet:
        click.echo(escape_unprintable(text), err=True)


def print_styled(line: str, *, style: str) -> None:
    """Print a line on stderr that only the terminal wraps, so that a command in it can be copied."""
    from rich.console import Console
    from rich.text import Text

    Console(stderr=True).print(Text(escape_unprintable(line), style=style), soft_wrap=True)


def print_table(
    title: str,
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    quiet: bool,
    words: Sequence[str] = (),
) -> None:
    """Print a table on stderr; the first column and those named in `words` are text, the others numbers."""
    if quiet:
        return
    from rich.console import Console
    from rich.text import Text

    cells = [[escape_unprintable(str(cell)) for cell in row] for row in rows]
    console = Console(stderr=True)
    drawn = _empty_table(header, cells, words=words, width=console.width)
    for row in cells:
        drawn.add_row(*map(Text, row))
    # Not the title of rich's table, which is cut to the width of the table.
    console.print(Text(escape_unprintable(title), style="italic"))
    console.print(drawn)


def _empty_table(
    header: Sequence[str], cells: Sequence[Sequence[str]], *, words: Sequence[str], width: int
) -> Any:
    """Return a table without rows; it has no lines between columns if they would force words to break."""
    from rich import box
    from rich.table import Table

    # Lines between columns take room: they are left out before a word is broken.
    columns = [[name, *(row[index] for row in cells)] for index, name in enumerate(header)]
    widths = _column_widths(columns, room=width - LINED * len(columns) - 1)
    if widths:
        drawn = Table(header_style="bold")
    else:
        plain = box.SIMPLE_HEAD
        drawn = Table(header_style="bold", box=plain, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        widths = _column_widths(columns, room=width - UNLINED * len(columns))
    for index, name in enumerate(header):
        side: Literal["left", "right"] = "left" if name in (header[0], *words) else "right"
        drawn.add_column(name, justify=side, overflow="fold", width=widths[index] if widths else None)
    return drawn


def _column_widths(columns: Sequence[Sequence[str]], *, room: int) -> list[int]:
    """Return a width for each column in which no word is broken, or [] if there is not enough room."""
    from rich.cells import cell_len

    wanted = [max(map(cell_len, texts)) for texts in columns]
    widths = [max(map(cell_len, " ".join(texts).split()), default=1) for texts in columns]
    if sum(widths) > room:
        return []
    # Every further character goes to the column that lacks the most in proportion.
    for _ in range(min(room, sum(wanted)) - sum(widths)):
        tightest = max(range(len(widths)), key=lambda index: wanted[index] / widths[index])
        widths[tightest] += 1
    return widths


def print_result(value: object, text: str, *, as_json: bool) -> None:
    """Print the result on stdout: JSON in ASCII, or text in UTF-8 with paths in their own bytes."""
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
    """Discard what could not be written: some Pythons retry at exit, and end with code 120 then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bar(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items, total=total, description=what)


def epoch_reporter(*, quiet: bool) -> Callable[[Any], None]:
    """Return a callback that prints a line on stderr for each epoch, updated live on a terminal."""
    from trainer.fitting.events import FitProgress, ignore_progress

    # A log file gets one line for each epoch; only a terminal can be updated in place.
    is_terminal, shown_at = sys.stderr.isatty(), 0.0

    def report(progress: FitProgress) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if progress.ended or (is_terminal and now - shown_at > REFRESH_S):
            shown_at = now
            start = CLEAR_LINE if is_terminal else ""
            click.echo(start + progress.line(), err=True, nl=bool(progress.ended))

    return ignore_progress if quiet else report


def training_reporter(*, quiet: bool) -> Callable[[Any], None]:
    """Return a callback that prints the events of a training in a child process on stderr."""
    from trainer.fitting.events import FitProgress
    from trainer.runs.run_folder import PartialRun
    from trainer.runs.subprocess_training import PreparingPictures, RecipeStarted

    report_epoch = epoch_reporter(quiet=quiet)

    def report(event: RecipeStarted | PreparingPictures | PartialRun | FitProgress) -> None:
        match event:
            case RecipeStarted():
                print_note(f"[{event.number}/{event.of}] {event.name}", quiet=quiet)
            case PreparingPictures():
                print_note(f"preparing {event.pictures:,} pictures", quiet=quiet)
            case PartialRun():
                print_note(
                    f"resuming after epoch {event.epochs} of {event.planned} ({event.phase})", quiet=quiet
                )
            case FitProgress():
                report_epoch(event)

    return report


NOTHING_WRITTEN = "interrupted; nothing was written"
RESUME_HINT = "rerun the same command to resume"
START_HINT = "nothing was written yet; the same command starts again"


class InterruptedWorkError(click.exceptions.Abort):
    """Ctrl-C during work that can be resumed; `line` is printed."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


@contextmanager
def resumable(where: Path, describe_kept: Callable[[], str], *, hint: str = RESUME_HINT) -> Iterator[None]:
    """Raise InterruptedWorkError if the block is interrupted.

    `describe_kept` is called then: "all up to epoch 3 is kept", or "" if nothing was written yet.
    """
    try:
        yield
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        if isinstance(error, KeyboardInterrupt):
            click.echo(err=True)  # below the terminal's own ^C, as click does it
        kept = describe_kept()
        line = f"interrupted: {where}: {f'{kept}; {hint}' if kept else START_HINT}"
        raise InterruptedWorkError(line) from error


def count_trained_runs(folder: Path, *, of: str) -> str:
    """Return how many of several resumable trainings are finished: "2 of 5 folds are trained"."""
    from trainer.recipe.options import RUN_FILE

    count = len([*folder.glob(f"*/{RUN_FILE}")])
    is_begun = any(path.is_dir() for path in folder.glob(".*.partial"))
    epochs = ", and the finished epochs of the next are kept" if is_begun else ""
    return f"{count} of {of} are trained{epochs}" if count or is_begun else ""


def interruption_line(error: BaseException) -> str:
    """Return the line to print; work that is not resumable is written atomically, so nothing is kept."""
    return error.line if isinstance(error, InterruptedWorkError) else NOTHING_WRITTEN
