"""Bundles as they are made."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermpack.bundle.build_bundle import BuiltBundle, BundleRequest, make_bundle
from dermpack.bundle.bundle_record import BundleFormat
from dermpack.bundle.checksums import sums_text
from dermpack.bundle.label_meanings import read_meanings
from dermpack.bundle.names import names_of
from dermpack.bundle.texts.benchmark_times import read_times
from dermpack.bundle.texts.evaluation_scores import read_scores
from dermpack.bundle.texts.model_card import card_text
from dermpack.bundle.variants import Variant, read_variants
from dermpack.bundle.zip_archive import unzipped, zipped
from dermpack.evaluation.report_page import LABEL_COLUMNS, OVERALL
from dermpack.reporting.markdown import cell
from dermpack.storage.files import json_text, sha256_of
from tests.support.bundle_exports import write_exports
from tests.support.colour_model import LABELS
from tests.support.errors import raises_code
from tests.support.paths import REPOSITORY

HOUSE = REPOSITORY
REQUEST = BundleRequest(name="Skin lesions", version="2.1")
ASSETS = "src/main/assets/skin_lesions"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exports(tmp_path_factory.mktemp("bundle") / "exports")


@pytest.fixture(scope="module")
def made(exports: Path) -> BuiltBundle:
    return make_bundle(read_variants(exports, ("int8", "float32")), REQUEST)


@pytest.fixture(scope="module")
def files(made: BuiltBundle) -> dict[str, bytes]:
    """Below the module's folder."""
    found = unzipped(made.data, where="bundle")
    assert {name.partition("/")[0] for name in found} == {"skin_lesions"}
    return {name.partition("/")[2]: data for name, data in found.items()}


def test_the_same_exports_give_the_same_bytes(exports: Path, made: BuiltBundle) -> None:
    assert make_bundle(read_variants(exports, ("int8", "float32")), REQUEST) == made


def test_one_zip_is_the_same_on_every_python() -> None:
    digest = sha256_of(zipped({"b/c.txt": b"two", "a.txt": b"one", "empty": b""}))
    assert digest == "4b60fede16a19bb5e623db4ddc59fa286af21466084771bf8b012a6bbf11f8f5"


def test_a_module_holds_all_that_an_app_needs(files: dict[str, bytes]) -> None:
    wanted = """README.md MODEL_CARD.md LICENSE NOTICE SHA256SUMS bom.cdx.json bundle.json build.gradle.kts
    consumer-rules.pro src/main/AndroidManifest.xml""".split()  # noqa: SIM905 - a list to read
    wanted += [f"{ASSETS}/{name}" for name in ("model.tflite", "model.json", "labels.txt")]
    wanted += [f"{ASSETS}/float32/{name}" for name in ("model.tflite", "model.json")]
    wanted += [
        f"{ASSETS}/golden/golden.json",
        "src/main/java/dermpack/skin_lesions/SkinLesionsClassifier.java",
    ]
    assert set(wanted) <= set(files)


def test_model_and_contract_are_the_exports_own(exports: Path, files: dict[str, bytes]) -> None:
    for name in ("model.tflite", "model.json"):
        assert files[f"{ASSETS}/{name}"] == (exports / "int8" / name).read_bytes()
        assert files[f"{ASSETS}/float32/{name}"] == (exports / "float32" / name).read_bytes()
    assert files[f"{ASSETS}/labels.txt"].decode().splitlines() == list(LABELS)


def test_every_file_stands_in_the_sums(files: dict[str, bytes]) -> None:
    assert files["SHA256SUMS"].decode() == sums_text(files)
    assert files["SHA256SUMS"].count(b"\n") == len(files) - 1


def test_the_java_bears_the_models_name_and_no_other(files: dict[str, bytes]) -> None:
    sources = {name: data.decode() for name, data in files.items() if name.endswith(".java")}
    assert all("package dermpack.skin_lesions;" in source for source in sources.values())
    assert not any("dermpack.bundle" in source or "BundleClassifier" in source for source in sources.values())
    (main,) = [source for name, source in sources.items() if name.endswith("SkinLesionsClassifier.java")]
    assert 'INT8(""),\n        FLOAT32("float32/");' in main
    assert 'ASSETS = "skin_lesions";' in main


def test_only_one_class_knows_android(files: dict[str, bytes]) -> None:
    android = re.compile(r"^import (android|org\.tensorflow)", re.MULTILINE)
    knowing = [
        name for name, data in files.items() if name.endswith(".java") and android.search(data.decode())
    ]
    assert [Path(name).name for name in knowing] == ["SkinLesionsClassifier.java"]


