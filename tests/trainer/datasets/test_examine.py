"""Every picture is looked at once; what cannot be used has its reason, and no process is left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermpack.imaging.rejection import DecodingLimits
from dermpack.storage.files import sha256_file
from tests.support.colour_patches import patch, png, write
from tests.support.errors import raises_code
from tests.support.hostile_pictures import plant_all
from trainer.datasets.examine import CHUNK_PICTURES, _reject_lost, examine_pictures


def planted(folder: Path, count: int) -> list[str]:
    return [write(folder / f"{index:03}.png", png(patch(index, size=16))).name for index in range(count)]


def test_one_decoding_yields_all_properties(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("ending", "reason"), [("SIGXCPU", "too-costly"), ("SIGSEGV", "broken"), ("exit code 1", "broken")]
)
def test_a_picture_that_ends_its_worker_is_rejected_with_its_reason(
    tmp_path: Path, ending: str, reason: str
) -> None:
    finding = _reject_lost(tmp_path, "a.png", ending)
    assert (finding.kind, finding.picture) == (reason, "a.png")


def test_a_worker_that_the_system_kills_is_an_error_with_the_picture(tmp_path: Path) -> None:
    with raises_code("worker-died", tmp_path / "a.png", "SIGKILL"):
        _reject_lost(tmp_path, "a.png", "SIGKILL, possibly out of memory")


def test_pixels_may_be_any_size(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((1, 1, 3), dtype=np.uint8)).save(tmp_path / "dot.png")
    (found,), _ = examine_pictures(tmp_path, ["dot.png"])
    assert (found.width, found.height) == (1, 1)
