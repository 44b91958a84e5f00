"""Write tables between marks: `<!-- figures: NAME -->`, the table, `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

TABLE = re.compile(r"<!-- figures: (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
Tables = Mapping[str, Callable[[], Iterable[str]]]  # name → the lines of its table


def with_tables(text: str, tables: Tables) -> str:
    """The same text, with each table between its marks as the reports have it."""
    return TABLE.sub(lambda found: _marked(found[1], tables), text)


def has_table(path: Path, name: str) -> bool:
    return any(found[1] == name for found in TABLE.finditer(path.read_text(encoding="utf-8")))


def rewrite(path: Path, tables: Tables) -> bool:
    """Whether the page changed."""
    text = path.read_text(encoding="utf-8")
    told = with_tables(text, tables)
    if told != text:
        path.write_text(told, encoding="utf-8")
    return told != text


def _marked(name: str, tables: Tables) -> str:
    return "\n".join([f"<!-- figures: {name} -->", *tables[name](), "<!-- end -->", ""])
