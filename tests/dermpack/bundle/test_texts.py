"""Foreign texts in the documents of a bundle cannot forge lines or markup."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.variants import Variant, read_variants
from dermpack.bundle.zip_archive import unpack_files
from dermpack.contract import RuntimeResult, format_contract, summarize_runtimes
from dermpack.reporting.page import markdown_cell, to_one_line
from tests.support.bundle_exports import write_export
from tests.support.colour_model import LABELS
from tests.support.errors import raises_code

FORGED = "Code: public domain."
HOSTILE = f"x\n{FORGED}\r\n# {FORGED}\u2028{FORGED}\x85{FORGED}\x0c{FORGED}"
MARKUP = "\x1b[31m \u202e ![a](https://tracker.example/x.png) [b](javascript:c) <script>d</script> | `e`"
PAGES = ("NOTICE", "MODEL_CARD.md", "README.md")
LINK = re.compile(r"(?<!\\)\]\((?!https://creativecommons\.org/)")


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Variant:
    (variant,) = read_variants(write_export(tmp_path_factory.mktemp("texts") / "export"))
    return variant


def pages(variant: Variant, **fields: Any) -> Mapping[str, str]:
    """Return the documents of a bundle with these values in its contract."""
    changed = replace(variant, contract=replace(variant.contract, **fields))
    files = unpack_files(build_bundle([changed], BundleRequest(name="skin")).data, where="bundle")
    return {name: files[f"skin/{name}"].decode() for name in PAGES}


@pytest.mark.parametrize("spdx", ["", "CC-BY-NC-4.0; "])
def test_no_licence_forges_a_line_or_markup(variant: Variant, spdx: str) -> None:
    for name, text in pages(variant, license=f"{spdx}{HOSTILE} {MARKUP}").items():
        harmless(text, is_plain=name == "NOTICE")
        assert FORGED in text


def test_no_text_of_a_contract_forges_a_line_or_markup(variant: Variant) -> None:
    contract, foreign = variant.contract, f"{HOSTILE} {MARKUP}"
    label = "![a](https://tracker.example/x.png) <img src=x> | `b`"
    tried = RuntimeResult(
        runtime="ai-edge-litert", version=foreign, delegate=foreign, works=True, result=foreign
    )
    fields = {
        "name": foreign,
        "intended_use": foreign,
        "labels": (label, *LABELS[1:]),
        "recipe": replace(contract.recipe, method=foreign),
        "calibration": contract.calibration and replace(contract.calibration, per_label={}, split=foreign),
        "thresholds": [replace(point, label=label) for point in contract.thresholds],
        "runtimes": summarize_runtimes((tried,)),
        "accuracy": tuple(replace(accuracy, split=foreign) for accuracy in contract.accuracy),
    }
    for name, text in pages(variant, **fields).items():
        harmless(text, is_plain=name == "NOTICE")


def harmless(text: str, *, is_plain: bool) -> None:
    lines = text.split("\n")
    assert not any(line.lstrip(" #>-").startswith(FORGED) for line in text.splitlines())
    assert [line for line in lines if not line.isprintable()] == []
    if not is_plain:
        assert not LINK.search(text)
        assert "<script" not in text
        assert "<img" not in text


@pytest.mark.parametrize(("field", "text"), [("name", "two\nlines"), ("version", "1\n2"), ("version", "")])
def test_a_contract_whose_name_or_version_is_not_a_short_line_is_rejected(
    variant: Variant, field: str, text: str
) -> None:
    fields: dict[str, Any] = {field: text}
    changed = replace(variant, contract=replace(variant.contract, **fields))
    with raises_code("invalid-option", f"{field} {text!r}", f"--{field}"):
        build_bundle([changed], BundleRequest())


def test_a_recipe_that_cannot_name_a_folder_is_rejected(variant: Variant, tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export")
    other = replace(variant.contract, recipe=replace(variant.contract.recipe, name="../int8"))
    (folder / "model.json").write_text(format_contract(other), encoding="utf-8")
    with raises_code("invalid-format", folder / "model.json", "../int8"):
        read_variants(folder)


def test_plain_text_is_unchanged() -> None:
    text = "HAM10000 by P. Tschandl et al. (2018), doi:10.1038/sdata.2018.161; é, 皮膚"
    assert (to_one_line(text), markdown_cell(text)) == (text, text)