def test_the_java_has_no_lambdas_and_no_androidx(files: dict[str, bytes]) -> None:
    sources = "".join(data.decode() for name, data in files.items() if name.endswith(".java"))
    assert "->" not in sources
    assert "::" not in sources
    assert "androidx" not in sources


def test_the_readme_states_types_sizes_and_bytes(files: dict[str, bytes]) -> None:
    text = files["README.md"].decode()
    assert "| int8 | `model.tflite`" in text
    assert "uint8 1×32×32×3, RGB, scale 0.0078431377, zero point 127 | 3,072 |" in text
    assert "float32 1×32×32×3, RGB, (pixel - 127.5) / 127.5 | 12,288 |" in text
    assert "SkinLesionsClassifier.open(context)" in text
    assert "$" not in text


def test_the_readme_shows_called_labels_in_its_lines_where_there_are_thresholds(exports: Path) -> None:
    (variant,) = read_variants(exports, ("int8",))
    plain = replace(variant, contract=replace(variant.contract, thresholds=()))
    texts = {has: readme(of) for has, of in ((True, variant), (False, plain))}
    for line in ("val called = result.called.map", "called = result.getCalled();", "mel from 0.3 on"):
        assert [line in texts[True], line in texts[False]] == [True, False]
    assert "is empty: no label of this model has a threshold" in texts[False]


def readme(variant: Variant) -> str:
    return unzipped(make_bundle([variant], REQUEST).data, where="bundle")["skin_lesions/README.md"].decode()


def test_labels_are_described_in_readme_and_card(exports: Path) -> None:
    variants = read_variants(exports, ("int8",))
    meanings = read_meanings(["mel=melanoma", "nv = a | mole"], LABELS)
    found = unzipped(make_bundle(variants, replace(REQUEST, meanings=meanings)).data, where="bundle")
    for page in ("README.md", "MODEL_CARD.md"):
        text = found[f"skin_lesions/{page}"].decode()
        assert f"| label | what it means |\n|---|---|\n| {LABELS[0]} |" in text
        assert "| mel | melanoma |\n| nv | a \\| mole |\n\n## " in text


@pytest.mark.parametrize(
    ("given", "code", "value"),
    [
        (["bcc=basal cell carcinoma"], "unknown-label", "akiec, mel, nv"),
        (["mel"], "invalid-option", "LABEL=WORDS"),
        (["mel=two\nlines"], "invalid-option", "LABEL=WORDS"),
        (["mel=melanoma", "mel=mole"], "invalid-option", "--describe mel"),
    ],
)
def test_a_description_of_nothing_is_refused(given: list[str], code: str, value: str) -> None:
    with raises_code(code, value):
        read_meanings(given, ("akiec", "mel", "nv"))


def test_the_readme_says_how_near_answers_must_be(files: dict[str, bytes]) -> None:
    text = files["README.md"].decode()
    assert "at most 2 of 255 levels apart" in text
    assert "at most 0.25 (int8), 0.0001 (float32) apart" in text


def test_the_card_says_figures_with_intervals_and_that_it_is_no_device(files: dict[str, bytes]) -> None:
    text = files["MODEL_CARD.md"].decode()
    assert "not a medical device. What it says is no diagnosis" in text
    assert "| balanced accuracy | 0.7900 | 0.8000 | -0.0100 (-0.0200 to +0.0000) |" in text
    assert "Split validation, n = 100" in text


def a_figure(value: float | None) -> dict[str, Any]:
    """What a report says of all pictures, of a slice or of a label, where all figures are one."""
    names = (*OVERALL, *LABEL_COLUMNS)
    ends = {f"{name}_ci95": value and [value - 0.1, value + 0.1] for name in names}
    return {**dict.fromkeys(names, value), **ends, "n": 9, "groups": 9}


def evaluation(sha256: str, **more: object) -> dict[str, Any]:
    return {
        **a_figure(0.5),
        "schema": 1,
        "split": "test",
        "model": {"sha256": sha256},
        "bootstrap": {"resamples": 1000},
        "dataset": {"sha256": sha256_of(b"rows"), "source": "so|urce"},
        "answered": None,
        "per_class": {"mel": a_figure(0.25)},
        "notes": [],
        "slices": [{**a_figure(None), "column": "sex", "value": "fe|male", "warning": "few"}],
        **more,
    }


def carded(folder: Path, exports: Path, **more: object) -> str:
    """The card of one variant, with an evaluation."""
    variants = read_variants(exports, ("int8",))
    report = evaluation(variants[0].contract.sha256, **more)
    (folder / "report.json").write_text(json_text(report), encoding="utf-8")
    bundle = make_bundle(variants, REQUEST).bundle
    return card_text(bundle, variants, read_scores([folder], variants)).decode()


