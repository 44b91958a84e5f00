"""One self-contained HTML page, readable on a phone, in the dark and on paper; no script runs in it."""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeAlias

from dermpack.errors import printable

TEMPLATES = Path(__file__).parent
RESEARCH_ONLY = "Research software, not a medical device: nothing on this page is a diagnosis."
FIGURE = re.compile(r"[-+−±<>≤≥~]?\s?[\d.,]*\d\s?(%|ms|s|px|KB|MB|KiB|MiB)?(\s?[(±–][\d\s.,%()±–−…+-]*)?")

GAPS = ("", "–")  # cells without a figure


class Media(Enum):
    """How a picture on a page is encoded."""

    PNG = "image/png"
    JPEG = "image/jpeg"


SUFFIX = {Media.PNG: "png", Media.JPEG: "jpg"}


class ImageBackground(Enum):
    """Whether a dark page may turn a picture's white dark."""

    DRAWING = "drawing"  # a plot on white: turned
    PHOTOGRAPH = "photograph"  # shown as it is


class Level(Enum):
    """How much a person should care."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One paragraph."""

    text: str

    @property
    def kind(self) -> str:
        return "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Callout:
    """One sentence that must not be missed."""

    level: Level
    text: str

    @property
    def kind(self) -> str:
        return "callout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The few figures that come first: (what, figure) pairs."""

    facts: Sequence[tuple[str, str]]

    @property
    def kind(self) -> str:
        return "facts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Cells as a person reads them; the first column names the row."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def kind(self) -> str:
        return "table"

    @property
    def figure_columns(self) -> tuple[bool, ...]:
        """Which columns are set to the right: those of figures alone, or of figures and gaps."""
        columns = [[row[at] for row in self.rows] for at in range(len(self.header))]
        return (False, *(_holds_figures(cells) for cells in columns[1:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture inside the page; `alt` says what a person who cannot see it should know."""

    data: bytes
    alt: str
    caption: str = ""
    media: Media = Media.PNG
    surface: ImageBackground = ImageBackground.DRAWING

    @property
    def kind(self) -> str:
        return "image"

    @property
    def address(self) -> str:
        return f"data:{self.media.value};base64,{base64.b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gallery:
    """Pictures side by side where the page is wide enough."""

    images: Sequence[Image]

    @property
    def kind(self) -> str:
        return "gallery"


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """A table that a person opens to see: the details of one sentence."""

    title: str
    table: Table

    @property
    def kind(self) -> str:
        return "fold"


Block: TypeAlias = Text | Callout | Facts | Table | Image | Gallery | Details


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading with what stands below it."""

    title: str
    blocks: Sequence[Block]


def render_page(title: str, *, subtitle: str, sections: Sequence[Section]) -> str:
    """Render the page; every text is escaped, the same sections give the same page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_harmless,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style = (TEMPLATES / "page.css.html.j2").read_text(encoding="utf-8")
    return environment.get_template("page.html.j2").render(
        title=title,
        subtitle=subtitle,
        numbered=tuple(zip(_anchors(section.title for section in sections), sections, strict=True)),
        research_only=RESEARCH_ONLY,
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii"),
    )


def image_files(sections: Sequence[Section]) -> dict[str, bytes]:
    """Every picture of the page as a file of its own: "02-classes-1.png" → its bytes."""
    files: dict[str, bytes] = {}
    for at, section in enumerate(sections, start=1):
        for number, image in enumerate(_images(section.blocks), start=1):
            stem = "-".join(part for part in (f"{at:02}", _slug(section.title), str(number)) if part)
            files[f"{stem}.{SUFFIX[image.media]}"] = image.data
    return files


def is_figure(cell: str) -> bool:
    """Whether a cell is set to the right: is_figure("12.5 %") → True; is_figure("nv") → False."""
    return FIGURE.fullmatch(cell.strip()) is not None if len(cell) < 40 else False


def _holds_figures(cells: Sequence[str]) -> bool:
    told = [cell for cell in cells if cell not in GAPS]
    return bool(told) and all(map(is_figure, told))


def _images(blocks: Sequence[Block]) -> Iterator[Image]:
    for block in blocks:
        if isinstance(block, Image):
            yield block
        elif isinstance(block, Gallery):
            yield from block.images


def _harmless(value: object) -> object:
    """Text without control characters, overrides of direction and lone surrogates; Markup passes."""
    return printable(value) if type(value) is str else value


def _anchors(titles: Iterable[str]) -> list[str]:
    """A link target a title: "Ärzte & <b>" → "s1-arzte-b"."""
    return [f"s{at}-{_slug(title)}".rstrip("-") for at, title in enumerate(titles, start=1)]


def _slug(title: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:40]
