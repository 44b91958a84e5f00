"""The Java of a bundle compiles, if a JDK is installed; `make android` runs it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dermpack.bundle.android_module import JAVA_FOLDER, JAVAC_START, name_java_sources, read_java_sources
from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.bundle_record import BundleFormat, derive_names
from dermpack.bundle.variants import read_variants
from dermpack.bundle.zip_archive import unpack_files
from dermpack.contract import format_contract
from tests.support.bundle_exports import write_export
from tests.support.errors import raises_code
from tests.support.paths import REPOSITORY

JAVAC = shutil.which("javac")
needs_jdk = pytest.mark.skipif(JAVAC is None, reason="no JDK (javac) is installed")


@pytest.mark.java
@needs_jdk
def test_the_pure_part_compiles_without_android(tmp_path: Path) -> None:
    names = derive_names("skin")
    for name, source in name_java_sources(names, ["int8"]).items():
        if not name.endswith(f"{names.class_name}.java"):
            (tmp_path / Path(name).name).write_bytes(source)
    annotations = sorted((JAVA_FOLDER / "standin").glob("Null*.java"))
    compile_java(tmp_path / "classes", [*tmp_path.glob("*.java"), *annotations])


HOSTILE = "\"; } */ //<b>&amp;${x} $(id) ''' \\u0022 {{ 7 }} %s | ` --> ]]>"
DUMP = """package dermpack.x_b_amp_x_id_u0022_7_s;

import java.nio.charset.Charset;
import java.nio.file.Files;
import java.nio.file.Paths;

public final class Dump {
    public static void main(String[] files) throws Exception {
        byte[] json = Files.readAllBytes(Paths.get(files[0]));
        Contract contract = Contract.read(new String(json, Charset.forName("UTF-8")));
        String label = contract.getLabels().get(0);
        String[] model = {contract.getName(), contract.getLicense(), contract.getIntendedUse()};
        for (String text : new String[] {model[0], model[1], model[2], label, contract.getMeaning(label)}) {
            System.out.write((text + "\\n").getBytes("UTF-8"));
        }
        System.out.flush();
    }
}
"""


@pytest.mark.java
@needs_jdk
def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    (variant,) = read_variants(write_export(tmp_path / "export"))
    text = HOSTILE
    labels = (f"mel {text}", *variant.contract.labels[1:])
    contract = replace(
        variant.contract,
        name=text[:60],
        license=text,
        intended_use=text,
        labels=labels,
        thresholds=(),
        calibration=None,
    )
    hostile = replace(variant, contract=contract, contract_bytes=format_contract(contract).encode())
    request = BundleRequest(name=text[:60], version=text[:20], meanings={labels[0]: text})
    files = unpack_files(build_bundle([hostile], request).data, where="bundle")
    (slug,) = {name.partition("/")[0] for name in files}
    for name, data in files.items():
        path = tmp_path / "module" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    module = tmp_path / "module" / slug
    # Java: everything compiles, and gets the very texts from the contract.
    names = derive_names(text[:60])
    folder = module / "src" / "main" / "java" / Path(*names.package.split("."))
    (folder / "Dump.java").write_text(
        re.sub("^package .*", f"package {names.package};", DUMP), encoding="utf-8"
    )
    compile_java(tmp_path / "classes", [*folder.glob("*.java"), *(JAVA_FOLDER / "standin").glob("*.java")])
    model = f"{module}/{bundle_assets(slug)}/model.json"
    command = ["java", "-cp", str(tmp_path / "classes"), f"{names.package}.Dump", model]
    output = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    assert output.split("\n")[:-1] == [text[:60], text, text, labels[0], text]
    # Gradle, XML and rules contain none of the texts; Markdown has them escaped.
    for path in (
        *module.glob("*.kts"),
        *module.glob("*.pro"),
        *module.rglob("*.xml"),
        *module.rglob("*.java"),
    ):
        assert "$(id)" not in path.read_text(encoding="utf-8"), path.name
    for path in module.rglob("*.xml"):
        ElementTree.parse(path)
    for page in ("README.md", "MODEL_CARD.md"):
        shown = (module / page).read_text(encoding="utf-8")
        assert "<b>" not in shown
        rows = [line for line in shown.splitlines() if line.startswith("| mel ")]
        assert rows and all(
            len(re.findall(r"(?<!\\)\|", row)) == len(re.findall(r"(?<!\\)\|", rows[0])) for row in rows
        )


def compile_java(into: Path, sources: Sequence[Path]) -> None:
    command = [
        str(JAVAC),
        *JAVAC_START,
        "--release",
        "8",
        "-Xlint:all,-options,-path",
        "-Werror",
        "-encoding",
        "UTF-8",
        "-d",
        str(into),
    ]
    done = subprocess.run([*command, *map(str, sources)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def bundle_assets(slug: str) -> str:
    return f"src/main/assets/{slug}"


def test_the_public_types_are_few_and_kotlin_uses_all_their_methods() -> None:
    sources = {**read_java_sources("pure"), **read_java_sources("android")}
    texts = {name: data.decode() for name, data in sources.items()}
    public = {
        name
        for name, text in texts.items()
        if re.search(r"^public (final class|interface|enum)", text, re.MULTILINE)
    }
    shared = {
        "Contract",
        "EvidenceMap",
        "Metadata",
        "MetadataColumn",
        "Quality",
        "Result",
        "SelfCheck",
        "Timing",
    }
    assert public == {f"{name}.java" for name in ("BundleClassifier", *shared)}
    shown = {name: text.partition("    private static final class ")[0] for name, text in texts.items()}
    kotlin = (REPOSITORY / "android_demo/desktop-test/kotlin/EveryMethodTest.kt").read_text(encoding="utf-8")
    methods = {
        method
        for name in public
        for method in re.findall(r"^    +public (?:static )?[^=;({]*?([a-z]\w*)\(", shown[name], re.MULTILINE)
    }
    properties = {re.sub("^get([A-Z])", lambda match: match[1].lower(), method) for method in methods}
    unused = {name for name in properties if not re.search(rf"\b{name}\b", kotlin)}
    assert unused <= {"equals", "close"}  # in Kotlin, == and use call them


@pytest.mark.java
@needs_jdk
def test_an_archive_contains_the_classes_without_the_stand_ins(tmp_path: Path) -> None:
    variants = read_variants(write_export(tmp_path / "export"))
    made = build_bundle(variants, BundleRequest(name="skin", format=BundleFormat.AAR))
    files = unpack_files(made.data, where="aar")
    classes = unpack_files(files["classes.jar"], where="jar")
    assert "dermpack/skin/SkinClassifier.class" in classes
    assert not any(name.startswith(("android/", "org/")) for name in classes)
    assert {"AndroidManifest.xml", "R.txt", "proguard.txt", "assets/skin/model.tflite"} <= set(files)


def test_an_archive_without_a_jdk_names_the_missing_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    variants = read_variants(write_export(tmp_path / "export"))
    with raises_code("missing-tool", "javac", "PATH", "--format module"):
        build_bundle(variants, BundleRequest(name="skin", format=BundleFormat.AAR))


def test_the_java_sources_contain_the_names_that_are_replaced() -> None:
    (main,) = read_java_sources("android").values()
    assert main.count(b'ASSETS = "bundle";') == 1
    assert main.count(b'        INT8(""); // the variants in the bundle\n') == 1
