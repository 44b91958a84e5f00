"""The files of the Android demo are consistent; `make android` builds them."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from dermpack.bundle.android_module import COMPILE_SDK, MIN_SDK, RUNTIME, read_java_sources
from tests.support.paths import REPOSITORY

DEMO = REPOSITORY / "android_demo"
APP = DEMO / "app" / "src" / "main"
MOCK = (DEMO / "mock" / "screens.html").read_text(encoding="utf-8")
READABLE = 4.5  # contrast of text, WCAG AA
TEXT_ON = {"text": "page", "quiet": "page", "passed": "page", "failed": "page", "on_notice": "notice"}


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
    script = (DEMO.parent / ".ci" / "android").read_text(encoding="utf-8")
    assert f"--min-sdk-version {catalog['minSdk']} --target-sdk-version {catalog['targetSdk']}" in script


def test_the_demo_has_no_second_copy_of_the_java() -> None:
    names = {path.name for path in (DEMO / "app").rglob("*.java")}
    assert not names & {*read_java_sources("pure"), *read_java_sources("android")}


def test_the_demo_needs_no_permission() -> None:
    assert "uses-permission" not in (APP / "AndroidManifest.xml").read_text(encoding="utf-8")


def test_all_texts_are_string_resources() -> None:
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


def test_the_disclaimer_is_next_to_the_result() -> None:
    text = (APP / "res" / "layout" / "main.xml").read_text(encoding="utf-8")
    assert text.index("@+id/bars") < text.index("@string/no_diagnosis") < text.index("@+id/pick")
