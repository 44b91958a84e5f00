"""Say on stderr what happens in a process that trains for us."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dermpack.cli.console import note
from dermpack.cli.epoch_printer import epoch_lines


def teller(*, quiet: bool) -> Callable[[Any], None]:
    """A listener for what `trainer.runs.subprocess_training` tells."""
    from trainer.fitting.events import Moment
    from trainer.runs.partial_run import Left
    from trainer.runs.subprocess_training import Begun, Preparing

    watch = epoch_lines(quiet=quiet)

    def tell(event: Begun | Preparing | Left | Moment) -> None:
        match event:
            case Begun():
                note(f"[{event.number}/{event.of}] {event.name}", quiet=quiet)
            case Preparing():
                note(f"preparing {event.pictures:,} pictures", quiet=quiet)
            case Left():
                note(f"going on after epoch {event.epochs} of {event.planned} ({event.phase})", quiet=quiet)
            case Moment():
                watch(event)

    return tell
