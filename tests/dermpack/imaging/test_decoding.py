"""Decoding: what is rejected, what is converted, and to which values."""

from __future__ import annotations

import os
import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermpack.errors import PictureError
from dermpack.imaging.decoding import decode
from dermpack.imaging.preprocessing import Policy, prepare, resize_image
from dermpack.imaging.rejection import DecodingLimits, Note, Reason
from tests.support import hostile_pictures as hostile
from tests.support.errors import assert_code, raises_code
from tests.support.hostile_pictures import CASES, Case, encoded, png, png_header, png_pixels, scene

END = (b"IEND", b"")


def reason_of(source: Path | bytes, limits: DecodingLimits | None = None) -> Reason:
    with pytest.raises(PictureError) as caught:
        decode(source, limits=limits or DecodingLimits())
    reason = Reason(caught.value.reason)
    assert_code(caught.value, f"picture-{reason.value}")
    return reason


def large_jpeg(width: int, height: int, *, orientation: int = 1) -> bytes:
    return encoded(scene(width, height), "JPEG", orientation=orientation)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_hostile_picture_is_rejected_or_kept_as_expected(case: Case, tmp_path: Path) -> None:
    path = tmp_path / case.name
    case.plant(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning of Pillow's would reach the user
        if case.reason is None:
            assert frozenset(decode(path).notes) == case.notes
        else:
            assert reason_of(path) is case.reason


def test_the_corpus_has_every_reason_and_every_note_that_a_small_file_can_have() -> None:
    assert {case.reason for case in CASES if case.reason} == set(Reason) - {
        *(Reason.TOO_HEAVY, Reason.TOO_COSTLY, Reason.MISSING_EXTRA),
    }
    assert {note for case in CASES for note in case.notes} == set(Note)


def test_an_error_names_the_file_and_stays_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "line\nbreak.png"
    path.write_bytes(b"")
    with raises_code("picture-empty", "line\\nbreak.png: ") as caught:
        decode(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_their_pixels(form: str) -> None:
    decoded = decode(encoded(scene(37, 91), form))
    assert np.array_equal(decoded.pixels, scene(37, 91))
    assert decoded.notes == ()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressed_tiffs_keep_their_pixels(compression: str) -> None:
    buffer = BytesIO()
    Image.fromarray(scene()).save(buffer, "TIFF", compression=compression)
    assert np.array_equal(decode(buffer.getvalue()).pixels, scene())


def test_a_file_and_its_bytes_give_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(large_jpeg(64, 48))
    assert np.array_equal(decode(path).pixels, decode(path.read_bytes()).pixels)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (5, lambda p: p.transpose(1, 0, 2)),
        (6, lambda p: np.rot90(p, -1)),
        (7, lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda p: np.rot90(p, 1)),
    ],
)
def test_every_orientation_is_turned_upright(form: str, orientation: int, turn: object) -> None:
    assert callable(turn)
    upright = decode(encoded(scene(), form)).pixels
    turned = decode(encoded(scene(), form, orientation=orientation)).pixels
    assert np.array_equal(turned, turn(upright))


def test_a_transparent_picture_is_blended_with_white_and_rounded() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 64, 4), dtype=np.uint8)
    colour, alpha = pixels[..., :3].astype(int), pixels[..., 3:].astype(int)
    expected = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    assert np.array_equal(decode(encoded(pixels, "PNG")).pixels, expected)


def test_a_transparent_colour_becomes_white() -> None:
    row = bytes([1, 2, 3, 9, 9, 9])
    key = (b"tRNS", struct.pack(">HHH", 1, 2, 3))
    decoded = decode(png(png_header(2, 1), key, png_pixels(row, 1), END))
    assert decoded.pixels.tolist() == [[[255, 255, 255], [9, 9, 9]]]
    assert decoded.notes == (Note.ALPHA,)


def test_a_transparent_entry_of_a_palette_becomes_white() -> None:
    header, palette = png_header(2, 1, kind=3), (b"PLTE", bytes([5, 6, 7, 8, 9, 10]))
    decoded = decode(png(header, palette, (b"tRNS", b"\0"), png_pixels(b"\0\1", 1), END))
    assert decoded.pixels.tolist() == [[[255, 255, 255], [8, 9, 10]]]
    assert decoded.notes == (Note.PALETTE, Note.ALPHA)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_greys_keep_their_high_byte(form: str) -> None:
    values = np.array([[0x0000, 0x00FF, 0x0100, 0x7FFF, 0xABCD, 0xFFFF]], np.uint16)
    decoded = decode(encoded(values, form)).pixels
    assert decoded[0, :, 0].tolist() == [0x00, 0x00, 0x01, 0x7F, 0xAB, 0xFF]


