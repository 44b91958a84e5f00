"""docs/when-something-goes-wrong.md: what it lists is said somewhere, and what is said is listed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.raised import HOLE, Site, sites

PAGE = Path(__file__).resolve().parent.parent / "docs/when-something-goes-wrong.md"
CODE = re.compile(r"`([^`]+)`")
LEAST_COVERED = 0.98  # of the places that refuse something in words of their own
IN_A_FORM_OF_ITS_OWN = ("is not installed",)  # MissingExtraError


def rows() -> list[list[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]


def listed() -> Iterator[str]:
    """The messages of every row: its first cell, or its second one where the first is a word of ours."""
    for cells in rows():
        yield from CODE.findall(cells[0] if "`" in cells[0] else cells[1])


def forms(site: Site) -> set[str]:
    """As the page may write it: what is said, or behind the place it is said of."""
    named = {f"{where}: {what}" for where in site.where for what in site.what if where != HOLE}
    return {*site.what, *named}


@pytest.fixture(scope="module")
def known() -> tuple[Site, ...]:
    return tuple(site for site in sites() if not site.is_relayed)


def test_every_message_that_is_listed_stands_in_the_code(known: tuple[Site, ...]) -> None:
    said = {form for site in known for form in forms(site)}
    assert [words for words in listed() if words not in said and words not in IN_A_FORM_OF_ITS_OWN] == []


def test_nearly_every_message_of_the_code_is_listed(known: tuple[Site, ...]) -> None:
    page = set(listed())
    missing = [f"{site.file}:{site.line} {site.what[0]}" for site in known if not forms(site) & page]
    assert len(known) > 300
    assert len(missing) <= (1 - LEAST_COVERED) * len(known), "\n".join(missing)


def test_every_row_says_what_to_do() -> None:
    assert [cells for cells in rows() if len(cells[-1].strip()) < len("Choose one")] == []
