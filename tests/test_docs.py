"""Every command of docs/ runs and prints what its page shows; every link of the pages leads somewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from dermpack.bundle.bundle_record import derive_names
from dermpack.inference.interpreter_host import installed_runtimes
from tests.conftest import TINY
from tests.support import docs_workspace as docs_place
from tests.support.paths import REPOSITORY
from tests.support.readme_commands import play, steps
from tests.support.web_sites import RUNTIME

HOUSE = REPOSITORY
DOCS = HOUSE / "docs"
# These pages have tests of their own, or show what only a network connection can do.
BY_OTHER_TESTS = ("large-data.md", "studies.md", "walkthrough.md", "build.md", "python-api.md", "options.md")
PAGES = sorted(path for path in DOCS.glob("*.md") if path.name not in BY_OTHER_TESTS)
WITH_LINKS = [HOUSE / "README.md", HOUSE / "android_demo/README.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Its commands package LiteRT.js.
WITH_RUNTIME = "try-it-in-a-browser.md"
# These pages make the folder themselves; the others find it there.
MAKES = {"choosing-a-quantization.md": "exports", "your-own-data.md": "my-dataset"}

# The same commands in a tenth of the time: options that come last win.
QUICKER: dict[str, Sequence[str]] = {
    "data import": ("--jobs", "1"),
    "data check": ("--jobs", "1"),
    "train": (*TINY, "--epochs", "1"),
    "convert": ("--calibration", "20"),
    "benchmark": ("--threads", "1", "--kernels", "xnnpack", "--rounds", "6", "--seconds", "0"),
    "verify": ("--pictures", "2"),
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once; each page gets a copy."""
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("docs") / "demo"
    docs_place.make_demo(folder)
    docs_place.make_own_pictures(folder)
    docs_place.make_foreign_models(folder)
    return folder


@pytest.mark.pages
@pytest.mark.tensorflow
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_shows_true_commands_and_output(
    page: Path,
    demo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if page.name == WITH_RUNTIME:
        if not RUNTIME.is_dir():
            pytest.skip("npm has not stored the packages of LiteRT.js: make web does")
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / RUNTIME.name).symlink_to(RUNTIME)
        monkeypatch.setenv("DERMPACK_CACHE", str(tmp_path / "cache"))
    here = tmp_path / "demo"
    shutil.copytree(demo, here)
    if page.name in MAKES:
        shutil.rmtree(here / MAKES[page.name])
    docs_place.connect_phone(here, monkeypatch)
    docs_place.connect_pi(here, monkeypatch)
    monkeypatch.chdir(here)
    monkeypatch.setenv("COLUMNS", "120")
    for step in steps(page):
        play(step, capfd, more=quicker(step.arguments))


def quicker(arguments: Sequence[str]) -> Sequence[str]:
    if "--compare" in arguments:
        return ()  # it measures nothing
    more = QUICKER.get(" ".join(arguments[:2]), QUICKER.get(arguments[0], ()))
    return (*more, "--runtime", installed_runtimes()[0].package) if arguments[0] == "benchmark" else more


@pytest.mark.parametrize("name", ["skin", "My-skin-1.0"])
def test_the_page_on_android_shows_the_names_derived_from_a_name(name: str) -> None:
    page, names = (DOCS / "embedding-on-android.md").read_text(encoding="utf-8"), derive_names(name)
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    (header,) = (cells for cells in rows if f"`--name {name}`" in cells)
    column = header.index(f"`--name {name}`")
    below = rows[rows.index(header) + 1 :][:4]
    shown = [cells[column] for cells in below]
    assert shown == [name, f"`{names.slug}`", f"`{names.package}`", f"`{names.class_name}`"]


def test_every_page_stands_in_the_index() -> None:
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in DOCS.glob("[!R]*.md") if f"({page.name})" not in index] == []


@pytest.mark.parametrize("page", WITH_LINKS, ids=lambda path: str(path.relative_to(HOUSE)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    targets = LINK.findall(FENCE.sub("", page.read_text(encoding="utf-8")))
    assert [target for target in targets if not _leads(page, target)] == []


def _leads(page: Path, target: str) -> bool:
    """Whether the file is there, and the heading in it."""
    if target.startswith(("https://", "http://")):
        return True
    name, _, anchor = target.partition("#")
    path = (page.parent / name).resolve() if name else page
    return path.exists() and (not anchor or anchor in _anchors(path))


def _anchors(path: Path) -> set[str]:
    """The names that headings get: "Is it 2.1 × as fast?" → "is-it-21--as-fast"."""
    headings = HEADING.findall(FENCE.sub("", path.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
