"""Contact sheets: many small pictures with captions on one image."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from dermpack.errors import InputError, PictureError, escape_unprintable
from dermpack.imaging.picture_decoder import PictureDecoder, Prepared
from dermpack.imaging.preprocessing import Policy
from dermpack.reporting.page import Media

Pillow: TypeAlias = Any  # a picture, pen or font: naming its class would import Pillow
Entry: TypeAlias = tuple[Path, tuple[str, ...]]  # a picture and its caption, line by line

GAP, GROUP_GAP = 4, 20  # pixels between cells, and more between groups of them
CAPTION_HEIGHT, CAPTION_SIZE = 16, 11  # of one line
MAX_CAPTION = 80  # characters of a line that are measured; the cell's width decides how many fit
FONT = "fonts/ttf/DejaVuSans.ttf"  # part of matplotlib; Pillow's own font has no ß, Ü or é
MAX_PIXELS = 40_000_000  # of a whole sheet: 120 MB in memory
JPEG_QUALITY = 85
WHITE, INK, EMPTY, CROSS = "#ffffff", "#1c2330", "#eceff3", "#a8480a"


def contact_sheet(
    entries: Sequence[Entry], *, cell: int = 128, columns: int = 6, group: int = 0, media: Media = Media.PNG
) -> bytes:
    """Draw each picture with its caption below; one that cannot be decoded becomes a crossed-out cell.

    With `group`, so many pictures of a row are closer to each other than to the next ones.
    """
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    columns = max(1, min(columns, len(entries)))
    rows = -(-len(entries) // columns)
    caption_height = CAPTION_HEIGHT * max((len(lines) for _, lines in entries), default=1)
    lefts = [GAP + column * (cell + GAP) for column in range(columns)]
    if group:
        lefts = [left + column // group * GROUP_GAP for column, left in enumerate(lefts)]
    size = (lefts[-1] + cell + GAP, rows * (cell + caption_height + GAP) + GAP)
    if size[0] * size[1] > MAX_PIXELS:
        what = f"too large: {size[0]}×{size[1]} pixels"
        raise InputError("contact sheet", what, "Show fewer pictures.", code="sheet-too-large")
    sheet = Image.new("RGB", size, WHITE)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.truetype(Path(matplotlib.get_data_path()) / FONT, CAPTION_SIZE)
    # All cells have the height of the longest caption.
    files = [path for path, _ in entries]
    with PictureDecoder() as decoder:
        cells = list(decoder.prepare_each(files, cell, policy=Policy.CENTRE_SQUARE))
    for index, (prepared, (_, lines)) in enumerate(zip(cells, entries, strict=True)):
        row, column = divmod(index, columns)
        left, top = lefts[column], GAP + row * (cell + caption_height + GAP)
        _draw_picture(sheet, pen, prepared, corner=(left, top), cell=cell)
        for number, line in enumerate(lines):
            place = (left, top + cell + number * CAPTION_HEIGHT)
            pen.text(place, _shorten_to_width(line, font, width=cell), fill=INK, font=font)
    buffer = io.BytesIO()
    sheet.save(buffer, media.name, quality=JPEG_QUALITY)  # a PNG ignores the quality
    return buffer.getvalue()


def _draw_picture(
    sheet: Pillow, pen: Pillow, prepared: Prepared, *, corner: tuple[int, int], cell: int
) -> None:
    from PIL import Image

    if isinstance(prepared, PictureError):  # a report must not fail because one picture is missing
        left, top = corner
        right, bottom = left + cell - 1, top + cell - 1
        pen.rectangle((left, top, right, bottom), fill=EMPTY, outline=CROSS)
        pen.line((left, top, right, bottom), fill=CROSS)
        pen.line((left, bottom, right, top), fill=CROSS)
    else:
        sheet.paste(Image.fromarray(prepared), corner)


def _shorten_to_width(line: str, font: Pillow, *, width: int) -> str:
    text = escape_unprintable(line)[:MAX_CAPTION]
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"
