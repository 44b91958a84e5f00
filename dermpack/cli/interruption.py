"""Say after Ctrl-C where work stands, what of it is kept, and how to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

NOTHING = "interrupted; nothing was written"
AGAIN = "run the same command, and it goes on"
ANEW = "nothing was written yet; the same command begins anew"


class InterruptedWorkError(click.exceptions.Abort):
    """Ctrl-C in work that can be gone on with; `line` is what a person is told."""

    def __init__(self, line: str) -> None:
        super().__init__(line)
        self.line = line


@contextmanager
def going_on(where: Path, kept: Callable[[], str], *, hint: str = AGAIN) -> Iterator[None]:
    """Where the block is interrupted, `kept` looks what is there: "" is nothing yet."""
    try:
        yield
    except (KeyboardInterrupt, click.exceptions.Abort) as error:
        if isinstance(error, KeyboardInterrupt):
            click.echo(err=True)  # below the terminal's own ^C, as click does it
        left = kept()
        raise InterruptedWorkError(f"interrupted: {where}: {f'{left}; {hint}' if left else ANEW}") from error


def trained_runs(folder: Path, *, of: str) -> str:
    """What is kept of several trainings, each of which goes on by itself: "2 of 5 folds are trained"."""
    from trainer.recipe.recipe import RUN_FILE

    count = len([*folder.glob(f"*/{RUN_FILE}")])
    begun = any(of.is_dir() for of in folder.glob(".*.partial"))
    epochs = ", and the finished epochs of the next are kept" if begun else ""
    return f"{count} of {of} are trained{epochs}" if count or begun else ""


def line_of(error: BaseException) -> str:
    """What is said of an interruption: work that tells nothing of itself appears whole or not at all."""
    return error.line if isinstance(error, InterruptedWorkError) else NOTHING
