"""Files and folders appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dermpack.errors import OutputError, shorten
from dermpack.storage.files import (
    copy_folder,
    format_json,
    new_folder,
    parse_relative_path,
    read_json,
    sha256_file,
    sha256_of,
    write_bytes,
)
from tests.support.errors import raises_code

KILLED_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from dermpack.storage.files import new_folder
with new_folder(Path(sys.argv[1]), marker="mark", overwrite=True) as folder:
    (folder / "mark").write_text("new")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def make(path: Path, text: str, *, overwrite: bool = False) -> None:
    with new_folder(path, marker="mark", overwrite=overwrite) as folder:
        (folder / "mark").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_two_sha256_agree(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"skin" * 400_000)
    assert sha256_file(tmp_path / "a") == sha256_of(b"skin" * 400_000)


def test_json_is_sorted_and_ends_with_a_newline() -> None:
    assert format_json({"b": 1, "a": "é"}) == '{\n  "a": "é",\n  "b": 1\n}\n'


def test_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        format_json({"loss": float("nan")})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"a":' * 100_000, "\ufeffx", '{"a": 1, "a": 1}', '{"a": [{"b": 0, "b": 1}]}'],
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with raises_code("invalid-json", tmp_path / "x.json"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "1" * 31])
def test_a_number_that_no_artifact_holds_is_refused(tmp_path: Path, number: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(f'{{"n": [{number}]}}')
    with raises_code("invalid-json", path):
        read_json(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    with raises_code("not-a-file", tmp_path / "x.json"):
        read_json(tmp_path / "x.json")


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"a": "\xff"}')
    with raises_code("invalid-json", tmp_path / "x.json"):
        read_json(tmp_path / "x.json")


@pytest.mark.parametrize("text", ["", ".", "/etc/passwd", "../x", "a/../../x", "a\\b", "a\0b"])
def test_a_path_that_leaves_its_root_is_refused(text: str) -> None:
    assert parse_relative_path(text) is None


def test_a_path_below_its_root_is_kept() -> None:
    assert str(parse_relative_path("a/b c.jpg")) == "a/b c.jpg"


def test_a_written_file_replaces_the_old_one_and_leaves_nothing_beside(tmp_path: Path) -> None:
    for data in (b"old", b"new"):
        write_bytes(tmp_path / "x", data)
    assert (tmp_path / "x").read_bytes() == b"new"
    assert names(tmp_path) == ["x"]


def test_a_file_in_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with raises_code("cannot-write", tmp_path / "no" / "x") as caught:
        write_bytes(tmp_path / "no" / "x", b"")
    assert isinstance(caught.value, OutputError)


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    make(tmp_path / "deep" / "set", "one")
    assert names(tmp_path / "deep") == ["set"]
    assert (tmp_path / "deep" / "set" / "mark").read_text() == "one"


def test_a_failing_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "set", marker="mark") as folder:
        (folder / "mark").write_text("half")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_an_existing_result_is_kept_without_overwrite(tmp_path: Path) -> None:
    make(tmp_path / "set", "one")
    with raises_code("output-exists", tmp_path / "set", "--overwrite"):
        make(tmp_path / "set", "two")
    assert (tmp_path / "set" / "mark").read_text() == "one"


def test_overwrite_takes_the_place_of_the_old_result(tmp_path: Path) -> None:
    make(tmp_path / "set", "one")
    make(tmp_path / "set", "two", overwrite=True)
    assert (tmp_path / "set" / "mark").read_text() == "two"
    assert names(tmp_path) == ["set"]


def test_a_foreign_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with raises_code("output-exists", tmp_path / "home", "mark"):
        make(tmp_path / "home", "x", overwrite=True)
    assert names(tmp_path / "home") == ["letter.txt"]


def test_a_link_is_never_overwritten(tmp_path: Path) -> None:
    make(tmp_path / "set", "one")
    (tmp_path / "link").symlink_to(tmp_path / "set")
    with raises_code("output-exists", tmp_path / "link"):
        make(tmp_path / "link", "two", overwrite=True)


def test_a_kill_leaves_the_old_result_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    make(tmp_path / "set", "old")
    killed = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, tmp_path / "set"], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "set" / "mark").read_text() == "old"
    assert len(names(tmp_path)) == 2
    make(tmp_path / "set", "new", overwrite=True)
    assert names(tmp_path) == ["set"]


def test_an_error_of_reading_an_input_keeps_its_name(tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "out" / "set", marker="mark"):
        (inputs / "missing").read_bytes()


def test_a_folder_below_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with raises_code("cannot-write", tmp_path / "file" / "set"):
        make(tmp_path / "file" / "set", "x")


def test_a_folder_whose_ancestor_cannot_be_made_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with raises_code("cannot-write", tmp_path / "link" / "a" / "set"):
        make(tmp_path / "link" / "a" / "set", "x")


def test_a_quicker_process_keeps_its_result(tmp_path: Path) -> None:
    path = tmp_path / "set"
    with raises_code("output-exists", path, "--overwrite"), new_folder(path, marker="mark") as slow:
        (slow / "mark").write_text("slow")
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "mark").write_text("quick")
    assert (tmp_path / "set" / "mark").read_text() == "quick"
    assert names(tmp_path) == ["set"]


def test_a_name_that_no_system_takes_is_an_output_error(tmp_path: Path) -> None:
    with raises_code("cannot-write", tmp_path / "xxx"):
        make(tmp_path / ("x" * 300), "x")


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    make(tmp_path / "set", "one")
    assert names(tmp_path / "set") == ["mark"]


@pytest.mark.parametrize("name", ["file/below", "x" * 300, "nowhere/file"])
def test_a_file_that_cannot_be_there_is_an_output_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with raises_code("cannot-write", shorten(str(tmp_path / name))):
        write_bytes(tmp_path / name, b"x")


def test_a_folder_is_copied_with_its_files(tmp_path: Path) -> None:
    (tmp_path / "logs/phase").mkdir(parents=True)
    (tmp_path / "logs/phase/events").write_bytes(b"events")
    copy_folder(tmp_path / "logs", tmp_path / "copy")
    assert (tmp_path / "copy/phase/events").read_bytes() == b"events"


def test_a_copy_on_a_full_disk_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/events").write_bytes(b"events")

    def fail(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source), None, str(target))

    monkeypatch.setattr(shutil, "copyfile", fail)
    with raises_code("cannot-write", tmp_path / "run"), new_folder(tmp_path / "run", marker="mark") as folder:
        copy_folder(tmp_path / "logs", folder / "logs")
    assert [path.name for path in tmp_path.iterdir()] == ["logs"]
