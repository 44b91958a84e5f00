from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from dermpack.reporting.page import (
    RESEARCH_ONLY,
    Callout,
    Facts,
    Gallery,
    Image,
    Level,
    Media,
    Section,
    Table,
    image_files,
    is_figure,
    render_page,
)

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 7 }}"


def page_of(*sections: Section, title: str = "T") -> str:
    return render_page(title, subtitle="S", sections=sections)


def everything(text: str) -> Section:
    image = Image(data=b"png", alt=text, caption=text)
    return Section(
        text,
        [
            text,
            Callout(Level.WARNING, text),
            Facts([(text, text)]),
            Table(text, [text, text], [[text, text]]),
            image,
            Gallery([image]),
        ],
    )


class Tags(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_hostile_text_stays_text_in_every_block() -> None:
    page = render_page(HOSTILE, subtitle=HOSTILE, sections=[everything(HOSTILE)])
    tags = Tags(page)
    assert not tags.of("script")
    assert {attributes["alt"] for attributes in tags.of("img")} == {HOSTILE}
    assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)


def test_a_template_in_a_text_is_not_run() -> None:
    assert "{{ 7 * 7 }}" in page_of(Section("x", ["{{ 7 * 7 }}"]))


def test_control_characters_are_escaped() -> None:
    page = page_of(Section("x", ["a\x00b\u202ec\ud800d"]))
    assert r"a\x00b\u202ec\ud800d" in page
    assert page.encode("utf-8")


def test_the_same_sections_give_the_same_page() -> None:
    assert page_of(everything("x")) == page_of(everything("x"))


def test_nothing_is_fetched_from_outside() -> None:
    tags = Tags(page_of(everything("x")))
    assert not tags.of("link") and not tags.of("script") and not tags.of("iframe")
    assert all((attributes["src"] or "").startswith("data:image/") for attributes in tags.of("img"))
    assert all((attributes["href"] or "").startswith("#") for attributes in tags.of("a"))


def test_the_policy_admits_our_style_and_no_other() -> None:
    page = page_of()
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = Tags(page).of("meta")[1]["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_every_page_states_that_it_is_not_a_medical_device() -> None:
    assert RESEARCH_ONLY in page_of()


def test_the_contents_lead_to_each_section() -> None:
    page = page_of(*(Section(title, []) for title in ("Same", "Same", "皮肤")))
    links = [attributes["href"] for attributes in Tags(page).of("a")]
    anchors = [f"#{attributes['id']}" for attributes in Tags(page).of("h2")]
    assert links == anchors == ["#s1-same", "#s2-same", "#s3"]


def test_a_page_has_a_language_and_a_picture_an_alternative() -> None:
    tags = Tags(page_of(everything("x")))
    assert tags.of("html") == [{"lang": "en"}]
    assert all(attributes["alt"] for attributes in tags.of("img"))


def test_a_picture_carries_its_media_type() -> None:
    jpeg = Image(data=b"j", alt="a", media=Media.JPEG, is_photograph=True)
    assert jpeg.address == "data:image/jpeg;base64,ag=="


def test_every_picture_of_a_page_is_a_file_with_a_tame_name() -> None:
    png, jpeg = Image(data=b"p", alt="a"), Image(data=b"j", alt="a", media=Media.JPEG)
    sections = [
        Section("../../etc/passwd", [Gallery([png, jpeg])]),
        Section("皮", [png]),
    ]
    assert image_files(sections) == {
        "01-etc-passwd-1.png": b"p",
        "01-etc-passwd-2.jpg": b"j",
        "02-1.png": b"p",
    }


@pytest.mark.parametrize(
    "cell", ["5", "1,234", "12.5%", "-0.3", "± 0.02", "0.81 (0.79–0.83)", "414 (414)", "+0.5 (−0.5…+1.9)"]
)
def test_a_figure_is_set_to_the_right(cell: str) -> None:
    assert is_figure(cell)


@pytest.mark.parametrize("cell", ["", "nv", "50 (median of 4,167)", "0–9 years", "1" * 50])
def test_words_are_set_to_the_left(cell: str) -> None:
    assert not is_figure(cell)


def test_a_column_is_set_to_one_side() -> None:
    rows = [("a", "1", "0.5", "–"), ("b", "none", "–", "–")]
    table = Table("t", ("name", "mixed", "figures", "gaps"), rows)
    assert table.figure_columns == (False, False, True, False)


def test_a_caption_stands_outside_of_what_scrolls_below_it() -> None:
    table = Table("The caption", ("name", "n"), [("a", "1")])
    page = render_page("t", subtitle="s", sections=[Section("One", [table])])
    assert page.index('<p class="caption">The caption</p>') < page.index('<div class="scroll"')
    assert "<caption>" not in page


def test_a_cell_breaks_no_word_that_could_scroll() -> None:
    page = render_page("t", subtitle="s", sections=[])
    cells = page[page.index("th, td {") :].partition("}")[0]
    assert "overflow-wrap: break-word" in cells