def test_the_card_shows_figures_labels_and_slices_of_the_file_that_was_scored(
    tmp_path: Path, exports: Path
) -> None:
    text = carded(tmp_path, exports)
    assert "| balanced accuracy | 0.500 (0.400 to 0.600) |" in text
    assert "| mel | 9 | 0.250 (0.150 to 0.350) |" in text
    assert "| sex: fe\\|male (few: mostly chance) | 9 | 9 | – | – |" in text


def test_the_card_never_names_patients_whatever_was_evaluated(tmp_path: Path, exports: Path) -> None:
    data = {"sha256": sha256_of(b"rows"), "source": "source", "options": {"group": "who"}}
    few = {**a_figure(0.5), "warning": "few"}
    slices = [{**few, "column": column, "value": "P012"} for column in ("who", "Patientennr.")]
    slices += [{**few, "groups": 1, "column": "code", "value": f"P{at:03}"} for at in range(3)]
    text = carded(tmp_path, exports, dataset=data, slices=slices)
    assert "| all pictures | 9 | 9 |" in text
    assert "P0" not in text


def test_the_card_says_what_the_data_is_and_is_not(tmp_path: Path, exports: Path) -> None:
    data = {
        "sha256": sha256_of(b"rows"),
        "source": "so|urce",
        "caution": "One <b>camera</b>.",
        "options": {"seed": "3", "split": "70/15/15"},
        "counts": {"test": {"mel": 1}, "train": {"mel": 1200}, "validation": {"mel": 0}},
    }
    text = carded(tmp_path, exports, dataset=data)
    assert "so\\|urce, 1,201 pictures (seed 3, split 70/15/15):" in text
    assert "| label | train | test |" in text
    assert "| mel | 1,200 | 1 |" in text
    assert "Not for: pictures unlike those it knows. One &lt;b>camera&lt;/b>." in text


def test_the_card_says_how_much_was_answered(tmp_path: Path, exports: Path) -> None:
    answered = {"coverage": 0.9, "coverage_ci95": [0.8, 0.95], "accuracy": 0.7, "accuracy_ci95": None}
    text = carded(tmp_path, exports, answered=answered)
    assert "On the test split it answers 0.900 (0.800 to 0.950) of the pictures,\n  0.700 of these" in text


def timed(sha256: str) -> dict[str, Any]:
    environment = {"processor": "Cortex|A76", "cores": "4", "ai-edge-litert": "2.3.0"}
    result = {"model": "m", "target": "host", "runtime": "ai-edge-litert", "kernels": "xnnpack", "threads": 1}
    times = {"median_ms": 2.0, "median_ci95_ms": [1.9, 2.1], "p90_ms": 2.5, "rounds": 50, "warm_up_rounds": 9}
    refused = {**result, "kernels": "none", "refused": "crashes"}
    return {
        "schema": 1,
        "kind": "benchmark",
        "models": [{"name": "m", "sha256": sha256}],
        "targets": [{"target": "host", "environment": environment, "notes": ["busy"]}],
        "results": [{**result, **times}, refused],
    }


def test_the_card_tells_times_with_their_device(tmp_path: Path, exports: Path) -> None:
    variants = read_variants(exports, ("int8",))
    report = timed(variants[0].contract.sha256)
    (tmp_path / "report.json").write_text(json_text(report), encoding="utf-8")
    bundle = make_bundle(variants, REQUEST).bundle
    text = card_text(bundle, variants, timed=read_times([tmp_path], variants)).decode()
    assert "int8 on Cortex\\|A76, 4 cores. No other device is meant" in text
    assert "Note: busy." in text
    assert "| ai-edge-litert 2.3.0 | XNNPACK | 1 | 2.00 (1.90 to 2.10) | 2.50 | 50 (9) |" in text


@pytest.mark.parametrize(
    ("record", "code"), [(timed("0" * 64), "report-mismatch"), ({"schema": 1}, "invalid-format")]
)
def test_times_of_something_else_are_refused(
    tmp_path: Path, exports: Path, record: dict[str, Any], code: str
) -> None:
    (tmp_path / "report.json").write_text(json_text(record), encoding="utf-8")
    with raises_code(code, tmp_path / "report.json"):
        read_times([tmp_path], read_variants(exports, ("int8",)))


NC = "CC-BY-NC-4.0; Pictures by A. Author (2018)"


def licensed(variants: Sequence[Variant], text: str) -> list[Variant]:
    return [replace(of, contract=replace(of.contract, license=text)) for of in variants]


