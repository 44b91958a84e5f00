"""A path that a user names is opened without blocking, and only a regular file is read."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from dermpack.storage.files import read_bytes, sha256_file
from dermpack.storage.regular_files import NotRegularFileError, open_regular, read_beginning
from dermpack.storage.toml_text import MAX_TOML_BYTES, read_toml
from tests.support.errors import raises_code


def test_a_regular_file_is_read_also_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"content"
        assert read_beginning(tmp_path / name, 3) == b"con"


def irregular(folder: Path, kind: str) -> Path:
    path = folder / "path"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            os.chdir(folder)
            listening.bind(path.name)
    else:
        path.symlink_to(kind)
    return path


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "/dev/zero", "/dev/full", "/dev/tty"])
def test_what_is_not_a_regular_file_is_refused_without_reading_it(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = irregular(tmp_path, kind)
    with pytest.raises(NotRegularFileError):
        open_regular(path)
    with pytest.raises(NotRegularFileError):
        sha256_file(path)
    assert read_beginning(path, 8) == b""
    with raises_code("not-a-file", path):
        read_bytes(path, most=8, hint="Hint.")


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the listing itself must not be a generator
    for _ in range(10):
        with pytest.raises(NotRegularFileError):
            open_regular(tmp_path / "pipe")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("size", [4, 5])
def test_a_file_may_have_as_many_bytes_as_are_allowed(tmp_path: Path, size: int) -> None:
    (tmp_path / "file").write_bytes(b"x" * size)
    if size == 4:
        assert read_bytes(tmp_path / "file", most=4, hint="Hint.") == b"xxxx"
        return
    with raises_code("file-too-large", tmp_path / "file"):
        read_bytes(tmp_path / "file", most=4, hint="Hint.")


@pytest.mark.parametrize(
    "text",
    ["size = " + "[" * 50_000 + "]" * 50_000, "a = " + "{a = " * 5_000 + "1" + "}" * 5_000, "a = \xff"],
)
def test_toml_that_cannot_be_parsed_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.toml").write_text(text, encoding="latin-1")
    with raises_code("invalid-toml", tmp_path / "recipe.toml"):
        read_toml(tmp_path / "recipe.toml")


def test_large_toml_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_bytes(b"#" * (MAX_TOML_BYTES + 1))
    with raises_code("file-too-large", tmp_path / "recipe.toml"):
        read_toml(tmp_path / "recipe.toml")
