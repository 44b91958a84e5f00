"""Figures without a source fail, and so do sources without a figure."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.readme_commands import steps
from tests.tools.figures.claims import NO_MEASUREMENTS
from tests.tools.figures.marks import TABLE, with_tables
from tests.tools.figures.pages import PAGES, WITH_TABLES, claims, page, unfounded
from tests.tools.figures.sources import HOUSE, RESULTS, report
from tests.tools.figures.tables import TABLES

MOST_BYTES = 200_000


def prose() -> str:
    """All pages, with their lines joined."""
    return " ".join(" ".join(page(name).split()) for name in PAGES)


@pytest.mark.parametrize("name", WITH_TABLES)
def test_the_tables_of_figures_are_as_the_reports_have_them(name: str) -> None:
    assert page(name) == with_tables(page(name), TABLES), "run: make figures"


def test_each_table_of_figures_stands_on_a_page() -> None:
    assert {found[1] for name in WITH_TABLES for found in TABLE.finditer(page(name))} == set(TABLES)


@pytest.mark.parametrize("name", PAGES)
def test_no_figure_is_without_a_source(name: str) -> None:
    assert unfounded(page(name)) == [], "give it a sentence or a reason in tests/tools/figures/claims.py"


@pytest.mark.parametrize(
    "text", ["It takes 3.1 ms.", "-0.5 points", "n = 12", "about 1,000 pictures", "97 %"]
)
def test_a_new_figure_is_found(text: str) -> None:
    assert len(unfounded(f"{text}\n")) == 1


@pytest.mark.parametrize("claim", claims())
def test_each_sentence_with_figures_stands_on_a_page(claim: str) -> None:
    assert claim in prose()


@pytest.mark.parametrize("pattern", NO_MEASUREMENTS)
def test_each_number_that_is_no_measurement_stands_on_a_page(pattern: str) -> None:
    assert re.search(pattern, prose())


def test_committed_reports_are_small_and_tell_of_no_machine_and_no_picture() -> None:
    for path in RESULTS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        json.loads(text)
        assert len(text) < MOST_BYTES, path.name
        assert not re.search(r'"/|"[A-Z]:\\\\|/home/|/tmp/|ISIC_\d|hostname', text), path.name


def test_each_committed_report_says_how_it_was_made() -> None:
    told = page("docs/results/README.md").replace("-N.json", "-0.json")
    other_seeds = re.compile(r"-[1-9](?=\.json)")
    names = {other_seeds.sub("-0", path.name) for path in RESULTS.glob("*.json")}
    assert {name for name in names if f"`{name}`" not in told} == set()


def test_pages_show_what_was_printed_when_it_was_recorded() -> None:
    recorded = {entry["command"]: entry["printed"] for entry in report("walk")}
    for page_name in ("README.md", "docs/walkthrough.md"):
        for step in steps(HOUSE / page_name):
            if step.shown:
                missing = [line for line in step.shown if line not in recorded[step.command]]
                assert missing == [], step.command
