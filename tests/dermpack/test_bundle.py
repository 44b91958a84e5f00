"""Bundles as they are made."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from dermpack.bundle.bundle import Format
from dermpack.bundle.card import card_text
from dermpack.bundle.making import Made, Request, make_bundle
from dermpack.bundle.naming import names_of
from dermpack.bundle.scored import read_scores
from dermpack.bundle.sums import sums_text
from dermpack.bundle.variant import read_variants
from dermpack.bundle.zipping import unzipped, zipped
from dermpack.errors import InputError, TableError
from dermpack.files import json_text, sha256_of
from tests.dermpack.bundle_exports import LABELS, write_exports

HOUSE = Path(__file__).resolve().parents[2]
REQUEST = Request(name="Skin lesions", version="2.1")
ASSETS = "src/main/assets/skin_lesions"


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_exports(tmp_path_factory.mktemp("bundle") / "exports")


@pytest.fixture(scope="module")
def made(exports: Path) -> Made:
    return make_bundle(read_variants(exports, ("int8", "float32")), REQUEST)


@pytest.fixture(scope="module")
def files(made: Made) -> dict[str, bytes]:
    """Below the module's folder."""
    found = unzipped(made.data, where="bundle")
    assert {name.partition("/")[0] for name in found} == {"skin_lesions"}
    return {name.partition("/")[2]: data for name, data in found.items()}


def test_the_same_exports_give_the_same_bytes(exports: Path, made: Made) -> None:
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


def test_the_card_says_figures_with_intervals_and_that_it_is_no_device(files: dict[str, bytes]) -> None:
    text = files["MODEL_CARD.md"].decode()
    assert "not a medical device. What it says is no diagnosis" in text
    assert "| balanced_accuracy | 0.7900 | 0.8000 | -0.0100 (-0.0200 to +0.0000) |" in text
    assert "Split validation, n = 100" in text


def test_the_card_shows_slices_of_the_file_that_was_scored(tmp_path: Path, exports: Path) -> None:
    variants = read_variants(exports, ("int8",))
    figures = {"balanced_accuracy": 0.5, "balanced_accuracy_ci95": [0.4, 0.6], "accuracy": None, "n": 9}
    part = {**figures, "accuracy_ci95": None, "groups": 9}
    record = {
        **part,
        "schema": 1,
        "split": "test",
        "model": {"sha256": variants[0].contract.sha256},
        "slices": [{**part, "column": "sex", "value": "fe|male", "warning": "few"}],
    }
    (tmp_path / "report.json").write_text(json_text(record), encoding="utf-8")
    scored = read_scores([tmp_path], variants)
    bundle = make_bundle(variants, REQUEST).bundle
    text = card_text(bundle, variants, scored).decode()
    assert "| sex: fe\\|male (few: mostly chance) | 9 | 9 | 0.500 (0.400 to 0.600) | – |" in text


def test_scores_of_another_model_are_refused(tmp_path: Path, exports: Path) -> None:
    record = {"schema": 1, "model": {"sha256": "0" * 64}}
    (tmp_path / "report.json").write_text(json_text(record), encoding="utf-8")
    with pytest.raises(TableError, match="scores another model"):
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
    request = replace(REQUEST, format=Format.ASSETS)
    found = unzipped(make_bundle(read_variants(exports, ("int8",)), request).data, where="bundle")
    assert {"skin_lesions/model.tflite", "skin_lesions/golden/golden.json"} <= set(found)
    assert not any(name.endswith((".java", ".kts", ".xml")) for name in found)


@pytest.mark.parametrize(
    ("model", "slug", "class_name"),
    [
        ("Skin lesions", "skin_lesions", "SkinLesionsClassifier"),
        ("mobilenet_v2-1.0-160", "mobilenet_v2_1_0_160", "MobilenetV2_1_0_160Classifier"),
        ("Éczéma!", "eczema", "EczemaClassifier"),
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
    with pytest.raises(InputError, match="give --name"):
        names_of(model)


@pytest.mark.parametrize("version", ["1\n2", "v" * 65])
def test_a_version_that_is_no_short_line_is_refused(exports: Path, version: str) -> None:
    with pytest.raises(InputError, match="is no short line"):
        make_bundle(read_variants(exports, ("int8",)), replace(REQUEST, version=version))
