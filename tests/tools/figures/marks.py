"""Write tables between two comments of a page: `<!-- figures: NAME -->` and `<!-- end -->`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

TABLE = re.compile(r"<!-- figures: (\w+) -->\n(.*?)<!-- end -->\n", re.DOTALL)
Tables = Mapping[str, Callable[[], Iterable[str]]]  # name → the lines of its table


def with_tables(text: str, tables: Tables) -> str:
    """Return the text with the current lines of each table."""
    return TABLE.sub(lambda found: _marked(found[1], tables), text)


def has_table(path: Path, name: str) -> bool:
    return any(found[1] == name for found in TABLE.finditer(path.read_text(encoding="utf-8")))


def rewrite(path: Path, tables: Tables) -> bool:
    """Write the current tables into a page; return whether it changed."""
    old = path.read_text(encoding="utf-8")
    new = with_tables(old, tables)
    if new != old:
        path.write_text(new, encoding="utf-8")
    return new != old


def _marked(name: str, tables: Tables) -> str:
    return "\n".join([f"<!-- figures: {name} -->", *tables[name](), "<!-- end -->", ""])
