"""HEIC photographs are decoded upright, within the limits; hostile containers are rejected with a reason."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pillow_heif")

from dermpack.errors import PictureError
from dermpack.imaging.decoding import decode
from dermpack.imaging.heic import MAX_BOXES, MAX_META_BYTES, find_heic_size
from dermpack.imaging.heic_metadata import blank_metadata
from dermpack.imaging.metadata_removal import strip_metadata
from dermpack.imaging.rejection import DecodingLimits, Note, Reason
from tests.support.errors import raises_code
from tests.support.heic_pictures import (
    FILE_TYPE,
    box,
    container,
    encoded_heic,
    full_box,
    with_declared_size,
)
from tests.support.hostile_pictures import encoded, scene

# A smooth picture, which survives the lossy codec nearly unchanged.
ACROSS, DOWN = np.meshgrid(np.linspace(0, 255, 96), np.linspace(0, 255, 64))
SMOOTH = np.stack((ACROSS, DOWN, np.full_like(ACROSS, 77)), axis=2).astype(np.uint8)
CODING_ERROR = 6  # of 255


def reason_of(data: bytes) -> Reason:
    with pytest.raises(PictureError) as caught:
        decode(data)
    return Reason(caught.value.reason)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_once(orientation: int) -> None:
    expected = decode(encoded(SMOOTH, "PNG", orientation=orientation)).pixels
    found = decode(encoded_heic(SMOOTH, orientation=orientation)).pixels
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= CODING_ERROR


def test_a_grid_of_tiles_is_one_picture() -> None:
    pixels = np.tile(SMOOTH, (4, 4, 1))
    data = encoded_heic(pixels, tile_size=128)
    assert b"grid" in data
    found = decode(data).pixels
    assert found.shape == pixels.shape
    assert np.abs(found.astype(int) - pixels).mean() <= CODING_ERROR


def test_only_the_primary_picture_is_decoded() -> None:
    assert decode(encoded_heic(scene(), second=SMOOTH)).pixels.shape == SMOOTH.shape


def test_the_content_decides_and_not_the_extension(tmp_path: Path) -> None:
    path = tmp_path / "phone.jpg"
    path.write_bytes(encoded_heic(SMOOTH))
    assert decode(path).notes == (Note.WRONG_EXTENSION,)


def test_transparent_pixels_become_white() -> None:
    transparent = np.dstack((scene(), np.zeros(scene().shape[:2], np.uint8)))
    decoded = decode(encoded_heic(transparent))
    assert decoded.notes == (Note.ALPHA,)
    assert decoded.pixels.min() == 255


def test_a_declared_size_over_the_limit_is_rejected_without_decoding() -> None:
    assert reason_of(with_declared_size(encoded_heic(SMOOTH), 60_000, 60_000)) is Reason.TOO_LARGE
    limits = DecodingLimits(max_pixels=64 * 63)
    with raises_code("picture-too-large"):
        decode(encoded_heic(scene(64, 64)), limits=limits)


def test_a_picture_larger_than_it_declares_is_rejected() -> None:
    large = np.zeros((2000, 2000, 3), np.uint8)
    assert reason_of(with_declared_size(encoded_heic(large), 64, 64)) is Reason.BROKEN


@pytest.mark.parametrize("length", [12, 20, 30, 60, 200, 300, 420, 700])
def test_a_photograph_that_is_cut_is_rejected(length: int) -> None:
    assert reason_of(encoded_heic(SMOOTH)[:length]) in (Reason.TRUNCATED, Reason.BROKEN)


def test_bytes_behind_the_last_box_are_ignored() -> None:
    data = encoded_heic(SMOOTH)
    assert decode(data + b"camera rubbish" * 9).pixels.shape == SMOOTH.shape


SIZE = (64, 48)
WITHOUT_SIZE = container((b"hvc1",), ())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (container((b"av01",), (SIZE,)), Reason.UNSUPPORTED),
        (container((b"grid", b"av01"), (SIZE, SIZE), tiles=(2,)), Reason.UNSUPPORTED),
        (container((b"grid", b"grid"), (SIZE, SIZE), tiles=(2,)), Reason.UNSUPPORTED),
        (container((b"grid",), (SIZE,)), Reason.UNSUPPORTED),
        (container((b"grid", b"hvc1"), (SIZE, SIZE), tiles=(3,)), Reason.UNSUPPORTED),
        (container((b"hvc1",), (SIZE,), primary=7), Reason.BROKEN),
        (container((b"hvc1",), ((0, 48),)), Reason.BROKEN),
        (WITHOUT_SIZE, Reason.BROKEN),
        (container((b"hvc1", b"hvc1"), (SIZE, (40_000, 9))), Reason.TOO_LARGE),
        (container((b"grid", b"hvc1"), (SIZE, (4096, 4096)), tiles=(2,) * 999), Reason.DECOMPRESSION_BOMB),
        (container((b"hvc1",), (SIZE,), more=bytes(MAX_META_BYTES)), Reason.BROKEN),
        (container((b"hvc1",), (SIZE,), more=box(b"free") * (MAX_BOXES + 1)), Reason.BROKEN),
        (container((b"hvc1",), (SIZE,), more=b"\0\0\0\7free"), Reason.TRUNCATED),
        (FILE_TYPE + full_box(b"meta", full_box(b"pitm", b"\0\1")), Reason.BROKEN),
        (FILE_TYPE + box(b"moov", bytes(8)), Reason.ANIMATED),
        (FILE_TYPE, Reason.TRUNCATED),
        (container((b"hvc1",), (SIZE,)), Reason.BROKEN),
    ],
)
def test_a_hostile_container_is_rejected(data: bytes, reason: Reason) -> None:
    assert reason_of(data) is reason


def test_without_the_package_the_picture_is_rejected_with_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encoded_heic(SMOOTH)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with raises_code("picture-missing-extra", "dermpack[heic]"):
        decode(data)


def test_avif_is_named_whatever_the_extension() -> None:
    with raises_code("picture-not-a-picture", "AVIF"):
        decode(b"\0\0\0\x18ftypavif" + bytes(64))


@pytest.mark.parametrize("tile_size", [0, 128])
def test_metadata_is_removed_and_the_pixels_stay(tile_size: int) -> None:
    pixels = np.tile(SMOOTH, (3, 3, 1))
    data = encoded_heic(pixels, orientation=6, tile_size=tile_size, texts=True)
    boxes = (
        box(b"uuid", b"SECRET place"),
        box(b"ftyp", b"heic", bytes(4), b"SECRET brand"),
        box(b"free", b"SECRET"),
    )
    appended = data + b"".join(boxes) + b"\0\0\1\0SECRET"
    assert appended.count(b"SECRET") >= 6
    stripped = strip_metadata(appended)
    assert b"SECRET" not in stripped.data
    assert np.array_equal(decode(stripped.data).pixels, decode(data).pixels)
    assert strip_metadata(stripped.data).data == stripped.data


def test_a_box_that_occurs_twice_is_rejected() -> None:
    """The decoder could use another one of the two than the one that is checked."""
    for more in (full_box(b"pitm", struct.pack(">H", 1)), box(b"iprp", box(b"ipco"))):
        with raises_code("picture-broken"):
            find_heic_size(container((b"hvc1",), (SIZE,), more=more), "")
    assert find_heic_size(container((b"hvc1",), (SIZE,), more=box(b"free") * 2), "") == SIZE


def test_a_second_list_of_pictures_is_rejected_and_never_copied() -> None:
    data = encoded_heic(SMOOTH)
    at = data.index(b"meta") - 4
    (size,) = struct.unpack_from(">I", data, at)
    for more in (data[at : at + size], full_box(b"meta", box(b"xml ", b"SECRET")), full_box(b"meta")):
        for read in (decode, strip_metadata):
            with raises_code("picture-broken"):
                read(data + more)


def test_the_first_list_of_tiles_of_a_grid_counts() -> None:
    references = full_box(b"iref", *(box(b"dimg", struct.pack(">HHH", 1, 1, tile)) for tile in (2, 3)))
    data = container((b"grid", b"hvc1", b"av01"), (SIZE, SIZE, SIZE), more=references)
    assert find_heic_size(data, "") == SIZE


def test_items_with_countless_parts_are_rejected_at_once() -> None:
    items = b"".join(struct.pack(">HHH", item, 0, 0xFFFF) for item in range(1, 1000))
    list_ = full_box(b"iloc", b"\0\0", struct.pack(">H", 999), items)
    with raises_code("picture-broken"):
        blank_metadata(container((b"hvc1",), (SIZE,), more=list_), "")
