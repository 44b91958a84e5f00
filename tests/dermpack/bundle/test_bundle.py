"""Building bundles: files, documents and names."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dermpack.bundle.build_bundle import BuiltBundle, BundleRequest, build_bundle
from dermpack.bundle.bundle_record import BundleFormat, GoldenPlace, derive_names
from dermpack.bundle.documents import read_meanings, render_model_card
from dermpack.bundle.read_bundle import read_bundle
from dermpack.bundle.reports import ScoredDataset, ThresholdScore, VariantScores, read_scores, read_times
from dermpack.bundle.variants import Variant, describe_labels, read_variants
from dermpack.bundle.zip_archive import format_checksums, pack_files, unpack_files
from dermpack.contract import Parents, QualityGates, SourceKind, parse_contract
from dermpack.evaluation.report import LABEL_COLUMNS, OVERALL
from dermpack.reporting.page import markdown_cell
from dermpack.storage.files import format_json, sha256_of
from tests.support.bundle_exports import write_exports
from tests.support.colour_model import LABELS
from tests.support.errors import raises_code
from tests.support.hostile_pictures import encoded, scene
from tests.support.paths import REPOSITORY

REQUEST = BundleRequest(name="Skin lesions", version="2.1")
ASSETS = "src/main/assets/skin_lesions"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exports(tmp_path_factory.mktemp("bundle") / "exports")


@pytest.fixture(scope="module")
def built(exports: Path) -> BuiltBundle:
    return build_bundle(read_variants(exports, ("int8", "float32")), REQUEST)


@pytest.fixture(scope="module")
def files(built: BuiltBundle) -> dict[str, bytes]:
    """Return the files below the folder of the module."""
    found = unpack_files(built.data, where="bundle")
    assert {name.partition("/")[0] for name in found} == {"skin_lesions"}
    return {name.partition("/")[2]: data for name, data in found.items()}


def test_the_same_exports_give_the_same_bytes(exports: Path, built: BuiltBundle) -> None:
    assert build_bundle(read_variants(exports, ("int8", "float32")), REQUEST) == built


def test_one_zip_is_the_same_on_every_python() -> None:
    digest = sha256_of(pack_files({"b/c.txt": b"two", "a.txt": b"one", "empty": b""}))
    assert digest == "4b60fede16a19bb5e623db4ddc59fa286af21466084771bf8b012a6bbf11f8f5"


def test_a_module_contains_everything_an_app_needs(files: dict[str, bytes]) -> None:
    wanted = """README.md MODEL_CARD.md LICENSE NOTICE SHA256SUMS bom.cdx.json bundle.json build.gradle.kts
    consumer-rules.pro src/main/AndroidManifest.xml""".split()  # noqa: SIM905 - a list to read
    wanted += [f"{ASSETS}/{name}" for name in ("model.tflite", "model.json", "labels.txt")]
    wanted += [f"{ASSETS}/float32/{name}" for name in ("model.tflite", "model.json")]
    wanted += [
        "src/debug/assets/skin_lesions/golden/golden.json",
        "src/androidTest/java/dermpack/skin_lesions/SkinLesionsClassifierSelfCheckTest.java",
        "src/main/java/dermpack/skin_lesions/SkinLesionsClassifier.java",
    ]
    assert set(wanted) <= set(files)


def test_model_and_contract_are_those_of_the_export(exports: Path, files: dict[str, bytes]) -> None:
    for name in ("model.tflite", "model.json"):
        assert files[f"{ASSETS}/{name}"] == (exports / "int8" / name).read_bytes()
        assert files[f"{ASSETS}/float32/{name}"] == (exports / "float32" / name).read_bytes()
    assert files[f"{ASSETS}/labels.txt"].decode().splitlines() == list(LABELS)


def test_the_checksums_list_every_file(files: dict[str, bytes]) -> None:
    assert files["SHA256SUMS"].decode() == format_checksums(files)
    assert files["SHA256SUMS"].count(b"\n") == len(files) - 1


def test_the_java_has_the_name_of_the_model_only(files: dict[str, bytes]) -> None:
    sources = {name: data.decode() for name, data in files.items() if name.endswith(".java")}
    assert all("package dermpack.skin_lesions;" in source for source in sources.values())
    assert not any("dermpack.bundle" in source or "BundleClassifier" in source for source in sources.values())
    (main,) = [source for name, source in sources.items() if name.endswith("SkinLesionsClassifier.java")]
    assert 'INT8(""),\n        FLOAT32("float32/");' in main
    assert 'ASSETS = "skin_lesions";' in main


def test_only_one_class_imports_android(files: dict[str, bytes]) -> None:
    android = re.compile(r"^import (android|org\.tensorflow)", re.MULTILINE)
    knowing = [
        name
        for name, data in files.items()
        if name.startswith("src/main/") and name.endswith(".java") and android.search(data.decode())
    ]
    assert [Path(name).name for name in knowing] == ["SkinLesionsClassifier.java"]


def test_the_java_has_no_lambdas_and_no_androidx(files: dict[str, bytes]) -> None:
    shipped = (
        data for name, data in files.items() if name.startswith("src/main/") and name.endswith(".java")
    )
    sources = "".join(data.decode() for data in shipped)
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


def test_the_readme_uses_called_labels_only_if_there_are_thresholds(exports: Path) -> None:
    (variant,) = read_variants(exports, ("int8",))
    plain = replace(variant, contract=replace(variant.contract, thresholds=()))
    texts = {has: readme(shown) for has, shown in ((True, variant), (False, plain))}
    for line in (
        "val called = result.called.map",
        "called = result.getCalled();",
        "  - mel from 0.3 on: finds",
    ):
        assert [line in texts[True], line in texts[False]] == [True, False]
    assert "is empty: no label of this model has a threshold" in texts[False]


@pytest.mark.parametrize("page", [BundleFormat.MODULE, BundleFormat.WEB])
def test_readmes_and_card_state_what_a_threshold_costs(exports: Path, page: BundleFormat) -> None:
    (variant,) = read_variants(exports, ("int8",))
    point = replace(variant.contract.thresholds[0], wanted_sensitivity=0.95, sensitivity=71 / 74)
    point = replace(point, threshold=0.018, specificity=0.59, positives=74, n=900)
    changed = replace(variant, contract=replace(variant.contract, thresholds=(point,)))
    built = build_bundle([changed], replace(REQUEST, format=page, golden_in=GoldenPlace.NONE, runtime={}))
    cost = "mel from 0.018 on: finds 95.9 % of its 74 pictures, and also calls 41 % of the other 826"
    for text in (built.files["README.md"].decode(), built.card.decode().partition("## Accuracy")[2]):
        assert f"{cost} (validation split, n = 900)" in text
        assert "test split" not in text


@pytest.mark.parametrize("page", [BundleFormat.MODULE, BundleFormat.WEB])
def test_readmes_and_card_state_what_a_threshold_costs_on_other_pictures(
    exports: Path, page: BundleFormat
) -> None:
    (variant,) = read_variants(exports, ("int8",))
    (point,) = variant.contract.thresholds[:1]
    found = ThresholdScore(
        label=point.label,
        threshold=point.threshold,
        sensitivity=0.5,
        specificity=0.25,
        positives=8,
        n=48,
        split="test",
    )
    old = replace(found, threshold=point.threshold / 2, sensitivity=0.125)  # of another threshold
    scores = VariantScores(
        variant="int8",
        split="test",
        n=48,
        groups=48,
        resamples=1000,
        data=ScoredDataset(),
        figures={},
        labels=(),
        thresholds=(found, old),
        answered={},
        notes=(),
        rows=(),
    )
    request = replace(REQUEST, format=page, golden_in=GoldenPlace.NONE, runtime={}, scores=(scores,))
    built = build_bundle([variant], request)
    cost = "; finds 50 % of its 8 pictures, and also calls 75 % of the other 40 (test split, n = 48)"
    for text in (built.files["README.md"].decode(), built.card.decode()):
        assert text.count(cost) == 1
        assert "12.5 %" not in text


@pytest.mark.parametrize("page", [BundleFormat.MODULE, BundleFormat.WEB])
def test_readmes_state_that_a_refused_picture_has_no_label(exports: Path, page: BundleFormat) -> None:
    (variant,) = read_variants(exports, ("int8",))
    request = replace(REQUEST, format=page, golden_in=GoldenPlace.NONE, runtime={})
    assert "This model refuses no picture" in build_bundle([variant], request).files["README.md"].decode()
    limits = {"least_sharpness": 1, "least_brightness": 1, "most_white_percent": 99}
    gates = QualityGates(**limits, accepted=0.99, n=100, split="validation")
    guarded = replace(variant, contract=replace(variant.contract, quality=gates))
    text = build_bundle([guarded], request).files["README.md"].decode()
    assert "Of a refused picture the probabilities mean nothing" in text


@pytest.mark.parametrize("page", [BundleFormat.MODULE, BundleFormat.WEB])
@pytest.mark.parametrize("end", ["", " ", ".", "!"])
def test_readmes_repeat_the_caution_of_the_dataset_as_a_sentence(
    tmp_path: Path, exports: Path, page: BundleFormat, end: str
) -> None:
    variants = read_variants(exports, ("int8",))
    data = {"sha256": sha256_of(b"rows"), "source": "source", "caution": f"No <b>photographs</b>{end}"}
    report = evaluation(variants[0].contract.sha256, dataset=data)
    (tmp_path / "report.json").write_text(format_json(report), encoding="utf-8")
    scores = read_scores([tmp_path], variants)
    built = build_bundle(
        variants, replace(REQUEST, format=page, golden_in=GoldenPlace.NONE, runtime={}, scores=scores)
    )
    text = built.files["README.md"].decode()
    assert f"No &lt;b>photographs&lt;/b>{end.strip() or '.'} It is not for pictures" in text


def readme(variant: Variant) -> str:
    return unpack_files(build_bundle([variant], REQUEST).data, where="bundle")[
        "skin_lesions/README.md"
    ].decode()


def test_labels_are_described_in_readme_and_card(exports: Path) -> None:
    variants = read_variants(exports, ("int8",))
    meanings = read_meanings(["mel=melanoma", "nv = a | mole"], LABELS)
    found = unpack_files(build_bundle(variants, replace(REQUEST, meanings=meanings)).data, where="bundle")
    for page in ("README.md", "MODEL_CARD.md"):
        text = found[f"skin_lesions/{page}"].decode()
        assert f"| label | what it means |\n|---|---|\n| {LABELS[0]} |" in text
        assert "| mel | melanoma |\n| nv | a \\| mole |\n\n## " in text
    contract = json.loads(found[f"skin_lesions/{ASSETS}/model.json"])
    assert contract["meanings"] == {"mel": "melanoma", "nv": "a | mole"}


def test_meanings_of_the_export_stay_unless_they_are_described_again(exports: Path) -> None:
    (variant,) = read_variants(exports, ("int8",))
    described = describe_labels(variant, {"mel": "melanoma", "nv": "mole"})
    again = describe_labels(described, {"nv": "a mole"})
    assert again.contract.meanings == {"mel": "melanoma", "nv": "a mole"}
    assert parse_contract(json.loads(again.contract_bytes), where="") == again.contract
    assert describe_labels(again, {}) is again


@pytest.mark.parametrize(
    ("given", "code", "value"),
    [
        (["bcc=basal cell carcinoma"], "unknown-label", "akiec, mel, nv"),
        (["mel"], "invalid-option", "LABEL=WORDS"),
        (["mel=two\nlines"], "invalid-option", "LABEL=WORDS"),
        (["mel=melanoma", "mel=mole"], "invalid-option", "--describe mel"),
    ],
)
def test_an_invalid_description_is_rejected(given: list[str], code: str, value: str) -> None:
    with raises_code(code, value):
        read_meanings(given, ("akiec", "mel", "nv"))


def test_the_readme_states_the_allowed_differences(files: dict[str, bytes]) -> None:
    text = files["README.md"].decode()
    assert "at most 2 of 255 levels apart" in text
    assert "at most 0.25 (int8), 0.0001 (float32) apart" in text


def test_the_card_has_figures_with_intervals_and_the_disclaimer(files: dict[str, bytes]) -> None:
    text = files["MODEL_CARD.md"].decode()
    assert "not a medical device. Its output is not a diagnosis" in text
    assert "| balanced accuracy | 0.7900 | 0.8000 | -0.0100 (-0.0200 to +0.0000) |" in text
    assert "Split validation, n = 100" in text


def a_figure(value: float | None) -> dict[str, Any]:
    """Return the record of a slice or a label in a report; all figures have the same value."""
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
    """Return the card of one variant with an evaluation."""
    variants = read_variants(exports, ("int8",))
    report = evaluation(variants[0].contract.sha256, **more)
    (folder / "report.json").write_text(format_json(report), encoding="utf-8")
    bundle = build_bundle(variants, REQUEST).bundle
    return render_model_card(bundle, variants, read_scores([folder], variants)).decode()


def test_the_card_shows_figures_labels_and_slices_of_the_evaluation(tmp_path: Path, exports: Path) -> None:
    text = carded(tmp_path, exports)
    assert "| balanced accuracy | 0.500 (0.400 to 0.600) |" in text
    assert "| mel | 9 | 0.250 (0.150 to 0.350) |" in text
    assert "| sex: fe\\|male (few: mostly chance) | 9 | 9 | – | – |" in text


def test_the_card_never_names_patients(tmp_path: Path, exports: Path) -> None:
    data = {"sha256": sha256_of(b"rows"), "source": "source", "options": {"group": "who"}}
    few = {**a_figure(0.5), "warning": "few"}
    slices = [{**few, "column": column, "value": "P012"} for column in ("who", "Patientennr.")]
    slices += [{**few, "groups": 1, "column": "code", "value": f"P{at:03}"} for at in range(3)]
    text = carded(tmp_path, exports, dataset=data, slices=slices)
    assert "| all pictures | 9 | 9 |" in text
    assert "P0" not in text


def test_the_card_describes_the_data_and_its_limits(tmp_path: Path, exports: Path) -> None:
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
    assert "Not for: pictures unlike its training data. One &lt;b>camera&lt;/b>." in text


def test_the_card_shows_how_many_pictures_were_answered(tmp_path: Path, exports: Path) -> None:
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


def test_the_card_shows_times_with_their_device(tmp_path: Path, exports: Path) -> None:
    variants = read_variants(exports, ("int8",))
    report = timed(variants[0].contract.sha256)
    (tmp_path / "report.json").write_text(format_json(report), encoding="utf-8")
    bundle = build_bundle(variants, REQUEST).bundle
    text = render_model_card(bundle, variants, times=read_times([tmp_path], variants)).decode()
    assert "int8 on Cortex\\|A76, 4 cores." in text
    assert "Note: busy." in text
    assert "| ai-edge-litert 2.3.0 | XNNPACK | 1 | 2.00 (1.90 to 2.10) | 2.50 | 50 (9) |" in text


def test_the_card_does_not_repeat_why_operators_were_not_profiled(tmp_path: Path, exports: Path) -> None:
    variants = read_variants(exports, ("int8",))
    report = timed(variants[0].contract.sha256)
    reason = "no profile of its operators under 1 thread (RuntimeError: returned 3)"
    report["targets"][0]["notes"] = [f"a: {reason}", f"b: {reason}", "busy"]
    (tmp_path / "report.json").write_text(format_json(report), encoding="utf-8")
    (times,) = read_times([tmp_path], variants)
    assert times.notes == ("operators were not profiled", "busy")


def test_the_card_shows_times_of_a_phone_whose_tool_reports_no_percentiles(
    tmp_path: Path, exports: Path
) -> None:
    variants = read_variants(exports, ("int8",))
    report = timed(variants[0].contract.sha256)
    del report["results"][0]["p90_ms"]
    (tmp_path / "report.json").write_text(format_json(report), encoding="utf-8")
    bundle = build_bundle(variants, REQUEST).bundle
    text = render_model_card(bundle, variants, times=read_times([tmp_path], variants)).decode()
    assert "| 2.00 (1.90 to 2.10) | – | 50 (9) |" in text


def test_a_benchmark_that_only_counted_instructions_has_no_times(tmp_path: Path, exports: Path) -> None:
    variants = read_variants(exports, ("int8",))
    report = timed(variants[0].contract.sha256)
    report["results"][0]["median_ms"] = None
    (tmp_path / "report.json").write_text(format_json(report), encoding="utf-8")
    assert read_times([tmp_path], variants) == ()


@pytest.mark.parametrize(
    ("record", "code"), [(timed("0" * 64), "report-mismatch"), ({"schema": 1}, "invalid-format")]
)
def test_times_of_another_model_are_rejected(
    tmp_path: Path, exports: Path, record: dict[str, Any], code: str
) -> None:
    (tmp_path / "report.json").write_text(format_json(record), encoding="utf-8")
    with raises_code(code, tmp_path / "report.json"):
        read_times([tmp_path], read_variants(exports, ("int8",)))


AUTHORS = "Pictures by A. Author (2018)"


def licensed(variants: Sequence[Variant], text: str) -> list[Variant]:
    return [replace(variant, contract=replace(variant.contract, license=text)) for variant in variants]


@pytest.mark.parametrize(("kind", "version"), [("BY-NC", "4.0"), ("BY-NC-SA", "3.0")])
def test_a_noncommercial_licence_is_stated_in_all_documents(exports: Path, kind: str, version: str) -> None:
    spdx, name = f"CC-{kind}-{version}", f"CC {kind} {version}"
    variants = licensed(read_variants(exports, ("int8",)), f"{spdx}; {AUTHORS}")
    found = unpack_files(build_bundle(variants, REQUEST).data, where="bundle")
    card, notice, readme = (
        found[f"skin_lesions/{name}"].decode() for name in ("MODEL_CARD.md", "NOTICE", "README.md")
    )
    assert "not for commerce" in card
    assert "- Not for: commerce" in card
    assert ("under the same licence" in card) is ("-SA" in kind)
    line = f"{AUTHORS}. Licence: {name}, https://creativecommons.org/licenses/{kind.lower()}/{version}/"
    assert all(line in text for text in (card, readme))
    assert all(name in text and AUTHORS in text for text in (card, notice, readme))
    bill = json.loads(found["skin_lesions/bom.cdx.json"])["components"][0]
    assert bill["licenses"][0]["license"]["id"] == spdx
    assert bill["copyright"] == AUTHORS


@pytest.mark.parametrize(
    ("text", "expected"), [("", "Not stated"), ("by my own rules", "by my own rules"), ("CC0", "CC0 1.0")]
)
def test_every_licence_is_shown(exports: Path, text: str, expected: str) -> None:
    variants = licensed(read_variants(exports, ("int8",)), text)
    bundle = build_bundle(variants, REQUEST).bundle
    assert expected in render_model_card(bundle, variants).decode()


def test_no_page_mentions_a_licence_that_is_not_stated(exports: Path) -> None:
    (variant,) = licensed(read_variants(exports, ("int8",)), "")
    text = readme(variant)
    assert "Licence of the model: not stated." in text
    assert "conditions of this licence" not in text


@pytest.mark.parametrize(
    ("is_measured", "expected"), [(True, "resemble its training data"), (False, "was not measured")]
)
def test_the_card_of_a_foreign_model_claims_nothing_about_its_training(
    exports: Path, is_measured: bool, expected: str
) -> None:
    (variant,) = read_variants(exports, ("int8",))
    contract = variant.contract
    accuracy = contract.accuracy if is_measured else ()
    parents = Parents(kind=SourceKind.TFLITE, file=sha256_of(b"file"))
    source = "another program's file"
    foreign = replace(
        variant, contract=replace(contract, parents=parents, accuracy=accuracy, source=source, license="")
    )
    card = render_model_card(build_bundle([variant], REQUEST).bundle, [foreign]).decode()
    assert expected in card
    assert "What it was trained on is not known here" in card
    assert "of the same sources as its training data" not in card
    assert "the dataset it was trained on" not in card


def test_every_line_of_the_checklist_has_its_checkbox(exports: Path) -> None:
    for form in (BundleFormat.MODULE, BundleFormat.ASSETS):
        built = build_bundle(read_variants(exports, ("int8",)), replace(REQUEST, format=form))
        (text,) = (data.decode() for name, data in built.files.items() if name.endswith("README.md"))
        assert text.count("- [ ]") == len(re.findall(r"^- \[ \]", text, re.MULTILINE))


def test_foreign_text_is_escaped_in_a_card(exports: Path) -> None:
    text = "# Safe\n![](https://tracker.example/x.png) a\\|b <img src=x>"
    variants = licensed(read_variants(exports, ("int8",)), f"CC-BY-4.0; {text}")
    card = render_model_card(build_bundle(variants, REQUEST).bundle, variants).decode()
    quoted = r"\# Safe !\[\](https://tracker.example/x.png) a\\\|b &lt;img src=x>"
    assert quoted in card.splitlines()
    assert markdown_cell(text) == quoted


def test_scores_of_another_model_are_rejected(tmp_path: Path, exports: Path) -> None:
    record = {"schema": 1, "model": {"sha256": "0" * 64}}
    (tmp_path / "report.json").write_text(format_json(record), encoding="utf-8")
    with raises_code("report-mismatch", tmp_path / "report.json"):
        read_scores([tmp_path / "report.json"], read_variants(exports, ("int8",)))


def test_the_bill_of_materials_names_model_and_runtime(files: dict[str, bytes]) -> None:
    bill = json.loads(files["bom.cdx.json"])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    kinds = [component["type"] for component in bill["components"]]
    assert kinds == ["machine-learning-model", "machine-learning-model", "library"]
    assert bill["components"][0]["hashes"][0]["content"] == sha256_of(files[f"{ASSETS}/model.tflite"])
    assert bill["components"][2]["purl"] == "pkg:maven/com.google.ai.edge.litert/litert@1.4.2"
    references = {component["bom-ref"] for component in bill["components"]}
    assert set(bill["dependencies"][0]["dependsOn"]) == references


def test_the_licence_is_that_of_the_repository(files: dict[str, bytes]) -> None:
    assert files["LICENSE"] == (REPOSITORY / "LICENSE").read_bytes()
    assert b"CC0" in files["NOTICE"]


def test_bare_assets_have_no_code_and_no_build_files(exports: Path) -> None:
    request = replace(REQUEST, format=BundleFormat.ASSETS)
    found = unpack_files(build_bundle(read_variants(exports, ("int8",)), request).data, where="bundle")
    assert {"skin_lesions/model.tflite", "skin_lesions/debug/golden/golden.json"} <= set(found)
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
def test_names_are_derived_from_the_model(model: str, slug: str, class_name: str) -> None:
    names = derive_names(model)
    assert (names.slug, names.class_name) == (slug, class_name)


@pytest.mark.parametrize("model", ["", "123", "class", "皮膚", "../x y/..", "_"])
def test_a_name_that_is_not_an_identifier_is_rejected_or_changed(model: str) -> None:
    if model == "../x y/..":
        assert derive_names(model).slug == "x_y"
        return
    with raises_code("invalid-option", repr(model), "--name"):
        derive_names(model)


@pytest.mark.parametrize("version", ["1\n2", "v" * 65])
def test_a_version_that_is_not_a_short_line_is_rejected(exports: Path, version: str) -> None:
    with raises_code("invalid-option", repr(version), "--version"):
        build_bundle(read_variants(exports, ("int8",)), replace(REQUEST, version=version))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(form, marks=pytest.mark.java) if form is BundleFormat.AAR else form
        for form in BundleFormat
    ],
)
@pytest.mark.parametrize("place", list(GoldenPlace))
def test_golden_vectors_are_only_in_the_builds_that_were_asked_for(
    tmp_path: Path, form: BundleFormat, place: GoldenPlace, exports: Path
) -> None:
    if form is BundleFormat.AAR and shutil.which("javac") is None:
        pytest.skip("no JDK (javac) is installed")
    (tmp_path / "golden.png").write_bytes(encoded(scene(), "PNG"))
    given = () if place is GoldenPlace.NONE else (tmp_path / "golden.png",)
    request = BundleRequest(name="skin", format=form, golden=given, golden_in=place, runtime={})
    built = build_bundle(read_variants(exports, ("int8",)), request)
    path = tmp_path / "bundle"
    path.write_bytes(built.data)
    opened = read_bundle(path)
    in_assets = [name for name in opened.files if name.startswith(opened.bundle.path("golden/"))]
    # A page has no debug build.
    has_debug = form is not BundleFormat.WEB
    assert bool(in_assets) == (place is GoldenPlace.MAIN or (place is GoldenPlace.DEBUG and not has_debug))
    assert (opened.golden is None) == (place is GoldenPlace.NONE)
    device_tests = [name for name in opened.files if name.startswith("src/androidTest/")]
    assert bool(device_tests) == (form is BundleFormat.MODULE and place is not GoldenPlace.NONE)
