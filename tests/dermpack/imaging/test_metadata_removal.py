"""Metadata is removed from a picture file without changing a pixel."""

from __future__ import annotations

import random
import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from dermpack.errors import PictureError
from dermpack.imaging.containers import detect_format
from dermpack.imaging.decoding import decode, read_orientation
from dermpack.imaging.metadata_removal import MetadataPolicy, apply_policy, strip_metadata
from dermpack.imaging.tiff_bmp_rewriting import rewrite_tiff
from tests.support.errors import raises_code
from tests.support.hostile_pictures import (
    CASES,
    encoded,
    scene,
    with_gif_comment,
    with_jpeg_segment,
    with_png_chunk,
)

MARK = b"Anna Muster, 47.3769 N 8.5417 E"
TEXT = MARK.decode()
ORIENTATION, MAKE, ARTIST, EXIF_IFD, GPS_IFD, MAKER_NOTE = 0x0112, 0x010F, 0x013B, 0x8769, 0x8825, 0x927C
UPRIGHT_FORMS = ("GIF", "BMP")  # formats without EXIF
FORMS: dict[str, dict[str, Any]] = {
    "jpeg-444": {"form": "JPEG", "subsampling": 0},
    "jpeg-422": {"form": "JPEG", "subsampling": 1},
    "jpeg-420": {"form": "JPEG", "subsampling": 2},
    "jpeg-progressive": {"form": "JPEG", "progressive": True},
    "jpeg-progressive-420": {"form": "JPEG", "progressive": True, "subsampling": 2},
    "jpeg-restarts": {"form": "JPEG", "restart_marker_rows": 1},
    "jpeg-grey": {"form": "JPEG", "mode": "L"},
    "jpeg-cmyk": {"form": "JPEG", "mode": "CMYK"},
    "png": {"form": "PNG"},
    "png-alpha": {"form": "PNG", "mode": "RGBA"},
    "png-palette": {"form": "PNG", "mode": "P"},
    "png-transparent": {"form": "PNG", "mode": "P", "transparency": 3},
    "png-grey": {"form": "PNG", "mode": "L"},
    "webp": {"form": "WEBP"},
    "webp-lossless": {"form": "WEBP", "lossless": True},
    "webp-alpha": {"form": "WEBP", "mode": "RGBA"},
    "webp-lossless-alpha": {"form": "WEBP", "mode": "RGBA", "lossless": True},
    "tiff": {"form": "TIFF"},
    "tiff-lzw": {"form": "TIFF", "compression": "tiff_lzw"},
    "tiff-deflate": {"form": "TIFF", "compression": "tiff_adobe_deflate"},
    "tiff-palette": {"form": "TIFF", "mode": "P"},
    "tiff-grey": {"form": "TIFF", "mode": "L"},
    "tiff-alpha": {"form": "TIFF", "mode": "RGBA"},
    "gif": {"form": "GIF"},
    "gif-transparent": {"form": "GIF", "mode": "P", "transparency": 2},
    "bmp": {"form": "BMP"},
    "bmp-palette": {"form": "BMP", "mode": "P"},
    "bmp-bits": {"form": "BMP", "mode": "1"},
    "bmp-alpha": {"form": "BMP", "mode": "RGBA"},
}
EACH = pytest.mark.parametrize("options", FORMS.values(), ids=FORMS.keys())


