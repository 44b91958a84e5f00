"""dermpack study, from the command line; what it trains is tested with the trainer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.cli import main
from tests.support.errors import assert_stderr_code
from trainer.experiments.study_record import Study, StudyDataset, StudyRow
from trainer.experiments.study_report import SPLITS, study_markdown

ABSENT = '[recipes.a]\nweights = "gone.h5"\n'


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text(ABSENT, encoding="utf-8")
    return path


def run(*arguments: object) -> int:
    return main(["study", *(str(argument) for argument in arguments)])


def test_where_nothing_can_be_trained_the_table_has_the_reason_and_the_exit_code_is_1(
    demo_dataset: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(demo_dataset, study, "-o", tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'out'}\n"
    assert "a was not trained: " in captured.err and "gone.h5" in captured.err
    assert "[1/1] a" in captured.err


def test_json_is_the_record(
    demo_dataset: Path, study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(demo_dataset, study, "-o", tmp_path / "out", "--json", "-q")
    record = json.loads(capsys.readouterr().out)
    assert record == json.loads((tmp_path / "out" / "study.json").read_text("utf-8"))
    assert (record["schema"], record["best"], record["base"]) == (1, None, "a")


@pytest.mark.parametrize(
    ("text", "options", "code", "values"),
    [
        ("[recipes.a]\nepoch = 3", (), "invalid-option", ("study.toml", "'epoch'", "'epochs'")),
        ("[recipes.a]\nsize = 50", (), "invalid-option", ("[recipes.a]", "--size 50", "efficientnet_lite0")),
        (ABSENT, ("--base", "b"), "invalid-study", ("study.toml", "'b'")),
    ],
)
def test_a_mistake_in_a_study_is_one_line_and_leaves_nothing(
    demo_dataset: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: tuple[str, ...],
    code: str,
    values: tuple[str, ...],
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(text, encoding="utf-8")
    assert run(demo_dataset, path, "-o", tmp_path / "out", *options) == 1
    stderr = capsys.readouterr().err
    assert stderr.count("\n") == 1
    assert_stderr_code(stderr, code, *values)
    assert not (tmp_path / "out").exists()


def test_the_shell_is_offered_the_shipped_studies() -> None:
    from click.shell_completion import ShellComplete

    from dermpack.cli import program

    complete = ShellComplete(program, {}, "dermpack", "_DERMPACK_COMPLETE")
    words = [item.value for item in complete.get_completions(["study", "dataset"], "h")]
    assert "hmnist" in words


def test_no_name_starts_markup_in_the_tables_as_markdown() -> None:
    name = "![a](https://tracker.example/x.png)\n# b <img src=x>"
    pictures = StudyDataset(source=name, sha256="0" * 64, split="test", counts=dict.fromkeys(SPLITS, 1))
    row = StudyRow(name=name, recipe={}, trained=None, reason=name)
    text = study_markdown(
        Study(name=name, classes=("a", "b"), datasets=(pictures,), base=name, metric="auroc", rows=(row,))
    )
    assert text.count(r"!\[a\](https://tracker.example/x.png) # b &lt;img src=x>") == 5
    assert text.count("![") == text.count("<img") == text.count("\n# b") == 0
