"""Contact sheets: many pictures at a glance, as a model would see them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from dermpack.errors import InputError, PictureError, printable
from dermpack.imaging import prepare
from dermpack.reporting.page import Media

Sheet: TypeAlias = Any  # PIL.Image.Image: to name it would load Pillow
Pen: TypeAlias = Any  # PIL.ImageDraw.ImageDraw
Font: TypeAlias = Any  # PIL.ImageFont.FreeTypeFont

Entry: TypeAlias = tuple[Path, tuple[str, ...]]  # a picture, and what stands below it, line by line

GAP = 4
CAPTION_HEIGHT, CAPTION_SIZE = 16, 11  # of one line
MAX_CAPTION = 80  # characters of a line looked at; the width of the cell decides
FONT = "fonts/ttf/DejaVuSans.ttf"  # comes with matplotlib: Pillow's own letters have no ß, Ü or é
MAX_PIXELS = 40_000_000  # of a whole sheet: 120 MB in memory
JPEG_QUALITY = 85
WHITE, INK, EMPTY, CROSS = "#ffffff", "#1c2330", "#eceff3", "#a8480a"


def contact_sheet(
    entries: Sequence[Entry], *, cell: int = 128, columns: int = 6, media: Media = Media.PNG
) -> bytes:
    """Draw each picture with its lines below it; one that cannot be decoded is a crossed, empty cell."""
    from PIL import Image, ImageDraw

    columns = max(1, min(columns, len(entries)))
    rows = -(-len(entries) // columns)
    below = CAPTION_HEIGHT * max((len(lines) for _, lines in entries), default=1)
    size = (columns * (cell + GAP) + GAP, rows * (cell + below + GAP) + GAP)
    if size[0] * size[1] > MAX_PIXELS:
        what = f"too large: {size[0]}×{size[1]} pixels"
        raise InputError("contact sheet", what, "Show fewer pictures.", code="sheet-too-large")
    sheet = Image.new("RGB", size, WHITE)
    pen, font = ImageDraw.Draw(sheet), _font()
    for at, (path, lines) in enumerate(entries):
        row, column = divmod(at, columns)
        corner = (GAP + column * (cell + GAP), GAP + row * (cell + below + GAP))
        _draw_picture(sheet, pen, path, corner=corner, cell=cell)
        for number, line in enumerate(lines):
            under = (corner[0], corner[1] + cell + number * CAPTION_HEIGHT)
            pen.text(under, _fitting(line, font, width=cell), fill=INK, font=font)
    return _encoded(sheet, media)


def _draw_picture(sheet: Sheet, pen: Pen, path: Path, *, corner: tuple[int, int], cell: int) -> None:
    from PIL import Image

    try:
        pixels = prepare(path, cell)
    except (PictureError, OSError):  # a report shows what is there, and what is not
        left, top = corner
        right, bottom = left + cell - 1, top + cell - 1
        pen.rectangle((left, top, right, bottom), fill=EMPTY, outline=CROSS)
        pen.line((left, top, right, bottom), fill=CROSS)
        pen.line((left, bottom, right, top), fill=CROSS)
    else:
        sheet.paste(Image.fromarray(pixels), corner)


def _font() -> Font:
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(Path(matplotlib.get_data_path()) / FONT, CAPTION_SIZE)


def _fitting(line: str, font: Font, *, width: int) -> str:
    text = printable(line)[:MAX_CAPTION]
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _encoded(sheet: Sheet, media: Media) -> bytes:
    buffer = io.BytesIO()
    if media is Media.JPEG:
        sheet.save(buffer, "JPEG", quality=JPEG_QUALITY)
    else:
        sheet.save(buffer, "PNG")
    return buffer.getvalue()
