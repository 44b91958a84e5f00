"""Every picture is looked at once; what cannot be used has its reason, and no process is left behind."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermpack.imaging.rejection import DecodingLimits
from dermpack.processes.process_pool import WorkerLostError, map_in_processes
from dermpack.storage.files import sha256_file
from tests.support.colour_patches import patch, png, write
from tests.support.errors import raises_code
from tests.support.hostile_pictures import plant_all
from trainer.datasets.examine import CHUNK_PICTURES, examine_pictures


def planted(folder: Path, count: int) -> list[str]:
    return [write(folder / f"{index:03}.png", png(patch(index, size=16))).name for index in range(count)]


def test_what_one_decoding_tells(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", png(patch(1)[:20]))
    (found,), refused = examine_pictures(tmp_path, ["a.jpg"])
    assert refused == ()
    assert (found.path, found.width, found.height) == ("a.jpg", 48, 20)
    assert found.sha256 == sha256_file(tmp_path / "a.jpg")
    assert found.notes == ("wrong-extension",)


def test_the_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(patch(1)[:20]).save(tmp_path / "a.jpg", exif=exif)
    (found,), _ = examine_pictures(tmp_path, ["a.jpg"])
    assert (found.width, found.height) == (20, 48)


def test_equal_pixels_in_different_files_have_one_pixel_hash(tmp_path: Path) -> None:
    write(tmp_path / "a.png", png(patch(1)))
    Image.fromarray(patch(1)).save(tmp_path / "b.bmp")
    (first, second), _ = examine_pictures(tmp_path, ["a.png", "b.bmp"])
    assert first.signature == second.signature
    assert first.sha256 != second.sha256


def test_every_hostile_picture_ends_in_its_reason(tmp_path: Path) -> None:
    cases = plant_all(tmp_path)
    usable, refused = examine_pictures(tmp_path, [path.name for path, _ in cases], limits=DecodingLimits())
    expected = {path.name: case.reason.value for path, case in cases if case.reason is not None}
    expected["missing.jpg"] = "changed"  # it was listed, and now is not there
    assert {finding.picture: finding.kind for finding in refused} == expected
    assert {each.path: frozenset(each.notes) for each in usable} == {
        path.name: frozenset(note.value for note in case.notes) for path, case in cases if case.reason is None
    }


def test_a_vanished_file_is_said_to_have_changed(tmp_path: Path) -> None:
    _, (finding,) = examine_pictures(tmp_path, ["gone.png"])
    assert (finding.kind, finding.picture) == ("changed", "gone.png")


def test_processes_answer_as_one_does(tmp_path: Path) -> None:
    paths = planted(tmp_path, CHUNK_PICTURES * 3 + 1)
    write(tmp_path / paths[5], b"no picture")
    assert examine_pictures(tmp_path, paths, jobs=2) == examine_pictures(tmp_path, paths, jobs=1)


def test_no_picture_is_no_error(tmp_path: Path) -> None:
    assert examine_pictures(tmp_path, []) == ((), ())


def slain(task: int) -> int:
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def without_room(task: int) -> int:
    if task == 1:
        raise OSError(errno.ENOSPC, "No space left on device")
    return task


def process_of(_task: int) -> int:
    return os.getpid()


def test_a_killed_worker_is_named_with_its_task() -> None:
    with pytest.raises(WorkerLostError, match="SIGKILL") as caught:
        list(map_in_processes(slain, [0, 1, 2, 3], jobs=2))
    assert caught.value.task == 1


def test_a_full_disk_in_a_worker_is_the_parents_error() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        list(map_in_processes(without_room, [0, 1, 2, 3], jobs=2))
    assert caught.value.errno == errno.ENOSPC


def test_no_worker_outlives_an_abandoned_iteration() -> None:
    running = map_in_processes(process_of, list(range(50)), jobs=2)
    worker = next(running)[1]
    assert worker != os.getpid()
    running.close()  # type: ignore[attr-defined]  # a generator
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)


def test_a_lost_worker_names_its_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise WorkerLostError(1, "SIGKILL")

    monkeypatch.setattr("trainer.datasets.examine.map_in_processes", lost)
    paths = [f"{index}.png" for index in range(CHUNK_PICTURES + 2)]
    with raises_code("worker-died", paths[CHUNK_PICTURES], "SIGKILL", 2, paths[-1]):
        examine_pictures(tmp_path, paths)


def test_pixels_may_be_any_size(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 1, 3), dtype=np.uint8)).save(tmp_path / "dot.png")
    (found,), _ = examine_pictures(tmp_path, ["dot.png"])
    assert (found.width, found.height) == (1, 1)
