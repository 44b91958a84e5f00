"""One process at a time works in a folder that grows."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from dermpack.errors import OutputError
from dermpack.storage.shared_folders import cache_folder, lock_folder
from tests.support.errors import raises_code

MARKER = "state/ours.json"


def test_a_folder_is_held_by_one_and_free_after_whatever_ends_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(KeyboardInterrupt), lock_folder(folder, marker=MARKER):
        (folder / MARKER).touch()
        refused = raises_code("in-use", folder)
        with refused as raised, lock_folder(folder, marker=MARKER):
            pytest.fail("two of us")
        assert isinstance(raised.value, OutputError)
        raise KeyboardInterrupt
    with lock_folder(folder, marker=MARKER):
        pass


def test_a_folder_without_the_marker_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    refused = raises_code("output-exists", tmp_path, MARKER)
    with refused as raised, lock_folder(tmp_path, marker=MARKER):
        pytest.fail("it is not ours")
    assert isinstance(raised.value, OutputError)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("also", ["", ".ours.json.0.17.partial", "mine.txt"])
def test_a_call_that_ended_before_its_marker_leaves_a_folder_to_begin_again(
    tmp_path: Path, also: str
) -> None:
    with pytest.raises(KeyboardInterrupt), lock_folder(tmp_path, marker=MARKER):
        (tmp_path / "runs").mkdir()  # as the first write after the lock
        raise KeyboardInterrupt
    if also:
        (tmp_path / "state" / also).touch()
    is_foreign = also == "mine.txt"
    with (
        raises_code("output-exists") if is_foreign else nullcontext(),
        lock_folder(tmp_path, marker=MARKER),
    ):
        assert not is_foreign


def test_what_cannot_be_written_in_it_is_one_line_and_other_files_are_none_of_its_business(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "folder"
    refused = raises_code("cannot-write", folder, "Is a directory")
    with refused as raised, lock_folder(folder, marker=MARKER):
        folder.joinpath("state").write_text("a folder", encoding="utf-8")
    assert isinstance(raised.value, OutputError)
    (folder / MARKER).touch()
    with pytest.raises(FileNotFoundError), lock_folder(folder, marker=MARKER):
        (tmp_path / "elsewhere").read_bytes()


def test_a_user_without_a_home_folder_has_a_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("DERMPACK_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert cache_folder() == Path("/.cache/dermpack")
