"""Lay text out as Markdown, or as one plain line, that no foreign text can break."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from dermpack.errors import printable


def cell(text: str) -> str:
    """One line that breaks no table and starts no markup: no heading, no link, no picture from elsewhere."""
    line = re.sub(r"([\\|\[\]])", r"\\\1", one_line(text))
    return re.sub(r"^(?=[#>=~+*-])", r"\\", line.replace("<", "&lt;").replace("`", "'"))


def one_line(text: str) -> str:
    """Text that forges no line of a page, and turns no direction of writing: "a\\n b" → "a b"."""
    return printable(" ".join(text.split()))


def lines(of: Iterable[str]) -> str:
    return "\n".join(of).rstrip()


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> Iterator[str]:
    """The lines of a table; all columns but the first `words` hold figures. Cells are quoted already."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * words}{'---:|' * (len(header) - words)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
