"""Find the figures of a page, and those that no committed report holds."""

from __future__ import annotations

import re
from pathlib import Path

from tests.tools.figures.claims import CLAIMS, NO_MEASUREMENTS
from tests.tools.figures.marks import TABLE, rewrite
from tests.tools.figures.sources import HOUSE, spelled
from tests.tools.figures.tables import TABLES

PAGES = ("README.md", "docs/results/README.md", "docs/training.md")  # each figure of these has a source
WITH_TABLES = (*PAGES, "models/README.md", "docs/metadata.md", "docs/eczema.md")

UNSEEN = (  # what holds no prose
    re.compile(
        r"^```console\n.*?^```$", re.MULTILINE | re.DOTALL
    ),  # of the README: held against docs/results/walk.json
    re.compile(r"(?<=\])\([^)\s]*\)"),  # where a link leads
    re.compile(r"<img [^<>]*>"),
    re.compile(r"`[^`\n]+`"),  # commands, options and file names
    re.compile(r"^ *\d+\. ", re.MULTILINE),  # the number of a list's item
)
FIGURE = re.compile(r"(?<![\w.-])-?\d[\d.,]*")


def page(name: str) -> str:
    """Its text as it stands."""
    return (HOUSE / name).read_text(encoding="utf-8")


def claims() -> list[str]:
    """Each sentence that tells figures, as the reports have it."""
    return [spelled(sentence) for sentence in CLAIMS]


def unfounded(text: str) -> list[str]:
    """Figures in the text with no source, each with the words around it."""
    for unseen in (TABLE, *UNSEEN):
        text = unseen.sub("", text)
    text = re.sub(r"\s+", " ", text)
    for claim in claims():
        text = text.replace(claim, "")
    for pattern in NO_MEASUREMENTS:
        text = re.sub(pattern, "", text)
    return [text[max(0, at.start() - 30) : at.end() + 30] for at in FIGURE.finditer(text)]


def write_tables() -> list[Path]:
    """Rewrite the tables of all pages; the pages that changed."""
    return [path for name in WITH_TABLES if rewrite(path := HOUSE / name, TABLES)]
