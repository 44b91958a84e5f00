"""Say on stderr what happens in a process that trains for us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dermpack.cli.console import note
from dermpack.cli.epoch_printer import epoch_lines


def teller(*, quiet: bool) -> Callable[[Any], None]:
    """A listener for what `trainer.runs.subprocess_training` tells."""
    from trainer.fitting.events import FitProgress
    from trainer.runs.partial_run import PartialRun
    from trainer.runs.subprocess_training import PreparingPictures, RecipeStarted

    watch = epoch_lines(quiet=quiet)

    def tell(event: RecipeStarted | PreparingPictures | PartialRun | FitProgress) -> None:
        match event:
            case RecipeStarted():
                note(f"[{event.number}/{event.of}] {event.name}", quiet=quiet)
            case PreparingPictures():
                note(f"preparing {event.pictures:,} pictures", quiet=quiet)
            case PartialRun():
                note(f"going on after epoch {event.epochs} of {event.planned} ({event.phase})", quiet=quiet)
            case FitProgress():
                watch(event)

    return tell
