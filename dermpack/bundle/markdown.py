"""Lay out what a card tells as Markdown that no foreign text can break."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def cell(text: str) -> str:
    """One line that breaks no table and starts no markup."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").replace("`", "'").split())


def lines(of: Iterable[str]) -> str:
    return "\n".join(of).rstrip()


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> Iterator[str]:
    """The lines of a table; all columns but the first `words` hold figures. Cells are quoted already."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * words}{'---:|' * (len(header) - words)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
