"""Pictures are decoded in child processes with limits; what breaks one is an error of one picture."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dermpack.errors import PictureError
from dermpack.imaging import metadata_removal, picture_decoder
from dermpack.imaging.picture_decoder import MEMORY_BYTES, PictureDecoder, decoding_memory
from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.imaging.rejection import DEFAULT_LIMITS, DecodingLimits
from tests.support.errors import assert_code, raises_code
from tests.support.hostile_pictures import CASES, encoded, plant_all, png, png_header, scene

SIZE = 12
LARGE = 7000  # 49 megapixels, which take 200 MB


@pytest.fixture(scope="module")
def decoder() -> Iterator[PictureDecoder]:
    with PictureDecoder(jobs=2) as opened:
        yield opened


def test_files_and_bytes_become_the_same_pixels_as_in_this_process(
    decoder: PictureDecoder, tmp_path: Path
) -> None:
    files = []
    for number in range(20):
        files.append(tmp_path / f"{number}\udc80.png")
        files[-1].write_bytes(encoded(scene(30 + number, 40), "PNG"))
    sources: list[Path | bytes] = [*files, *(file.read_bytes() for file in files)]
    for policy in Policy:
        expected = [prepare(source, SIZE, policy=policy) for source in sources]
        assert np.array_equal(list(decoder.prepare_all(sources, SIZE, policy=policy)), expected)


def test_every_hostile_picture_has_the_same_result_as_in_this_process(
    decoder: PictureDecoder, tmp_path: Path
) -> None:
    files, cases = zip(*plant_all(tmp_path), strict=True)
    prepared = list(decoder.prepare_each(files, SIZE, policy=Policy.WHOLE))
    assert len(prepared) == len(CASES)
    for file, case, found in zip(files, cases, prepared, strict=True):
        if case.reason is None:
            assert np.array_equal(np.asarray(found), prepare(file, SIZE, policy=Policy.WHOLE))
        else:
            assert isinstance(found, PictureError)
            assert (found.reason, found.where) == (case.reason.value, str(file))


def test_a_picture_that_needs_more_memory_than_allowed_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_decoder, "MEMORY_BYTES", 128 << 20)
    rows = np.zeros((LARGE, LARGE), np.uint8)
    costly, small = encoded(rows, "PNG"), encoded(scene(), "PNG")
    with PictureDecoder() as limited:
        first, second = limited.prepare_chunk([costly, small], SIZE, policy=Policy.WHOLE)
    assert isinstance(first, PictureError)
    assert_code(first, "picture-too-costly")
    assert np.array_equal(np.asarray(second), prepare(small, SIZE, policy=Policy.WHOLE))


def test_metadata_is_removed_in_the_child_which_a_hostile_file_cannot_outgrow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(picture_decoder, "MEMORY_BYTES", 128 << 20)
    monkeypatch.setattr(metadata_removal, "STRIPPERS", {})  # this process can remove nothing
    # Each of its empty blocks becomes an object in Python, twelve times as large.
    gif = encoded(scene(), "GIF")
    hostile = gif[:-1] + b"\x21\xf9\0" * (3 << 20) + gif[-1:]
    small = encoded(scene(), "PNG")
    with PictureDecoder() as limited:
        with raises_code("picture-too-costly"):
            limited.strip(hostile)
        with raises_code("picture-truncated"):
            limited.strip(small[:-20])
        assert limited.strip(small[:-12] + b"\0\0\0\x04tEXtSECR\0\0\0\0" + small[-12:]) == small


def test_a_picture_that_takes_too_long_is_rejected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(scene(), "PNG"))
    with PictureDecoder() as stopped:
        list(stopped.prepare_all([file], SIZE, policy=Policy.WHOLE))
        monkeypatch.setattr(stopped, "_picture_seconds", 0.05)
        os.kill(stopped._started[0].pid, signal.SIGSTOP)
        with raises_code("picture-too-costly", file):
            list(stopped.prepare_all([file], SIZE, policy=Policy.WHOLE))


def test_after_a_crash_the_next_picture_gets_a_new_process() -> None:
    good = encoded(scene(), "PNG")
    with PictureDecoder() as crashed:
        list(crashed.prepare_all([good], SIZE, policy=Policy.WHOLE))
        os.kill(crashed._started[0].pid, signal.SIGSTOP)  # it is killed while it has the request
        os.kill(crashed._started[0].pid, signal.SIGSEGV)
        os.kill(crashed._started[0].pid, signal.SIGCONT)
        answers = crashed.prepare_chunk([good, good], SIZE, policy=Policy.WHOLE)
    assert not isinstance(answers[-1], PictureError)


def test_no_decoder_outlives_its_block() -> None:
    with PictureDecoder(jobs=2) as opened:
        opened.start()
        pids = [child.pid for child in opened._started]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_raised_limit_of_pixels_raises_the_limit_of_memory() -> None:
    assert decoding_memory(DEFAULT_LIMITS) == MEMORY_BYTES
    assert decoding_memory(DecodingLimits(max_pixels=2 * DEFAULT_LIMITS.max_pixels)) == 2 * MEMORY_BYTES


def test_a_crafted_header_cannot_make_the_parent_allocate(decoder: PictureDecoder) -> None:
    huge = png(png_header(2**31 - 1, 2**31 - 1), (b"IDAT", b""), (b"IEND", b""))
    with raises_code("picture-too-large"):
        list(decoder.prepare_all([huge], SIZE, policy=Policy.WHOLE))


def test_a_closed_decoder_starts_no_process() -> None:
    opened = PictureDecoder()
    list(opened.prepare_all([encoded(scene(), "PNG")], SIZE, policy=Policy.WHOLE))
    opened.close()
    with raises_code("child-not-started"):
        opened.prepare_chunk([encoded(scene(), "PNG")], SIZE, policy=Policy.WHOLE)
    assert len(opened._started) == 1
