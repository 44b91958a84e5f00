"""Markdown that foreign text cannot break: escaped cells, tables and templates."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dermpack.errors import escape_unprintable
from dermpack.reporting.page import render_template

# Characters with a meaning in Markdown, in the HTML inside it, or on GitHub.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@!&$])")


def render_markdown_template(template: Path, values: Mapping[str, object]) -> str:
    """Return the rendered Markdown; every text among the values is escaped."""
    return render_template(template, values, escape=escape_markdown)


def escape_markdown(text: str) -> str:
    """Escape every character that could start markup: "a_b" → "a\\_b"."""
    return SPECIAL.sub(r"\\\1", escape_unprintable(text))


def markdown_cell(text: str) -> str:
    """Return one line that breaks no table and starts no heading, link or image."""
    line = re.sub(r"([\\|\[\]])", r"\\\1", to_one_line(text))
    return re.sub(r"^(?=[#>=~+*-])", r"\\", line.replace("<", "&lt;").replace("`", "'"))


def to_one_line(text: str) -> str:
    """Return the text without line breaks and control characters: "a\\n b" → "a b"."""
    return escape_unprintable(" ".join(text.split()))


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> Iterator[str]:
    """Yield the lines of a table of escaped cells; the columns after the first `words` are figures."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * words}{'---:|' * (len(header) - words)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)
