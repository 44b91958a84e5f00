"""The Java of a bundle compiles, if a JDK is installed; `make android` runs it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dermpack.bundle.android_module import name_java_sources, read_java_sources
from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.bundle_record import BundleFormat, derive_names
from dermpack.bundle.variants import read_variants
from dermpack.bundle.zip_archive import unpack_files
from tests.support.bundle_exports import write_export
from tests.support.errors import raises_code

JAVAC = shutil.which("javac")
needs_jdk = pytest.mark.skipif(JAVAC is None, reason="no JDK (javac) is installed")


@needs_jdk
def test_the_pure_part_compiles_without_android(tmp_path: Path) -> None:
    names = derive_names("skin")
    for name, source in name_java_sources(names, ["int8"]).items():
        if not name.endswith(f"{names.class_name}.java"):
            (tmp_path / Path(name).name).write_bytes(source)
    command = [
        str(JAVAC),
        "--release",
        "8",
        "-Xlint:all,-options",
        "-Werror",
        "-d",
        str(tmp_path / "classes"),
    ]
    done = subprocess.run([*command, *map(str, tmp_path.glob("*.java"))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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
    assert main.count(b'        INT8(""); // the variants that the bundle holds\n') == 1
