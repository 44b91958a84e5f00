"""dermpack data demo, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.support.errors import assert_stderr_code


def demo(folder: Path, *options: str) -> int:
    return main(["data", "demo", "-o", str(folder), "--pictures", "9", "--size", "32", *options])


def test_json_prints_the_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path / "demo", "--json") == 0
    counts = json.loads(capsys.readouterr().out)
    assert counts == {
        "pictures": 9,
        "lesions": 5,
        "per_class": {"eczema": 7, "not eczema": 2},
        "copies": 1,
        "near_duplicates": 2,
        "broken": 3,
    }


def test_stdout_is_the_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path / "demo", "--quiet") == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (f"{tmp_path / 'demo'}\n", "")


def test_seven_classes_can_be_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path / "demo", "--classes", "7", "--pictures", "18", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["per_class"]) == 7


def test_a_second_time_needs_overwrite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [demo(tmp_path / "demo"), demo(tmp_path / "demo")] == [0, 1]
    assert_stderr_code(capsys.readouterr().err, "output-exists", tmp_path / "demo", "--overwrite")
    assert demo(tmp_path / "demo", "--overwrite") == 0


def test_a_foreign_folder_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("precious", encoding="utf-8")
    assert demo(tmp_path, "--overwrite") == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert_stderr_code(err, "output-exists", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_help_states_that_the_pictures_are_generated(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "demo", "--help"]) == 0
    assert "have no medical meaning" in " ".join(capsys.readouterr().out.split())
