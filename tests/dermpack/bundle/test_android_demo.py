"""The Android demo's files: what they say of themselves is so; `make android` builds them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from dermpack.bundle.java_sources import home_sources
from dermpack.bundle.module_layout import COMPILE_SDK, MIN_SDK, RUNTIME
from tests.support.paths import REPOSITORY

DEMO = REPOSITORY / "android_demo"
APP = DEMO / "app" / "src" / "main"
MOCK = (DEMO / "mock" / "screens.html").read_text(encoding="utf-8")
READABLE = 4.5  # contrast of text, WCAG AA
TEXT_ON = {"text": "page", "quiet": "page", "passed": "page", "failed": "page", "on_notice": "notice"}


def values(file: str) -> dict[str, str]:
    """The named values of a resource file."""
    root = ElementTree.parse(APP / "res" / file).getroot()
    return {str(of.get("name")): of.text or "" for of in root}


def luminance(colour: str) -> float:
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [of / 12.92 if of <= 0.04045 else ((of + 0.055) / 1.055) ** 2.4 for of in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_one_catalog_has_the_versions_that_a_bundle_pins() -> None:
    text = (DEMO / "gradle" / "libs.versions.toml").read_text(encoding="utf-8")
    catalog = dict(re.findall(r'^(\w+) = "([^"]+)"', text, re.MULTILINE))
    assert f"com.google.ai.edge.litert:litert:{catalog['litert']}" == RUNTIME
    assert (str(MIN_SDK), str(COMPILE_SDK)) == (catalog["minSdk"], catalog["compileSdk"])
    script = (DEMO.parent / ".ci" / "android").read_text(encoding="utf-8")
    assert f"--min-sdk-version {catalog['minSdk']} --target-sdk-version {catalog['targetSdk']}" in script


def test_the_demo_has_no_second_copy_of_the_java() -> None:
    names = {path.name for path in (DEMO / "app").rglob("*.java")}
    assert not names & {*home_sources("pure"), *home_sources("android")}


def test_the_demo_asks_for_no_permission() -> None:
    assert "uses-permission" not in (APP / "AndroidManifest.xml").read_text(encoding="utf-8")


def test_no_text_stands_outside_of_the_strings() -> None:
    for layout in (APP / "res" / "layout").glob("*.xml"):
        text = layout.read_text(encoding="utf-8")
        assert re.findall(r'android:(?:text|contentDescription)="(?!@string/)', text) == [], layout.name


@pytest.mark.parametrize("folder", ["values", "values-night"])
def test_every_text_is_readable(folder: str) -> None:
    colours = values(f"{folder}/colors.xml")
    for text, ground in TEXT_ON.items():
        assert contrast(colours[text], colours[ground]) >= READABLE, text


@pytest.mark.parametrize(("folder", "name"), [("values", "light"), ("values-night", "dark")])
def test_the_mock_has_the_apps_colours(folder: str, name: str) -> None:
    match = re.search(rf"^\.{name} {{(.*)}}$", MOCK, re.MULTILINE)
    assert match is not None
    shown = dict(re.findall(r"--(\w+): (#\w+);", match[1]))
    colours = values(f"{folder}/colors.xml")
    assert colours.items() <= shown.items()


def test_the_mock_has_the_apps_words() -> None:
    strings = values("values/strings.xml")
    shown = re.findall(r'data-string="(\w+)">([^<]*)<', MOCK)
    assert len({name for name, _ in shown}) >= 8
    assert {text for name, text in shown if strings[name] != text} == set()


def test_no_diagnosis_stands_where_the_result_is_read() -> None:
    text = (APP / "res" / "layout" / "main.xml").read_text(encoding="utf-8")
    assert text.index("@+id/bars") < text.index("@string/no_diagnosis") < text.index("@+id/pick")
