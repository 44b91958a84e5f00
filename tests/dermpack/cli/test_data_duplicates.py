"""--duplicates selects the search of data import and of data check --again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.support.colour_patches import class_folders, detailed_patch, png, write
from trainer.datasets.duplicates import search


def import_with(source: Path, *options: str) -> Path:
    dataset = source.parent / "dataset"
    assert main(["data", "import", str(source), "-o", str(dataset), "--jobs", "1", *options]) == 0
    return dataset


def source_with_a_crop(root: Path) -> Path:
    source = class_folders(root / "source", each=2)
    pixels = detailed_patch(1, size=160)
    write(source / "class0" / "whole.png", png(pixels))
    write(source / "class0" / "crop.png", png(pixels[20:140, 10:130]))
    return source


def test_the_default_search_finds_a_crop_and_reports_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = import_with(source_with_a_crop(tmp_path))
    assert "0 identical and 1 near duplicates in 1 clusters" in capsys.readouterr().err
    assert main(["data", "check", str(dataset)]) == 0
    assert "less thoroughly" not in capsys.readouterr().err


def test_a_check_reports_that_the_search_was_less_thorough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = import_with(source_with_a_crop(tmp_path), "--duplicates", "fast")
    capsys.readouterr()
    assert main(["data", "check", str(dataset)]) == 0
    assert "less thoroughly (fast): add --again" in capsys.readouterr().err
    assert main(["data", "check", str(dataset), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["search"] == "fast"


def test_very_many_pictures_are_searched_fast_and_a_note_names_the_thorough_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_THOROUGH_BY_DEFAULT", 3)
    import_with(source_with_a_crop(tmp_path))
    assert "add --duplicates thorough" in capsys.readouterr().err


def test_the_search_of_a_quick_check_cannot_be_chosen(tmp_path: Path) -> None:
    assert main(["data", "check", str(tmp_path), "--duplicates", "fast"]) == 2
