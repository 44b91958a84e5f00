"""Output of the commands: progress, notes and tables on stderr, results on stdout, and what Ctrl-C leaves."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TextIO, cast

import click

from dermpack.cli import InterruptedWorkError, drop_stdout
from dermpack.errors import OutputError, escape_unprintable, show_foreign
from dermpack.progress import Item, Track, silent

# Printed wherever a command prints figures that a reader could take for a diagnosis.
RESEARCH_ONLY = "research software, not a medical device: no figure is a diagnosis"
# Columns of the terminal that a table column takes besides its text: padding, and a line in the first.
LINED, UNLINED = 3, 2
REFRESH_S = 0.2
CLEAR_LINE = "\r\x1b[2K"
UNDECODABLE = "".join(map(chr, range(0xDC80, 0xDD00)))  # how Python represents bytes that are not UTF-8
RESUME_HINT = "rerun the same command to resume"
START_HINT = "nothing was written yet; the same command starts again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Printer:
    """Prints for a command as its options --json and --quiet ask: every command gets one as `printer`."""

    as_json: bool = False
    quiet: bool = False

    @property
    def unless_json(self) -> Printer:
        """The printer for notes and tables that only repeat what the JSON contains."""
        return replace(self, quiet=self.quiet or self.as_json)

    @property
    def track(self) -> Track:
        """A callback that draws a progress bar on stderr, or one that prints nothing."""
        return silent if self.quiet else _bar

    def note(self, *lines: str) -> None:
        """Print lines on stderr."""
        for line in () if self.quiet else lines:
            click.echo(show_foreign(line), err=True)

    def styled(self, line: str, style: str) -> None:
        """Print a line on stderr that only the terminal wraps, so that a command in it can be copied."""
        if self.quiet:
            return
        from rich.console import Console
        from rich.text import Text

        Console(stderr=True).print(Text(show_foreign(line), style=style), soft_wrap=True)

    def training_reporter(self) -> Callable[[Any], None]:
        """Return a callback that prints the events of a training on stderr, the epochs live on a terminal."""
        from trainer.fitting.events import FitProgress
        from trainer.runs.run_folder import PartialRun
        from trainer.runs.subprocess_training import PreparingPictures, RecipeStarted

        # A log file gets one line for each epoch; only a terminal can be updated in place.
        is_terminal, shown_at = sys.stderr.isatty(), 0.0

        def report(event: RecipeStarted | PreparingPictures | PartialRun | FitProgress) -> None:
            nonlocal shown_at
            match event:
                case RecipeStarted():
                    self.note(f"[{event.number}/{event.of}] {event.name}")
                case PreparingPictures():
                    self.note(f"preparing {event.pictures:,} pictures")
                case PartialRun():
                    self.note(f"resuming after epoch {event.epochs} of {event.planned} ({event.phase})")
                case FitProgress() if not self.quiet:
                    now = time.monotonic()
                    if event.ended or (is_terminal and now - shown_at > REFRESH_S):
                        shown_at = now
                        start = CLEAR_LINE if is_terminal else ""
                        click.echo(start + show_foreign(event.line()), err=True, nl=bool(event.ended))

        return report

    def table(
        self,
        title: str,
        header: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        words: Sequence[str] = (),
    ) -> None:
        """Print a table on stderr; the first column and those in `words` are text, the others numbers."""
        if self.quiet:
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        header = [show_foreign(name) for name in header]
        cells = [[show_foreign(str(cell)) for cell in row] for row in rows]
        console, drawn = Console(stderr=True), Table(header_style="bold")
        # Lines between columns take room: they are left out before a word is broken.
        columns = [[name, *(row[index] for row in cells)] for index, name in enumerate(header)]
        widths = _column_widths(columns, room=console.width - LINED * len(columns) - 1)
        if not widths:
            drawn = Table(header_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
            drawn.padding = (0, 1, 0, 0)
            widths = _column_widths(columns, room=console.width - UNLINED * len(columns))
        for index, name in enumerate(header):
            side: Literal["left", "right"] = "left" if name in (header[0], *words) else "right"
            width = widths[index] if widths else None
            drawn.add_column(Text(name), justify=side, overflow="fold", width=width)
        for row in cells:
            drawn.add_row(*map(Text, row))
        # Not the title of rich's table, which is cut to the width of the table.
        console.print(Text(show_foreign(title), style="italic"))
        console.print(drawn)

    def result(self, value: object, *lines: str) -> None:
        """Print the result on stdout: JSON in ASCII, or lines of text.

        A line is escaped but never shortened. A path that is not valid UTF-8 keeps its bytes for the program
        that reads them from a pipe; a terminal gets it escaped.
        """
        if self.as_json:
            shown = json.dumps(value, sort_keys=True, indent=2)
        else:
            is_terminal = sys.stdout is not None and sys.stdout.isatty()
            keep = "" if is_terminal else UNDECODABLE
            shown = "\n".join(escape_unprintable(line, keep=keep) for line in lines)
        try:
            click.echo(shown.encode("utf-8", "surrogateescape"))
        except BrokenPipeError:
            raise
        except OSError as error:
            drop_stdout()
            what, hint = f"cannot be written ({error.strerror})", "Check where stdout is redirected to."
            raise OutputError("stdout", what, hint, code="cannot-write") from error


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


def _bar(items: Iterable[Item], *, total: int | None, what: str) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    named = TextColumn("{task.description}", markup=False)  # brackets in a file name are not markup
    columns = (named, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield from progress.track(items, total=total, description=show_foreign(what))


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
    from trainer.runs import RUN_FILE

    count = len([*folder.glob(f"*/{RUN_FILE}")])
    is_begun = any(path.is_dir() for path in folder.glob(".*.partial"))
    epochs = ", and the finished epochs of the next are kept" if is_begun else ""
    return f"{count} of {of} are trained{epochs}" if count or is_begun else ""


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Discard what is written to stderr within the block, also by C++; exceptions pass.

    TensorFlow's start-up messages come before any log level can be set, so the file descriptor is replaced.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@contextmanager
def python_stderr_only() -> Iterator[None]:
    """Discard what C++ writes to stderr within the block; what Python writes is shown."""
    try:
        is_shared = sys.stderr.fileno() == 2
    except (OSError, ValueError, AttributeError):
        is_shared = False
    if not is_shared:  # in a test, Python and C++ may write to different files
        with silenced_stderr():
            yield
        return
    sys.stderr.flush()
    with (
        os.fdopen(os.dup(2), "w", buffering=1) as own,
        silenced_stderr(),
        redirect_stderr(cast("TextIO", _TemporaryStderr(own))),
    ):
        yield


class _TemporaryStderr:
    """A stream that writes to the file while it is open, and to sys.stderr afterwards.

    A logging handler that a library creates within the block keeps this object as its stream.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr if self._file.closed else self._file, name)
