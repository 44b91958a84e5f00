"""Tables in the terminal: whole words where there is room for them, text to the left."""

from __future__ import annotations

import pytest

from dermpack.cli.console import Printer
from dermpack.cli.convert import HEADER, WORDS

ROWS = [
    ("float32", "0.512", "0.0", "0.8123", "100.0%", "2.31", "3.2", "kept"),
    (
        "int8 selective-5",
        "0.412",
        "-1.2 (-2.3 to 13.4)",
        "0.8023",
        "96.3%",
        "0.72",
        "23.2",
        "rejected: points",
    ),
]


def print_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *, width: int
) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    Printer().table("What was tried", HEADER, ROWS, words=WORDS)
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("width", [70, 80, 110])
def test_no_word_is_broken_where_there_is_room(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = print_table(capsys, monkeypatch, width=width)
    words = {word for line in lines for word in line.replace("│", " ").replace("┃", " ").split()}
    assert {"selective-5", "(95%)", "rejected:", "13.4)", "balanced"} <= words
    assert max(map(len, lines)) <= width


def test_a_terminal_too_narrow_for_words_is_filled(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(map(len, print_table(capsys, monkeypatch, width=40))) <= 40


def test_text_begins_at_the_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    rows = [("size", "a"), ("hash", "a long detail")]
    Printer().table("Proofs", ("proof", "detail"), rows, words=("detail",))
    assert any(line.startswith("│ size  │ a  ") for line in capsys.readouterr().err.splitlines())
