"""One live line an epoch on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

REFRESH_S = 0.2
CLEAR_LINE = "\r\x1b[2K"


def epoch_lines(*, quiet: bool) -> Callable[[Any], None]:
    """A watch that shows a fit on stderr."""
    from trainer.fitting.events import FitProgress, unwatched

    def plain(moment: FitProgress) -> None:
        if moment.ended:
            click.echo(moment.line(), err=True)

    shown_at = 0.0

    def live(moment: FitProgress) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if moment.ended or now - shown_at > REFRESH_S:
            shown_at = now
            click.echo(CLEAR_LINE + moment.line(), err=True, nl=bool(moment.ended))

    if quiet:
        return unwatched
    return live if sys.stderr.isatty() else plain
