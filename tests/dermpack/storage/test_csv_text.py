"""No cell that dermpack writes is a formula in a spreadsheet, and every cell is read back as it was."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dermpack.dataset.manifest import Manifest, manifest_text, parse_manifest
from dermpack.evaluation.evaluate import predictions_table
from dermpack.metrics.predictions import Predictions
from dermpack.storage.files import FORMULA, escape_cell, format_csv, unescape_cell
from tests.support.evaluation_dataset import make_dataset

FORMULAS = (
    "=1+1",
    "+a",
    "-a",
    "@SUM(A1)",
    "\ta",
    "\ra",
    "\na",
    "＝1",
    "＋1",
    "－1",
    "＠a",
    "-1+cmd|' /C calc'!A0",
)
NUMBERS = ("-0.5", "+3", "1e-05", "-1.5e+20", "0")
QUOTED = ("'", "''", "'=1+1", "''=1+1", "'-5", "'quoted'", "it's")


@pytest.mark.parametrize("content", FORMULAS)
def test_a_formula_is_written_as_text(content: str) -> None:
    assert escape_cell(content) == f"'{content}"
    assert escape_cell(f"a{content}") == f"a{content}"


@pytest.mark.parametrize("content", NUMBERS)
def test_a_number_stays_a_number(content: str) -> None:
    assert escape_cell(content) == content


@pytest.mark.parametrize("content", [*FORMULAS, *NUMBERS, *QUOTED, "", "nevus", "皮膚"])
def test_every_cell_is_read_back_as_it_was(content: str) -> None:
    text = format_csv([(content, "x"), (1, content)])
    rows = [[unescape_cell(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]
    assert rows == [[content, "x"], ["1", content]]


@pytest.mark.parametrize("content", [*FORMULAS, *QUOTED])
def test_no_written_cell_begins_like_a_formula(content: str) -> None:
    ((cell,),) = csv.reader(io.StringIO(format_csv([(content,)]), newline=""))
    assert not cell.startswith(FORMULA)


def test_a_manifest_with_formulas_is_read_back_as_it_was(tmp_path: Path) -> None:
    made = make_dataset(tmp_path / "dataset", n=4)
    cells = ("=1+1", "\t+x", "'=quoted")
    rows = tuple(
        replace(row, label="=mel", group="@g", path=f"=sub/-{row.path}", metadata=cells)
        for row in made.pictures
    )
    manifest = Manifest(pictures=rows, columns=("=age", "sex", "name"))
    text = manifest_text(manifest)
    assert parse_manifest(text, where=tmp_path) == manifest
    cells_on_disk = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert [cell for cell in cells_on_disk if cell.startswith(FORMULA)] == []


def test_predictions_with_formulas_are_text() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    predictions = Predictions(
        classes=("+b", "=a"),
        pictures=("=1.jpg", "-2.jpg"),
        groups=("@g", "\tg"),
        truth=np.array([0, 1]),
        probabilities=probabilities,
    )
    cells = [
        cell for row in csv.reader(io.StringIO(predictions_table(predictions), newline="")) for cell in row
    ]
    assert [cell for cell in cells if cell.startswith(FORMULA)] == []
    assert {unescape_cell(cell) for cell in cells} >= {"+b", "=a", "=1.jpg", "-2.jpg", "@g", "\tg"}
