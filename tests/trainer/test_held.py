"""One process at a time works in a folder that grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermpack.errors import OutputError
from trainer.held import held

MARKER = "state/ours.json"


def test_a_folder_is_held_by_one_and_free_after_whatever_ends_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(KeyboardInterrupt), held(folder, marker=MARKER):
        (folder / MARKER).touch()
        refused = pytest.raises(OutputError, match="is being worked in by another process; wait for it")
        with refused, held(folder, marker=MARKER):
            pytest.fail("two of us")
        raise KeyboardInterrupt
    with held(folder, marker=MARKER):
        pass


def test_a_folder_without_the_marker_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    refused = pytest.raises(OutputError, match=r"exists and holds no state/ours\.json")
    with refused, held(tmp_path, marker=MARKER):
        pytest.fail("it is not ours")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_cannot_be_written_in_it_is_one_line_and_other_files_are_none_of_its_business(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "folder"
    refused = pytest.raises(OutputError, match=r"cannot be written \(Is a directory\)")
    with refused, held(folder, marker=MARKER):
        folder.joinpath("state").write_text("a folder", encoding="utf-8")
    (folder / MARKER).touch()
    with pytest.raises(FileNotFoundError), held(folder, marker=MARKER):
        (tmp_path / "elsewhere").read_bytes()
