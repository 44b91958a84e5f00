"""Reading what the emulator's plugin counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.targets.emulated.emulator import COUNTER_SOURCE, KINDS, InvalidCountsError, read_counts
from benchmarks.worker.worker import BEGIN, END

LONG = f"begin 1 2 3 {'9' * 5_000}\n"
LESS = "begin 5 5 5 5\nend 9 9 9 4\n"


def _counts(folder: Path, text: str) -> Path:
    (folder / "counts.txt").write_text(text)
    return folder / "counts.txt"


def test_an_inference_is_what_was_counted_between_two_marks(tmp_path: Path) -> None:
    text = "begin 1 10 100 1000\nend 4 12 101 1000\nbegin 4 12 110 1000\nend 4 12 110 1001\n"
    found = read_counts(_counts(tmp_path, text))
    assert found == [(3, 2, 1, 0), (0, 0, 0, 1)]


def test_an_inference_that_failed_is_not_counted(tmp_path: Path) -> None:
    found = read_counts(_counts(tmp_path, "begin 0 0 0 0\nbegin 0 0 0 5\nend 0 0 0 9\n"))
    assert [sum(kinds) for kinds in found] == [4]


@pytest.mark.parametrize(
    "text",
    [
        "begin 1 2 3\n",
        "end 1 2 3 4\n",
        "begin 1 2 3 four\n",
        "begin -1 2 3 4\n",
        "so what\n",
        "é",
        "\n",
        "begin 1 2 3 4\n\n",
        LONG,
        LESS,
    ],
)
def test_lines_that_are_not_the_plugins_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidCountsError):
        read_counts(_counts(tmp_path, text))


def test_counts_without_end_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidCountsError):
        read_counts(_counts(tmp_path, "begin 0 0 0 0\n" * 100_000))


def test_an_emulator_without_plugins_counts_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidCountsError):
        read_counts(tmp_path / "counts.txt")


def test_the_plugin_has_the_marks_and_the_kinds_of_the_worker() -> None:
    source = COUNTER_SOURCE.read_text()
    assert f"BEGIN = {BEGIN:#010X}".replace("0X", "0x") in source
    assert f"END = {END:#010X}".replace("0X", "0x") in source
    kinds = source.partition("enum kind {")[2].partition("KINDS")[0]
    assert kinds.count(",") == len(KINDS)