def test_a_licence_against_commerce_is_said_wherever_one_looks(exports: Path) -> None:
    variants = licensed(read_variants(exports, ("int8",)), NC)
    found = unzipped(make_bundle(variants, REQUEST).data, where="bundle")
    card, notice, readme = (
        found[f"skin_lesions/{name}"].decode() for name in ("MODEL_CARD.md", "NOTICE", "README.md")
    )
    assert "not for commerce" in card
    assert "- Not for: commerce" in card
    assert all("CC BY-NC 4.0" in text and "A. Author (2018)" in text for text in (card, notice, readme))
    bill = json.loads(found["skin_lesions/bom.cdx.json"])["components"][0]
    assert bill["licenses"][0]["license"]["id"] == "CC-BY-NC-4.0"
    assert bill["copyright"] == "Pictures by A. Author (2018)"


@pytest.mark.parametrize(
    ("text", "told"), [("", "Not stated"), ("by my own rules", "by my own rules"), ("CC0", "CC0 1.0")]
)
def test_any_licence_is_told(exports: Path, text: str, told: str) -> None:
    variants = licensed(read_variants(exports, ("int8",)), text)
    bundle = make_bundle(variants, REQUEST).bundle
    assert told in card_text(bundle, variants).decode()


def test_no_foreign_text_starts_markup_in_a_card(exports: Path) -> None:
    text = "# Safe\n![](https://tracker.example/x.png) a\\|b <img src=x>"
    variants = licensed(read_variants(exports, ("int8",)), f"CC-BY-4.0; {text}")
    card = card_text(make_bundle(variants, REQUEST).bundle, variants).decode()
    quoted = r"\# Safe !\[\](https://tracker.example/x.png) a\\\|b &lt;img src=x>"
    assert quoted in card.splitlines()
    assert cell(text) == quoted


def test_scores_of_another_model_are_refused(tmp_path: Path, exports: Path) -> None:
    record = {"schema": 1, "model": {"sha256": "0" * 64}}
    (tmp_path / "report.json").write_text(json_text(record), encoding="utf-8")
    with raises_code("report-mismatch", tmp_path / "report.json"):
        read_scores([tmp_path / "report.json"], read_variants(exports, ("int8",)))


def test_the_bill_of_materials_names_model_and_runtime(files: dict[str, bytes]) -> None:
    bill = json.loads(files["bom.cdx.json"])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    kinds = [of["type"] for of in bill["components"]]
    assert kinds == ["machine-learning-model", "machine-learning-model", "library"]
    assert bill["components"][0]["hashes"][0]["content"] == sha256_of(files[f"{ASSETS}/model.tflite"])
    assert bill["components"][2]["purl"] == "pkg:maven/com.google.ai.edge.litert/litert@1.4.2"
    references = {of["bom-ref"] for of in bill["components"]}
    assert set(bill["dependencies"][0]["dependsOn"]) == references


def test_the_licence_is_the_houses(files: dict[str, bytes]) -> None:
    assert files["LICENSE"] == (HOUSE / "LICENSE").read_bytes()
    assert b"CC0" in files["NOTICE"]


def test_bare_assets_come_without_a_frame(exports: Path) -> None:
    request = replace(REQUEST, format=BundleFormat.ASSETS)
    found = unzipped(make_bundle(read_variants(exports, ("int8",)), request).data, where="bundle")
    assert {"skin_lesions/model.tflite", "skin_lesions/golden/golden.json"} <= set(found)
    assert not any(name.endswith((".java", ".kts", ".xml")) for name in found)


@pytest.mark.parametrize(
    ("model", "slug", "class_name"),
    [
        ("Skin lesions", "skin_lesions", "SkinLesionsClassifier"),
        ("mobilenet_v2-1.0-160", "mobilenet_v2_1_0_160", "MobilenetV2_1_0_160Classifier"),
        ("Éczéma!", "eczema", "EczemaClassifier"),
        ("Weißfläche Ø", "weissflache_o", "WeissflacheOClassifier"),
    ],
)
def test_names_follow_from_the_models(model: str, slug: str, class_name: str) -> None:
    names = names_of(model)
    assert (names.slug, names.class_name) == (slug, class_name)


@pytest.mark.parametrize("model", ["", "123", "class", "皮膚", "../x y/..", "_"])
def test_a_name_that_no_program_can_bear_is_refused_or_made_safe(model: str) -> None:
    if model == "../x y/..":
        assert names_of(model).slug == "x_y"
        return
    with raises_code("invalid-option", repr(model), "--name"):
        names_of(model)


@pytest.mark.parametrize("version", ["1\n2", "v" * 65])
def test_a_version_that_is_no_short_line_is_refused(exports: Path, version: str) -> None:
    with raises_code("invalid-option", repr(version), "--version"):
        make_bundle(read_variants(exports, ("int8",)), replace(REQUEST, version=version))
