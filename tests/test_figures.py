"""Every figure in the documentation has a source, and every source is used."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.paths import REPOSITORY
from tests.support.readme_commands import steps
from tests.tools.figures.claims import NO_MEASUREMENTS
from tests.tools.figures.marks import TABLE, with_tables
from tests.tools.figures.pages import (
    PAGES,
    WITH_TABLES,
    fill_in_claims,
    find_unsourced_figures,
    read_page,
)
from tests.tools.figures.sources import RESULTS, report
from tests.tools.figures.tables import TABLES

MOST_BYTES = 200_000


def prose() -> str:
    """Return the text of all pages on one line."""
    return " ".join(" ".join(read_page(name).split()) for name in PAGES)


@pytest.mark.parametrize("name", WITH_TABLES)
def test_the_tables_of_figures_are_up_to_date(name: str) -> None:
    assert read_page(name) == with_tables(read_page(name), TABLES), "run: make figures"


def test_each_table_of_figures_is_on_a_page() -> None:
    assert {found[1] for name in WITH_TABLES for found in TABLE.finditer(read_page(name))} == set(TABLES)


@pytest.mark.parametrize("name", PAGES)
def test_no_figure_is_without_a_source(name: str) -> None:
    assert find_unsourced_figures(read_page(name)) == [], (
        "add the sentence or a reason to tests/tools/figures/claims.py"
    )


@pytest.mark.parametrize(
    "text", ["It takes 3.1 ms.", "-0.5 points", "n = 12", "about 1,000 pictures", "97 %"]
)
def test_a_new_figure_is_found(text: str) -> None:
    assert len(find_unsourced_figures(f"{text}\n")) == 1


@pytest.mark.parametrize("claim", fill_in_claims())
def test_each_sentence_with_figures_is_on_a_page(claim: str) -> None:
    assert claim in prose()


@pytest.mark.parametrize("pattern", NO_MEASUREMENTS)
def test_each_number_that_is_no_measurement_is_on_a_page(pattern: str) -> None:
    assert re.search(pattern, prose())


def test_committed_reports_are_small_and_name_no_machine_and_no_picture() -> None:
    for path in RESULTS.glob("*.json"):
        text = path.read_text(encoding="utf-8")
        json.loads(text)
        assert len(text) < MOST_BYTES, path.name
        assert not re.search(r'"/|"[A-Z]:\\\\|/home/|/tmp/|ISIC_\d|hostname', text), path.name


def test_the_command_for_each_committed_report_is_documented() -> None:
    described = read_page("docs/results/README.md").replace("-N.json", "-0.json")
    other_seeds = re.compile(r"-[1-9](?=\.json)")
    names = {other_seeds.sub("-0", path.name) for path in RESULTS.glob("*.json")}
    assert {name for name in names if f"`{name}`" not in described} == set()


def test_pages_show_the_recorded_output() -> None:
    recorded = {entry["command"]: entry["printed"] for entry in report("walk")}
    for page_name in ("README.md", "docs/walkthrough.md"):
        for step in steps(REPOSITORY / page_name):
            if step.shown:
                missing = [line for line in step.shown if line not in recorded[step.command]]
                assert missing == [], step.command
