from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermpack.imaging.decoding import Pixels
from dermpack.reporting.contact_sheet import CAPTION_HEIGHT, GAP, GROUP_GAP, contact_sheet
from dermpack.reporting.page import Media
from tests.support.errors import raises_code

CELL = 40


@pytest.fixture
def red(tmp_path: Path) -> Path:
    path = tmp_path / "red.png"
    Image.new("RGB", (64, 48), (200, 0, 0)).save(path)
    return path


def cells(sheet: bytes, count: int) -> list[Pixels]:
    """The cells of a sheet with one row."""
    pixels = np.asarray(Image.open(io.BytesIO(sheet)).convert("RGB"))
    starts = [GAP + at * (CELL + GAP) for at in range(count)]
    return [pixels[GAP : GAP + CELL, start : start + CELL] for start in starts]


def test_a_picture_fills_its_cell(red: Path) -> None:
    (cell,) = cells(contact_sheet([(red, ("red",))], cell=CELL), 1)
    assert (cell == (200, 0, 0)).all()


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 40])
def test_a_hostile_file_is_a_marked_cell_between_the_others(
    red: Path, tmp_path: Path, content: bytes
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(content)
    first, middle, last = cells(contact_sheet([(red, ("a",)), (bad, ("b",)), (red, ("c",))], cell=CELL), 3)
    assert (first == last).all()
    assert len(np.unique(middle.reshape(-1, 3), axis=0)) == 2  # the empty colour, and the cross


def test_a_file_that_is_gone_is_a_marked_cell(tmp_path: Path) -> None:
    (cell,) = cells(contact_sheet([(tmp_path / "gone.png", ("gone",))], cell=CELL), 1)
    assert len(np.unique(cell.reshape(-1, 3), axis=0)) == 2


@pytest.mark.parametrize("caption", ["x" * 10_000, "皮肤", "a\nb", "\x00", "\ud800", ""])
def test_a_strange_caption_is_harmless(red: Path, caption: str) -> None:
    sheet = Image.open(io.BytesIO(contact_sheet([(red, (caption,))], cell=CELL)))
    assert sheet.size == (CELL + 2 * GAP, CELL + CAPTION_HEIGHT + 2 * GAP)


def test_every_line_of_a_caption_has_room(red: Path) -> None:
    lines = ("Weißer Hautkrebs", "as ALTERSWARZEN Ü60", "0.83")
    sheet = Image.open(io.BytesIO(contact_sheet([(red, lines), (red, ())], cell=CELL)))
    assert sheet.size == (2 * (CELL + GAP) + GAP, CELL + 3 * CAPTION_HEIGHT + 2 * GAP)
    inked = np.asarray(sheet)[GAP + CELL :, :CELL].min(axis=(1, 2)) < 128
    assert all(inked[at * CAPTION_HEIGHT : (at + 1) * CAPTION_HEIGHT].any() for at in range(3))


def test_letters_beyond_ascii_are_drawn(red: Path) -> None:
    written = {contact_sheet([(red, (letter,))], cell=CELL) for letter in "Üßéя\ue000"}
    assert len(written) == 5  # a missing one is the same box as any other missing one


def test_rows_fill_from_the_left(red: Path) -> None:
    sheet = Image.open(io.BytesIO(contact_sheet([(red, ("",))] * 5, cell=CELL, columns=3)))
    assert sheet.size == (3 * (CELL + GAP) + GAP, 2 * (CELL + CAPTION_HEIGHT + GAP) + GAP)


@pytest.mark.parametrize("media", list(Media))
def test_a_sheet_is_the_same_bytes_twice(red: Path, media: Media) -> None:
    sheet = contact_sheet([(red, ("red",))], media=media)
    assert sheet == contact_sheet([(red, ("red",))], media=media)
    assert Image.open(io.BytesIO(sheet)).get_format_mimetype() == media.value


def test_a_sheet_that_would_fill_the_memory_is_refused(red: Path) -> None:
    with raises_code("sheet-too-large", "contact sheet"):
        contact_sheet([(red, ("",))] * 100_000)


def test_groups_of_pictures_are_further_apart(red: Path) -> None:
    entries = [(red, ("red",))] * 4
    sheet = np.asarray(Image.open(io.BytesIO(contact_sheet(entries, cell=CELL, columns=4, group=2))))
    is_white = (sheet[GAP] == 255).all(axis=-1)
    gaps = [len(gap) for gap in "".join("w" if white else "." for white in is_white).split(".") if gap]
    assert gaps == [GAP, GAP, GAP + GROUP_GAP, GAP, GAP]
