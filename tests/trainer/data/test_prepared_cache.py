"""Prepared pictures: what is in use stays, what is a stranger's stays, the rest goes by its last use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dermpack.errors import InputError, OutputError
from dermpack.storage.files import sha256_of
from dermpack.storage.shared_folders import BOUND_GB, GB, cache_bound_bytes
from tests.support.errors import raises_code
from trainer.data.prepared_cache import make_room, read_rows, write_rows

SHAPE, DTYPE = (4, 10, 10, 3), np.dtype(np.uint8)
ROWS_BYTES = 4 * 10 * 10 * 3
FILE_BYTES = ROWS_BYTES + 128  # its header
USE = """
import sys
from pathlib import Path
import numpy as np
from trainer.data.prepared_cache import read_rows
rows = read_rows(Path(sys.argv[1]), shape=(4, 10, 10, 3), dtype=np.dtype(np.uint8))
print(rows.sum(), flush=True)
sys.stdin.read()
"""
WRITE = """
import sys
from pathlib import Path
import numpy as np
from trainer.data.prepared_cache import write_rows
def parts():
    yield 0, np.zeros((1, 10, 10, 3), np.uint8)
    print("writing", flush=True)
    sys.stdin.read()
    yield 1, np.zeros((3, 10, 10, 3), np.uint8)
write_rows(Path(sys.argv[1]), parts(), shape=(4, 10, 10, 3), dtype=np.dtype(np.uint8))
"""


def name(number: int) -> str:
    return f"{sha256_of(str(number).encode())[:40]}.npy"


def parts(number: int) -> list[tuple[int, Any]]:
    return [(0, np.full(SHAPE, number, np.uint8))]


def made(folder: Path, *numbers: int) -> list[Path]:
    """Files of nobody, the first used longest ago."""
    paths = [folder / name(number) for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        write_rows(path, parts(number), shape=SHAPE, dtype=DTYPE)
        os.utime(path.with_suffix(".sha256"), (number, number))
    return paths


def bound(files: int) -> int:
    """As many, and the next that is made."""
    return files * FILE_BYTES + ROWS_BYTES


def makes_room(folder: Path, *, files: int) -> None:
    make_room(folder / name(99), needed_bytes=ROWS_BYTES, bound_bytes=bound(files))


def there(paths: Sequence[Path]) -> list[bool]:
    return [path.exists() and path.with_suffix(".sha256").exists() for path in paths]


@contextmanager
def at_work(program: str, path: Path) -> Iterator[Any]:
    """Another process that has begun; killed at the end where it has not ended."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    paths = made(tmp_path, 1, 2, 3)
    makes_room(tmp_path, files=1)
    assert there(paths) == [False, False, True]
    assert not paths[0].with_suffix(".sha256").exists()


def test_nothing_goes_below_the_bound(tmp_path: Path) -> None:
    paths = made(tmp_path, 1, 2)
    makes_room(tmp_path, files=2)
    assert there(paths) == [True, True]


def test_a_use_counts_and_not_the_making(tmp_path: Path) -> None:
    paths = made(tmp_path, 1, 2)
    assert read_rows(paths[0], shape=SHAPE, dtype=DTYPE) is not None
    makes_room(tmp_path, files=1)
    assert there(paths) == [True, False]


def test_what_this_process_has_mapped_stays(tmp_path: Path) -> None:
    old, new = made(tmp_path, 1, 2)
    rows = read_rows(old, shape=SHAPE, dtype=DTYPE)
    os.utime(old.with_suffix(".sha256"), (1, 1))
    makes_room(tmp_path, files=0)
    assert there([old, new]) == [True, False]
    del rows
    makes_room(tmp_path, files=0)
    assert there([old]) == [False]


def test_what_was_just_written_stays_for_as_long_as_it_is_mapped(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / name(7), parts(7), shape=SHAPE, dtype=DTYPE)
    makes_room(tmp_path, files=0)
    assert there([tmp_path / name(7)]) == [True]
    np.testing.assert_array_equal(rows, parts(7)[0][1])


def test_what_another_process_uses_stays_until_it_is_killed(tmp_path: Path) -> None:
    paths = made(tmp_path, 1, 2)
    with at_work(USE, paths[0]):
        os.utime(paths[0].with_suffix(".sha256"), (1, 1))
        makes_room(tmp_path, files=0)
        assert there(paths) == [True, False]
    makes_room(tmp_path, files=0)
    assert there(paths) == [False, False]


