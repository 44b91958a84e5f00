"""Data is on the disk before a rename, and the name after it."""

from __future__ import annotations

import ctypes
import errno
import os
import types
from pathlib import Path
from typing import Any

import pytest

from dermpack.storage.disk_sync import sync_folder
from dermpack.storage.files import new_folder, remove_abandoned, write_bytes, write_files
from tests.support.errors import raises_code
from tests.support.interrupted_writes import fail_at_each_step, kill_at_each_step

Calls = list[tuple[str, str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Return the list of fsync, syncfs and rename calls of the test, with names of files and folders."""
    made: Calls = []

    def record(name: str, original: Any, path_of: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            made.append((name, Path(path_of(*arguments)).name.lstrip(".").partition(".")[0]))
            return original(*arguments, **options)

        return call

    def path_of_descriptor(descriptor: int) -> str:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", record("fsync", os.fsync, path_of_descriptor))
    for name in ("replace", "rename"):
        monkeypatch.setattr(Path, name, record("rename", getattr(Path, name), lambda _, new: new))
    library = ctypes.CDLL(None, use_errno=True)
    recording = types.SimpleNamespace(
        syncfs=record("syncfs", library.syncfs, path_of_descriptor), renameat2=library.renameat2
    )
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: recording)
    return made


def test_a_file_is_synced_then_renamed_and_then_its_folder_is_synced(tmp_path: Path, calls: Calls) -> None:
    write_bytes(tmp_path / "record", b"data")
    assert calls == [("fsync", "record"), ("rename", "record"), ("fsync", tmp_path.name)]


def test_several_files_are_all_synced_before_the_first_rename(tmp_path: Path, calls: Calls) -> None:
    write_files((tmp_path / "a", b"1"), (tmp_path / "b", b"2"), (tmp_path / "a", b"3"))
    folder = ("fsync", tmp_path.name)
    renames = [("rename", "a"), folder, ("rename", "b"), folder, ("rename", "a"), folder]
    assert calls == [("fsync", "a"), ("fsync", "b"), ("fsync", "a"), *renames]
    assert (tmp_path / "a").read_bytes() == b"3"


def test_a_folder_is_synced_then_renamed_and_then_its_parent_is_synced(tmp_path: Path, calls: Calls) -> None:
    with new_folder(tmp_path / "run", marker="mark") as folder:
        (folder / "mark").write_text("new")
    assert calls == [("syncfs", "run"), ("rename", "run"), ("fsync", tmp_path.name)]


def test_without_syncfs_every_file_and_folder_is_synced(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: types.SimpleNamespace())
    with new_folder(tmp_path / "run", marker="mark") as folder:
        (folder / "inside").mkdir()
        (folder / "mark").write_text("new")
        (folder / "inside" / "table").write_text("new")
    before, after = calls[: calls.index(("rename", "run"))], calls[calls.index(("rename", "run")) + 1 :]
    assert before == [("fsync", "table"), ("fsync", "inside"), ("fsync", "mark"), ("fsync", "run")]
    assert after == [("fsync", tmp_path.name)]


def test_a_folder_that_replaces_another_is_synced_first(tmp_path: Path, calls: Calls) -> None:
    for text in ("old", "new"):
        with new_folder(tmp_path / "run", marker="mark", overwrite=True) as folder:
            (folder / "mark").write_text(text)
    # The two folders are swapped by one call, which is no rename of a single name.
    assert [name for name, _ in calls] == ["syncfs", "rename", "fsync", "syncfs", "fsync"]
    assert (tmp_path / "run" / "mark").read_text() == "new"


def test_a_disk_error_of_a_folder_is_not_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([errno.EINVAL, errno.EIO])

    def fail(_: int) -> None:
        raise OSError(next(numbers), "of the disk")

    monkeypatch.setattr(os, "fsync", fail)
    sync_folder(tmp_path)
    with pytest.raises(OSError, match="of the disk"):
        sync_folder(tmp_path)


def test_a_folder_that_cannot_be_listed_can_be_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.open

    def refuse(path: Any, flags: int, *more: Any, **options: Any) -> int:
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, "not allowed", str(path))
        return original(path, flags, *more, **options)

    monkeypatch.setattr(os, "open", refuse)
    write_bytes(tmp_path / "record", b"data")
    assert (tmp_path / "record").read_bytes() == b"data"


def test_no_step_leaves_a_part_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "record"

    def prepare() -> None:
        path.write_bytes(b"old")

    def work() -> None:
        write_bytes(path, b"new")

    for interrupted in (
        kill_at_each_step(work, prepare=prepare),
        fail_at_each_step(work, prepare=prepare, monkeypatch=monkeypatch),
    ):
        assert {path.read_bytes() for _ in interrupted} == {b"old", b"new"}


def test_a_full_disk_is_one_line_for_folders_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: types.SimpleNamespace(syncfs=fail))
    with raises_code("cannot-write", tmp_path / "run"), new_folder(tmp_path / "run", marker="m") as folder:
        (folder / "m").write_text("new")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["skin.zip", "a[1].zip", "*"])
def test_files_and_folders_of_killed_processes_are_removed(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    dead, other = tmp_path / f".{name}.0.{child}.partial", tmp_path / f".other.{child}.partial"
    mine = tmp_path / f".{name}.{os.getpid()}.partial"
    for file in (dead, other, mine):
        file.write_bytes(b"")
    (tmp_path / f".{name}.{child}.partial").mkdir()
    remove_abandoned(path)
    assert {*tmp_path.iterdir()} == {other, mine}


@pytest.mark.parametrize("failing", [1, 2])
def test_new_files_are_removed_if_their_names_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    fail_folder_sync(monkeypatch, failing)
    with raises_code("cannot-write"):
        write_files((tmp_path / "a", b"a"), (tmp_path / "b", b"b"))
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_is_removed_if_its_name_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    with raises_code("cannot-write"), new_folder(path, marker="mark") as folder:
        (folder / "mark").touch()
        fail_folder_sync(monkeypatch, 1, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def fail_folder_sync(monkeypatch: pytest.MonkeyPatch, failing: int, *, folder: Path | None = None) -> None:
    """Let the disk be full from the given sync of a folder on."""
    calls, sync = list[Path](), os.fsync

    def fail(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        calls.extend([path] if path.is_dir() and folder in (None, path) else [])
        if len(calls) >= failing:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
