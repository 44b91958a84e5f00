"""Find the figures on a page that no committed report contains, and write the tables of all pages."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.paths import REPOSITORY
from tests.tools.figures.claims import CLAIMS, NO_MEASUREMENTS
from tests.tools.figures.marks import TABLE, rewrite
from tests.tools.figures.sources import fill_in
from tests.tools.figures.tables import TABLES

PAGES = ("README.md", "docs/results/README.md", "docs/training.md")  # each figure on these has a source
WITH_TABLES = (*PAGES, "models/README.md", "docs/metadata.md", "docs/eczema.md")

NOT_PROSE = (
    # The console blocks are compared with docs/results/walk.json.
    re.compile(r"^```console\n.*?^```$", re.MULTILINE | re.DOTALL),
    re.compile(r"(?<=\])\([^)\s]*\)"),  # the target of a link
    re.compile(r"<img [^<>]*>"),
    re.compile(r"`[^`\n]+`"),  # commands, options and file names
    re.compile(r"^ *\d+\. ", re.MULTILINE),  # the number of a list item
)
FIGURE = re.compile(r"(?<![\w.-])-?\d[\d.,]*")


def read_page(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def fill_in_claims() -> list[str]:
    """Return each sentence that contains figures, with the figures of the reports."""
    return [fill_in(sentence) for sentence in CLAIMS]


def find_unsourced_figures(text: str) -> list[str]:
    """Return the figures in the text that have no source, each with the words around it."""
    for pattern in (TABLE, *NOT_PROSE):
        text = pattern.sub("", text)
    text = re.sub(r"\s+", " ", text)
    for claim in fill_in_claims():
        text = text.replace(claim, "")
    for expression in NO_MEASUREMENTS:
        text = re.sub(expression, "", text)
    return [text[max(0, found.start() - 30) : found.end() + 30] for found in FIGURE.finditer(text)]


def write_tables() -> list[Path]:
    """Rewrite the tables of all pages; return the pages that changed."""
    return [path for name in WITH_TABLES if rewrite(path := REPOSITORY / name, TABLES)]
