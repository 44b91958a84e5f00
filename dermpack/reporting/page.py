"""Self-contained HTML pages from typed blocks, and Markdown; foreign text can break neither of them.

The pages are for a phone, a dark screen and paper, without scripts.
"""

from __future__ import annotations

import base64
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

from dermpack.errors import escape_unprintable

TEMPLATES = Path(__file__).parent
RESEARCH_ONLY = "Research software, not a medical device: nothing on this page is a diagnosis."
FIGURE = re.compile(r"[-+−±<>≤≥~]?\s?[\d.,]*\d\s?(%|ms|s|px|KB|MB|KiB|MiB)?(\s?[(±–][\d\s.,%()±–−…+-]*)?")
NO_VALUE = "–"
GAPS = ("", NO_VALUE)  # cells without a figure
MAX_DECIMALS = 16  # distinguish every float below 1 from 1
WITHOUT_LIMIT = ("fine_tune",)  # options for which None means all
# Characters with a meaning in Markdown, in the HTML inside it, or on GitHub.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@!&$])")


class Media(Enum):
    """How a picture on a page is encoded."""

    PNG = "image/png"
    JPEG = "image/jpeg"


SUFFIX = {Media.PNG: "png", Media.JPEG: "jpg"}


class Level(Enum):
    """How important a callout is."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Callout:
    """One highlighted sentence."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The most important figures: (name, figure) pairs."""

    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of formatted cells; the first column names the row."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def figure_columns(self) -> tuple[bool, ...]:
        """Which columns are right-aligned: those with figures, and gaps, only."""
        columns = [[row[index] for row in self.rows] for index in range(1, len(self.header))]
        filled = ([cell for cell in column if cell not in GAPS] for column in columns)
        return (False, *(bool(cells) and all(map(is_figure, cells)) for cells in filled))


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A picture inside the page; `alt` describes it for screen readers."""

    data: bytes
    alt: str
    caption: str = ""
    media: Media = Media.PNG
    is_photograph: bool = False  # a dark page inverts the white of a plot only

    @property
    def address(self) -> str:
        return f"data:{self.media.value};base64,{base64.b64encode(self.data).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures next to each other if the page is wide enough."""

    images: Sequence[Image]


@dataclass(frozen=True, slots=True)
class Details:
    """A table that is collapsed until the reader opens it."""

    title: str
    table: Table


@dataclass(frozen=True, slots=True)
class Links:
    """Files next to the page: (path relative to it, what the file shows) pairs."""

    links: Sequence[tuple[str, str]]


# A string is one paragraph.
Block: TypeAlias = str | Callout | Facts | Table | Image | Gallery | Details | Links


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with the blocks below it."""

    title: str
    blocks: Sequence[Block]


def callouts(texts: Iterable[str], *, level: Level = Level.WARNING) -> list[Callout]:
    """Return each text as a highlighted sentence."""
    return [Callout(level, text) for text in texts]


def select_images(plots: Mapping[str, bytes], names: Iterable[str], alt: Mapping[str, str]) -> list[Image]:
    """Return those of the plots that exist; `alt` has the description of each, which is also its caption."""
    return [Image(data=plots[name], alt=alt[name], caption=alt[name]) for name in names if name in plots]


def render_page(title: str, *, subtitle: str, sections: Sequence[Section]) -> str:
    """Return the HTML page; every text is escaped, and the same sections give the same page."""
    style = (TEMPLATES / "page.css.html.j2").read_text(encoding="utf-8")
    # "Ärzte & <b>" → "s1-arzte-b"
    anchors = (f"s{index}-{_slug(section.title)}".rstrip("-") for index, section in enumerate(sections, 1))
    values = {
        "title": title,
        "subtitle": subtitle,
        "numbered": tuple(zip(anchors, sections, strict=True)),
        "research_only": RESEARCH_ONLY,
        "style": style,
        # The content security policy allows this style sheet only, by its hash.
        "style_hash": base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii"),
    }
    return render_template(TEMPLATES / "page.html.j2", values, escape=escape_unprintable)


def render_template(template: Path, values: Mapping[str, object], *, escape: Callable[[str], str]) -> str:
    """Return the rendered template; `escape` is applied to every text, HTML is escaped in *.html.j2."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    def finalize(value: object) -> object:
        # Not isinstance: Markup, a subclass of str, is the output of a macro and escaped already.
        return escape(value) if type(value) is str else value

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=template.name.endswith(".html.j2"),
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(values)


def image_files(sections: Sequence[Section]) -> dict[str, bytes]:
    """Return every picture of the page as a file: "02-classes-1.png" → its bytes."""
    files: dict[str, bytes] = {}
    for index, section in enumerate(sections, start=1):
        images: list[Image] = []
        for block in section.blocks:
            if isinstance(block, Image):
                images.append(block)
            elif isinstance(block, Gallery):
                images += block.images
        for number, image in enumerate(images, start=1):
            stem = "-".join(part for part in (f"{index:02}", _slug(section.title), str(number)) if part)
            files[f"{stem}.{SUFFIX[image.media]}"] = image.data
    return files


def is_figure(cell: str) -> bool:
    """Return whether a cell is a figure: is_figure("12.5 %") → True; is_figure("nv") → False."""
    return FIGURE.fullmatch(cell.strip()) is not None if len(cell) < 40 else False


def option_text(name: str, value: Any) -> str:
    """Format an option: [] → "none", [4, 8] → "4,8", {"flips": true, "shift": 0} → "flips yes"."""
    match value:
        case None:
            return "all" if name in WITHOUT_LIMIT else "none"
        case bool():
            return "yes" if value else "no"
        case {"sha256": str(sha256)}:
            return f"a file, sha256 {sha256[:12]}…"
        case dict():
            given = {part.replace("_", " "): option_text(part, item) for part, item in value.items() if item}
            return ", ".join(f"{part} {item}" for part, item in given.items()) or "none"
        case list() if value and isinstance(value[0], list):
            return ", ".join(f"{label} {wanted:g}" for label, wanted in value)
        case list():
            return ",".join(option_text(name, item) for item in value) or "none"
        case float():
            return f"{value:g}"
    return str(value) or NO_VALUE


def threshold_text(threshold: float) -> str:
    """Format a probability so that it is not rounded to 0 or 1: 0.5 → "0.500", 0.999984 → "0.99998"."""
    text = f"{threshold:.3f}"
    if 0 < threshold < 1 and float(text) in (0, 1):
        decimals = (f"{threshold:.{count}f}" for count in range(4, MAX_DECIMALS + 1))
        return next((longer for longer in decimals if 0 < float(longer) < 1), f"{threshold:g}")
    return text


def _slug(title: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode("ascii")
    return re.sub(r"[^a-z0-9]+", "-", ascii_only.lower()).strip("-")[:40]


def escape_markdown(text: str) -> str:
    """Escape every character that could start markup: "a_b" → "a\\_b"."""
    return SPECIAL.sub(r"\\\1", escape_unprintable(text))


def markdown_cell(text: str) -> str:
    """Return one line that breaks no table and starts no heading, link or image."""
    line = re.sub(r"([\\|\[\]])", r"\\\1", to_one_line(text))
    return re.sub(r"^(?=[#>=~+*-])", r"\\", line.replace("<", "&lt;").replace("`", "'"))


def to_one_line(text: str) -> str:
    """Return the text without line breaks and control characters: "a\\n b" → "a b"."""
    return escape_unprintable(" ".join(text.split()))