def rich_exif(orientation: int) -> bytes:
    """Return EXIF with the marker in text, a maker note, GPS and a preview."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[MAKE] = exif[ARTIST] = TEXT
    exif.get_ifd(EXIF_IFD)[MAKER_NOTE] = b"note: " + MARK
    exif.get_ifd(GPS_IFD)[0x1D] = TEXT
    return exif.tobytes() + b"preview: " + MARK


def written(options: dict[str, Any], *, orientation: int = 1, **more: Any) -> bytes:
    given = {**options, **more}
    form, mode = given.pop("form"), given.pop("mode", "RGB")
    picture = Image.fromarray(scene(37, 23))
    if mode == "RGBA":
        picture.putalpha(Image.fromarray(scene(37, 23)[..., 0]))
    elif mode != "RGB":
        picture = picture.convert(mode)
    if orientation != 1 and form not in UPRIGHT_FORMS:
        exif = rich_exif(orientation)
        given["exif"] = exif.removeprefix(b"Exif\0\0") if form == "TIFF" else exif
        if form == "TIFF":
            tags = Image.Exif()
            tags[ORIENTATION], tags[ARTIST] = orientation, TEXT
            given["exif"] = tags
    buffer = BytesIO()
    picture.save(buffer, form, **given)
    return buffer.getvalue()


def hidden(data: bytes) -> bool:
    return MARK in data or b"Muster" in data


def orientation_of(data: bytes) -> int:
    form = detect_format(data, where="")
    return read_orientation(form.read(data, "").exif)[0] if form.read else 1


@EACH
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_and_orientation_stay_and_metadata_goes(options: dict[str, Any], orientation: int) -> None:
    data = written(options, orientation=orientation) + b"after the end: " + MARK
    assert orientation == 1 or options["form"] in UPRIGHT_FORMS or hidden(data[: -len(MARK)])
    stripped = strip_metadata(data)
    assert not hidden(stripped.data)
    assert stripped.had_metadata
    assert len(stripped.data) < len(data)
    before, after = decode(data).pixels, decode(stripped.data).pixels
    assert np.array_equal(before, after)
    assert orientation_of(stripped.data) == orientation_of(data)


@EACH
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_second_pass_changes_nothing(options: dict[str, Any], orientation: int) -> None:
    once = strip_metadata(written(options, orientation=orientation)).data
    again = strip_metadata(once)
    assert (again.data, again.had_metadata) == (once, False)


@EACH
def test_a_reduced_decode_gives_the_same_pixels_too(options: dict[str, Any]) -> None:
    data = written(options, orientation=6)
    stripped = strip_metadata(data).data
    assert np.array_equal(decode(data, at_least=8).pixels, decode(stripped, at_least=8).pixels)


SEGMENTS = {
    "exif": (0xE1, b"Exif\0\0" + MARK),
    "xmp": (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + MARK),
    "extended-xmp": (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + MARK),
    "profile": (0xE2, b"ICC_PROFILE\0\1\1" + MARK),
    "multi-picture": (0xE2, b"MPF\0" + MARK),
    "flashpix": (0xE2, b"FPXR\0" + MARK),
    "iptc": (0xED, b"Photoshop 3.0\x008BIM\x04\x04" + MARK),
    "preview": (0xE0, b"JFXX\0\x10" + MARK),
    "unknown-header": (0xE0, MARK),
    "jumbf": (0xEB, b"JP\0\1" + MARK),
    "ducky": (0xEC, b"Ducky" + MARK),
    "adobe-tail": (0xEE, b"Adobe\0\x64\0\0\0\0\1" + MARK),
    "not-adobe": (0xEE, MARK),
    "last": (0xEF, MARK),
    "comment": (0xFE, MARK),
}


@pytest.mark.parametrize("name", SEGMENTS)
@pytest.mark.parametrize("progressive", [False, True])
def test_no_segment_of_a_jpeg_hides_text(name: str, progressive: bool) -> None:
    plain = written({"form": "JPEG"}, progressive=progressive)
    data = with_jpeg_segment(plain, *SEGMENTS[name])
    stripped = strip_metadata(data).data
    assert not hidden(stripped)
    assert np.array_equal(decode(stripped).pixels, decode(data).pixels)


def test_a_jpeg_hides_nothing_between_scans_in_its_header_or_behind_its_end() -> None:
    plain = written({"form": "JPEG"}, progressive=True)
    last_scan = plain.rindex(b"\xff\xda")
    comment = b"\xff\xfe" + struct.pack(">H", len(MARK) + 2) + MARK
    tables = plain.rindex(b"\xff\xc4", 0, last_scan)
    between = plain[:tables] + comment + plain[tables:]
    header = bytearray(plain)
    side = 5
    header[18:20] = bytes([side, side])
    header[4:6] = struct.pack(">H", 16 + 3 * side * side)
    with_preview = bytes(header[:20]) + MARK.ljust(3 * side * side) + bytes(header[20:])
    for data in (between, with_preview, plain + plain + MARK):
        stripped = strip_metadata(data).data
        assert not hidden(stripped)
        assert stripped.count(b"\xff\xd8") == 1
        assert np.array_equal(decode(stripped).pixels, decode(plain).pixels)


def test_the_compressed_pixels_of_a_jpeg_are_the_same_bytes() -> None:
    data = written(FORMS["jpeg-progressive"], orientation=8)
    stripped = strip_metadata(data).data
    start = data.index(b"\xff\xdb")
    assert stripped.endswith(data[start:])


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf", b"iCCP", b"pHYs", b"prVt"])
def test_no_chunk_of_a_png_hides_text(name: bytes) -> None:
    plain = encoded(scene(), "PNG")
    data = with_png_chunk(plain, name, b"Comment\0" + MARK)
    assert strip_metadata(data).data == plain


def test_texts_that_pillow_writes_into_a_png_are_removed() -> None:
    info = PngInfo()
    info.add_text("Author", TEXT, zip=True)
    info.add_itxt("XML:com.adobe.xmp", TEXT)
    assert strip_metadata(written({"form": "PNG"}, pnginfo=info)).data == written({"form": "PNG"})


@pytest.mark.parametrize("lossless", [False, True])
def test_xmp_and_profile_of_a_webp_are_removed(lossless: bool) -> None:
    data = written({"form": "WEBP"}, lossless=lossless, xmp=MARK, icc_profile=MARK, exif=rich_exif(1))
    stripped = strip_metadata(data).data
    assert not hidden(stripped)
    assert np.array_equal(decode(stripped).pixels, decode(data).pixels)


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("lossless", [False, True])
def test_the_orientation_of_a_plain_webp_is_kept(lossless: bool, alpha: bool) -> None:
    """A file without an extended header can have an EXIF chunk, too."""
    plain = written({"form": "WEBP", "mode": "RGBA" if alpha and lossless else "RGB"}, lossless=lossless)
    exif = rich_exif(6)
    body = plain[8:] + b"EXIF" + struct.pack("<I", len(exif)) + exif + bytes(len(exif) % 2)
    data = b"RIFF" + struct.pack("<I", len(body)) + body
    stripped = strip_metadata(data).data
    assert not hidden(stripped)
    assert np.array_equal(decode(stripped).pixels, decode(data).pixels)
    assert decode(data).pixels.shape[:2] == (37, 23)


def test_comments_and_applications_of_a_gif_are_removed() -> None:
    plain = written({"form": "GIF"})
    commented = written({"form": "GIF"}, comment=MARK)
    at = 13 + (3 << (plain[10] & 7) + 1)
    application = b"\x21\xff\x0bXMP DataXMP" + bytes([len(MARK)]) + MARK + b"\0"
    control = b"\x21\xf9\x04\0\0\0\0" + bytes([len(MARK)]) + MARK + b"\0"
    for data in (
        commented,
        with_gif_comment(plain, 5),
        *(plain[:at] + part + plain[at:] for part in (application, control)),
    ):
        stripped = strip_metadata(data).data
        assert not hidden(stripped)
        assert len(stripped) < len(data)
        assert np.array_equal(decode(stripped).pixels, decode(data).pixels)


def test_a_bmp_hides_nothing_in_gaps_or_in_its_profile() -> None:
    plain = written({"form": "BMP"})
    pixels, info = plain[54:], bytearray(plain[14:54])
    gap = plain[:10] + struct.pack("<I", 54 + len(MARK)) + plain[14:54] + MARK + pixels
    info[0:4] = struct.pack("<I", 124)
    profile = info.ljust(56, b"\0") + MARK.ljust(68, b"\0")
    fifth = plain[:10] + struct.pack("<I", 138) + bytes(profile) + pixels
    reserved = plain[:6] + MARK[:4] + plain[10:]
    for data in (gap, fifth, reserved):
        stripped = strip_metadata(data)
        assert stripped.had_metadata
        assert not hidden(stripped.data)
        assert np.array_equal(decode(stripped.data).pixels, decode(plain).pixels)


def test_sixteen_bits_stay_sixteen_bits() -> None:
    deep = scene()[..., 0].astype(np.uint16) * 257
    for form in ("PNG", "TIFF"):
        data = encoded(deep, form)
        stripped = strip_metadata(data + MARK).data
        assert decode(stripped).notes == decode(data).notes
        assert np.array_equal(decode(stripped).pixels, decode(data).pixels)


def test_a_picture_without_metadata_is_returned_unchanged() -> None:
    for form in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        data = encoded(scene(), form)
        assert strip_metadata(data).data == data, form


def test_the_policy_keeps_metadata_on_request() -> None:
    data = written(FORMS["jpeg-420"], orientation=6)
    assert apply_policy(data, MetadataPolicy.KEEP, where="x").data == data
    assert apply_policy(data, MetadataPolicy.REMOVE, where="x").had_metadata


def test_hostile_pictures_are_rejected_or_stripped_as_they_are_decoded(tmp_path: Any) -> None:
    """Whatever can be decoded gives the same pixels afterwards; everything else is one line."""
    for case in CASES:
        path = tmp_path / "picture"
        case.plant(path)
        if path.is_file() and not path.is_symlink() and path.stat().st_size:
            assert_same_pixels(path.read_bytes())
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", FORMS)
def test_damaged_pictures_are_rejected_or_keep_their_pixels(name: str) -> None:
    random_of_name = random.Random(name)
    data = written(FORMS[name], orientation=6)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(random_of_name.randint(1, 4)):
            damaged[random_of_name.randrange(len(damaged))] = random_of_name.randrange(256)
        cut = len(damaged) - random_of_name.choice((0, 0, 0, random_of_name.randrange(len(damaged))))
        assert_same_pixels(bytes(damaged[:cut]))


def assert_same_pixels(data: bytes) -> None:
    try:
        stripped = strip_metadata(data).data
    except PictureError as error:
        assert "\n" not in str(error)
        return
    try:
        before = decode(data).pixels
    except PictureError:
        return
    assert np.array_equal(before, decode(stripped).pixels)


def test_strips_of_the_same_bytes_are_not_copied_again_and_again() -> None:
    strips, size = 200, 4000
    tags: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (8,)),
        257: (4, (strips,)),
        258: (4, (8,)),
        259: (4, (1,)),
        262: (4, (1,)),
    }
    tags |= {277: (4, (1,)), 278: (4, (1,))}
    start = 8 + 2 + 12 * (len(tags) + 2) + 4
    tags |= {273: (4, (start,) * strips), 279: (4, (size,) * strips)}
    directory, values = struct.pack("<H", len(tags)), b""
    for tag, (kind, numbers) in sorted(tags.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            values, packed = values + packed, struct.pack("<I", start + len(values))
        directory += struct.pack("<HHI", tag, kind, len(numbers)) + packed
    data = b"II*\0" + struct.pack("<I", 8) + directory + bytes(4) + values + bytes(size)
    with raises_code("picture-broken"):
        rewrite_tiff(data, orientation=1, where="")
