"""Lay out what a card tells as Markdown that no foreign text can break."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence


def cell(text: str) -> str:
    """One line that breaks no table and starts no markup: no heading, no link, no picture from elsewhere."""
    line = re.sub(r"([\\|\[\]])", r"\\\1", " ".join(text.split()))
    return re.sub(r"^(?=[#>=~+-])", r"\\", line.replace("<", "&lt;").replace("`", "'"))


def lines(of: Iterable[str]) -> str:
    return "\n".join(of).rstrip()


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> Iterator[str]:
    """The lines of a table; all columns but the first `words` hold figures. Cells are quoted already."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * words}{'---:|' * (len(header) - words)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