def test_what_another_process_writes_stays_until_it_is_killed(tmp_path: Path) -> None:
    with at_work(WRITE, tmp_path / name(1)):
        makes_room(tmp_path, files=0)
        assert len(list(tmp_path.glob(".*.partial"))) == 1
    makes_room(tmp_path, files=0)
    assert list(tmp_path.glob(".*.partial")) == []


def test_two_processes_that_make_the_same_both_have_it(tmp_path: Path) -> None:
    path = tmp_path / name(0)
    with at_work(WRITE, path) as other:
        mine = write_rows(path, parts(0), shape=SHAPE, dtype=DTYPE)
        other.communicate("")
        assert other.returncode == 0
    assert read_rows(path, shape=SHAPE, dtype=DTYPE) is not None
    np.testing.assert_array_equal(mine, parts(0)[0][1])
    assert list(tmp_path.glob(".*.partial")) == []


def test_a_strangers_files_stay(tmp_path: Path) -> None:
    (sealed,) = made(tmp_path, 1)
    data, seal = sealed.read_bytes(), sealed.with_suffix(".sha256").read_text()
    strangers = {
        tmp_path / "pictures.npy": "theirs",
        tmp_path / "pictures.sha256": seal,
        tmp_path / name(2): "without a seal",
        tmp_path / name(3): "with a seal of another form",
        (tmp_path / name(3)).with_suffix(".sha256"): f"{'0' * 64}  {name(3)}\n",
        tmp_path / ".notes.partial": "theirs",
        tmp_path / f".{name(4)}.1.partial": "theirs",
    }
    for path, text in strangers.items():
        path.write_text(text)
    link = tmp_path / name(5)
    link.symlink_to(tmp_path.parent / "elsewhere.npy")
    (tmp_path.parent / "elsewhere.npy").write_bytes(data)
    link.with_suffix(".sha256").write_text(seal)
    makes_room(tmp_path, files=0)
    assert {path: path.read_text() for path in strangers} == strangers
    assert link.read_bytes() == data
    assert not sealed.exists()


def test_what_does_not_fit_on_the_disk_is_said_before_it_is_made_and_costs_nothing(tmp_path: Path) -> None:
    paths = made(tmp_path, 1)
    with raises_code("disk-full", tmp_path / name(2), "1000000.00 GB", "DERMPACK_CACHE") as raised:
        make_room(tmp_path / name(2), needed_bytes=10**15, bound_bytes=10**16)
    assert isinstance(raised.value, OutputError)
    assert there(paths) == [True]


def test_a_full_disk_makes_room_below_the_bound_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = made(tmp_path, 1, 2)
    disk = 2 * FILE_BYTES + ROWS_BYTES // 2

    def usage(folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=disk - sum(path.stat().st_size for path in folder.glob("*.npy")))

    monkeypatch.setattr("trainer.data.prepared_cache.shutil.disk_usage", usage)
    makes_room(tmp_path, files=99)
    assert there(paths) == [False, True]


def test_a_folder_that_may_only_be_read_is_used(tmp_path: Path) -> None:
    (path,) = made(tmp_path, 1)
    tmp_path.chmod(0o555)
    try:
        rows = read_rows(path, shape=SHAPE, dtype=DTYPE)
    finally:
        tmp_path.chmod(0o755)
    assert rows is not None


@pytest.mark.parametrize("other", [((4, 10, 10, 1), DTYPE), (SHAPE, np.dtype(np.float16))])
def test_rows_of_another_shape_or_kind_are_not_taken(tmp_path: Path, other: tuple[Any, Any]) -> None:
    (path,) = made(tmp_path, 1)
    assert read_rows(path, shape=other[0], dtype=other[1]) is None


def test_the_bound_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DERMPACK_CACHE_GB", raising=False)
    assert cache_bound_bytes() == BOUND_GB * GB
    monkeypatch.setenv("DERMPACK_CACHE_GB", "1.5")
    assert cache_bound_bytes() == 1_500_000_000


@pytest.mark.parametrize("text", ["much", "-1", "nan", "inf"])
def test_a_bound_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("DERMPACK_CACHE_GB", text)
    with raises_code("invalid-option", f"DERMPACK_CACHE_GB={text}") as raised:
        cache_bound_bytes()
    assert isinstance(raised.value, InputError)
