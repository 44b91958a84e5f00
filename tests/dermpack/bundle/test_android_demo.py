"""The files of the Android demo are consistent; `make android` and `make android-screens` run them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from dermpack.bundle.android_module import COMPILE_SDK, MIN_SDK, RUNTIME, read_java_sources
from tests.support.paths import REPOSITORY

DEMO = REPOSITORY / "android_demo"
APP = DEMO / "app" / "src" / "main"
READABLE = 4.5  # contrast of text, WCAG AA
TEXT_ON = (
    *(("text", "page"), ("quiet", "page"), ("passed", "page"), ("failed", "page"), ("primary", "page")),
    *(("text", "card"), ("quiet", "card"), ("primary", "card")),
    *(("on_notice", "notice"), ("on_alert", "alert"), ("on_primary", "primary"), ("on_tonal", "tonal")),
)
VISIBLE = 3.0  # contrast of what is not text
GRAPHICS = (("bar", "track"), ("outline", "page"), ("outline", "card"))


def values(file: str) -> dict[str, str]:
    """Return the named values of a resource file."""
    root = ElementTree.parse(APP / "res" / file).getroot()
    return {str(element.get("name")): element.text or "" for element in root}


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_the_catalog_has_the_versions_of_a_bundle() -> None:
    text = (DEMO / "gradle" / "libs.versions.toml").read_text(encoding="utf-8")
    catalog = dict(re.findall(r'^(\w+) = "([^"]+)"', text, re.MULTILINE))
    assert f"com.google.ai.edge.litert:litert:{catalog['litert']}" == RUNTIME
    assert (str(MIN_SDK), str(COMPILE_SDK)) == (catalog["minSdk"], catalog["compileSdk"])
    script = (DEMO.parent / ".ci" / "android-common").read_text(encoding="utf-8")
    assert f"--min-sdk-version {catalog['minSdk']} --target-sdk-version {catalog['targetSdk']}" in script


def test_the_demo_has_no_second_copy_of_the_java() -> None:
    names = {path.name for path in (DEMO / "app").rglob("*.java")}
    assert not names & {*read_java_sources("pure"), *read_java_sources("android")}


def test_the_demo_needs_no_permission() -> None:
    assert "uses-permission" not in (APP / "AndroidManifest.xml").read_text(encoding="utf-8")


def test_all_texts_are_string_resources() -> None:
    for layout in (APP / "res").glob("layout*/*.xml"):
        text = layout.read_text(encoding="utf-8")
        assert re.findall(r'android:(?:text|contentDescription)="(?!@string/)', text) == [], layout.name


@pytest.mark.parametrize("folder", ["values", "values-night"])
def test_every_text_is_readable(folder: str) -> None:
    colours = values(f"{folder}/colors.xml")
    for text, ground in TEXT_ON:
        assert contrast(colours[text], colours[ground]) >= READABLE, text
    for graphic, ground in GRAPHICS:
        assert contrast(colours[graphic], colours[ground]) >= VISIBLE, graphic


@pytest.mark.parametrize("folder", ["values", "values-night"])
def test_the_colours_of_the_phone_replace_only_known_ones(folder: str) -> None:
    night = "-night" if folder.endswith("night") else ""
    dynamic = values(f"values{night}-v31/colors.xml")
    assert dynamic.keys() <= values("values/colors.xml").keys()
    assert all(colour.startswith("@android:color/system_") for colour in dynamic.values())


def test_the_disclaimer_is_directly_above_the_answer() -> None:
    text = (APP / "res" / "layout" / "answer.xml").read_text(encoding="utf-8")
    ids = re.findall(r'"@\+id/(\w+)"', text)
    assert ids[ids.index("notice") + 1] == "label"
