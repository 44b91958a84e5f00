"""Cached results are whole, belong to one version, and are removed only when no process uses them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dermpack.storage.content_cache import ContentCache, open_content_cache

KEY = "ab" * 32


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path / "cache"))


def only_file(folder: Path) -> Path:
    (path,) = folder.rglob("*.cached")
    return path


def test_a_result_is_read_back_by_the_same_version_only() -> None:
    with open_content_cache("things", version="1") as cache:
        assert not cache.has(KEY)
        cache.write(KEY, b"result")
    with open_content_cache("things", version="1") as cache:
        assert cache.has(KEY)
        assert cache.read(KEY) == b"result"
    with open_content_cache("things", version="2") as cache:
        assert cache.read(KEY) is None


def test_a_damaged_result_is_missing(tmp_path: Path) -> None:
    with open_content_cache("things", version="1") as cache:
        cache.write(KEY, b"result")
        only_file(tmp_path).write_bytes(only_file(tmp_path).read_bytes() + b"x")
        assert cache.read(KEY) is None


def test_the_least_recently_used_results_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"{number:064x}" for number in range(4)]
    with open_content_cache("things", version="1") as cache:
        for age, key in enumerate(keys):
            cache.write(key, bytes(1000))
            path = cache.folder / key[:2] / f"{key}.cached"
            os.utime(path, (1000 - age, 1000 - age))
        cache.read(keys[3])
    monkeypatch.setenv("DERMPACK_CACHE_GB", "0.0000025")
    other = tmp_path / "cache" / "things" / "notes.txt"
    other.write_text("of the user")
    with open_content_cache("things", version="1"):
        pass
    with open_content_cache("things", version="1") as cache:
        assert [cache.has(key) for key in keys] == [True, False, False, True]
    assert other.exists()


def test_nothing_is_removed_while_another_process_uses_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DERMPACK_CACHE_GB", "0")
    with open_content_cache("things", version="1") as first:
        with open_content_cache("things", version="1") as second:
            second.write(KEY, b"result")
        assert first.read(KEY) == b"result"


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path / "file"))
    with open_content_cache("things", version="1") as cache:
        cache.write(KEY, b"result")
        assert ContentCache(folder=cache.folder).read(KEY) == b"result"
    assert not cache.folder.exists()


def test_files_of_killed_processes_are_removed() -> None:
    with open_content_cache("things", version="1") as cache:
        cache.write(KEY, b"result")
        partial = cache.folder / KEY[:2] / f".{KEY}.cached.1.partial"
        partial.write_bytes(b"half")
    assert not partial.exists()
    assert cache.read(KEY) == b"result"
