"""dermpack data: pictures in, with honest splits."""

from __future__ import annotations

import click


@click.group()
def data() -> None:
    """Bring pictures in, split them honestly, check and look at them."""