@pytest.mark.parametrize(("kind", "samples"), [(2, 3), (6, 4), (4, 2)])
def test_sixteen_bit_colours_keep_their_high_byte(kind: int, samples: int) -> None:
    row = struct.pack(f">{samples}H", *(0x12FF, 0x3400, 0x56AA, 0xFFFF)[: samples - 1], 0xFFFF)
    decoded = decode(png(png_header(1, 1, depth=16, kind=kind), png_pixels(row, 1), END))
    expected = {2: [0x12, 0x34, 0xFF], 6: [0x12, 0x34, 0x56], 4: [0x12] * 3}[kind]
    assert decoded.pixels.tolist() == [[expected]]
    assert Note.SIXTEEN_BIT in decoded.notes


def test_cmyk_is_converted_by_the_documented_formula() -> None:
    ink = np.random.default_rng(0).integers(0, 256, (40, 40, 4), dtype=np.uint8)
    buffer = BytesIO()
    Image.frombytes("CMYK", (40, 40), ink.tobytes()).save(buffer, "TIFF")
    colour, black = ink[..., :3].astype(int), ink[..., 3:].astype(int)
    expected = np.maximum(255 - black - (colour * (255 - black) + 127) // 255, 0)
    assert np.array_equal(decode(buffer.getvalue()).pixels, expected)


def test_the_limit_of_pixels_is_inclusive() -> None:
    data = encoded(scene(10, 10), "PNG")
    assert decode(data, limits=DecodingLimits(max_pixels=100)).pixels.shape == (10, 10, 3)
    assert reason_of(data, DecodingLimits(max_pixels=99)) is Reason.TOO_LARGE


def test_the_limit_of_a_side_is_enforced() -> None:
    assert reason_of(encoded(scene(10, 2), "PNG"), DecodingLimits(max_side=9)) is Reason.TOO_LARGE


@pytest.mark.parametrize("as_file", [True, False])
def test_the_limit_of_bytes_is_enforced(as_file: bool, tmp_path: Path) -> None:
    data = encoded(scene(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(data)
    source = path if as_file else data
    assert decode(source, limits=DecodingLimits(max_bytes=len(data))).notes == ()
    assert reason_of(source, DecodingLimits(max_bytes=len(data) - 1)) is Reason.TOO_HEAVY


def test_a_raised_limit_is_not_limited_by_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for form in ("JPEG", "PNG", "BMP", "GIF"):
            assert decode(encoded(scene(64, 300), form)).pixels.shape == (300, 64, 3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(scene(), "PNG"))
    path.chmod(0)
    assert reason_of(path) is Reason.UNREADABLE


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_rejected_without_blocking(tmp_path: Path) -> None:
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    assert reason_of(path) is Reason.NOT_A_FILE


def test_a_path_with_a_null_character_is_rejected() -> None:
    assert reason_of(Path("a\0.png")) is Reason.UNREADABLE


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "GIF"])
def test_a_file_that_is_cut_anywhere_is_rejected(form: str) -> None:
    data = encoded(scene(), form)
    for length in range(1, len(data) - 1, max(1, len(data) // 60)):
        assert reason_of(data[:length]) in (Reason.TRUNCATED, Reason.NOT_A_PICTURE)


def test_a_reduced_decode_keeps_the_requested_short_side() -> None:
    data = large_jpeg(803, 605)
    assert decode(data, at_least=75).pixels.shape == (76, 101, 3)  # 605 / 8 = 75.6
    assert decode(data, at_least=76).pixels.shape == (152, 201, 3)
    assert decode(data, at_least=1000).pixels.shape == (605, 803, 3)


def test_only_jpegs_are_reduced() -> None:
    assert decode(encoded(scene(64, 64), "PNG"), at_least=8).pixels.shape == (64, 64, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("policy", list(Policy))
def test_prepare_is_reduced_decode_and_resize(policy: Policy, orientation: int) -> None:
    data = large_jpeg(331, 500, orientation=orientation)
    reduced = Image.fromarray(decode(data, at_least=2 * 40).pixels)
    prepared = prepare(data, 40, policy=policy)
    assert np.array_equal(prepared, np.asarray(resize_image(reduced, 40, policy=policy)))
    assert prepared.flags.writeable


def test_prepare_enforces_the_limits() -> None:
    with raises_code("picture-too-large", 9):
        prepare(encoded(scene(), "PNG"), 8, limits=DecodingLimits(max_pixels=9))


def test_metadata_never_reaches_the_decoder() -> None:
    plain = encoded(scene(), "JPEG")
    for marker in (0xE1, 0xE2, 0xED, 0xFE):
        changed = hostile.with_jpeg_segment(
            plain, marker, b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\xff" * 5000
        )
        assert np.array_equal(decode(changed).pixels, decode(plain).pixels)


def test_a_text_bomb_is_not_unpacked() -> None:
    bomb = b"a\0\0" + zlib.compress(bytes(20 << 20), 9)
    data = hostile.with_png_chunk(encoded(scene(), "PNG"), b"zTXt", bomb)
    assert np.array_equal(decode(data).pixels, scene())
