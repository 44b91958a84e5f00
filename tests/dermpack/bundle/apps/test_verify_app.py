"""The technical rules of Google Play, checked in small archives with exactly one fault."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

import pytest

from dermpack.bundle.apps.android_manifest import parse_manifest
from dermpack.bundle.apps.native_code import dex_classes, load_alignment
from dermpack.bundle.apps.verify_app import PAGE_BYTES, is_app, verify_app
from dermpack.cli import main
from tests.support.android_apps import (
    LIBRARY,
    MODEL,
    binary_manifest,
    dex,
    elf,
    manifest,
    usual_files,
    write_app,
)
from tests.support.errors import raises_code


def results(path: Path) -> dict[str, str]:
    return {check.name: check.outcome.value for check in verify_app(path).checks}


def test_an_app_that_meets_every_rule_holds(tmp_path: Path) -> None:
    found = results(write_app(tmp_path / "app.apk", usual_files()))
    assert set(found.values()) == {"holds"}
    assert len(found) == 7


@pytest.mark.parametrize(
    ("name", "data", "check"),
    [
        (LIBRARY, elf(4096), "16 KB pages"),
        ("AndroidManifest.xml", manifest(target=34), "target"),
        ("AndroidManifest.xml", manifest(debuggable=True), "target"),
        ("classes.dex", dex("La/Main;", "La/Main;"), "duplicates"),
    ],
)
def test_one_fault_fails_one_check(tmp_path: Path, name: str, data: bytes, check: str) -> None:
    files = {**dict(usual_files()), name: data}
    found = results(write_app(tmp_path / "app.apk", list(files.items())))
    assert {rule for rule, result in found.items() if result == "fails"} == {check}


def test_a_library_must_begin_at_a_page_of_the_apk(tmp_path: Path) -> None:
    assert results(write_app(tmp_path / "app.apk", usual_files(), aligned=False))["16 KB pages"] == "fails"


def test_a_compressed_model_fails_in_an_apk_alone(tmp_path: Path) -> None:
    assert results(write_app(tmp_path / "app.apk", usual_files(), compressed=MODEL))["models"] == "fails"
    text = b'<manifest xmlns:android="http://schemas.android.com/apk/res/android"/>'
    files = [("AndroidManifest.xml", text), ("assets/skin/model.tflite", b"a model")]
    assert results(write_app(tmp_path / "module.aar", files, compressed=MODEL))["models"] == "holds"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_named(tmp_path: Path) -> None:
    verification = verify_app(write_app(tmp_path / "app.apk", [*usual_files(), (MODEL, b"another")]))
    (check,) = verification.failed
    assert check.name == "duplicates"
    assert f"{MODEL}: 2 times" in check.detail


def test_the_same_model_twice_is_named(tmp_path: Path) -> None:
    found = results(
        write_app(tmp_path / "app.apk", [*usual_files(), ("assets/mole/model.tflite", b"a model")])
    )
    assert found["duplicates"] == "fails"


def test_permissions_golden_vectors_and_a_second_runtime_are_noted(tmp_path: Path) -> None:
    files = dict(usual_files())
    files["AndroidManifest.xml"] = manifest("android.permission.CAMERA", "android.permission.INTERNET")
    files["assets/skin/golden/golden.json"] = b"{}"
    files["lib/arm64-v8a/libtensorflowlite_jni.so"] = elf(PAGE_BYTES)
    verification = verify_app(write_app(tmp_path / "app.apk", list(files.items())))
    noted = {check.name: check.detail for check in verification.checks if check.outcome.value == "noted"}
    assert set(noted) == {"permissions", "golden vectors", "runtime"}
    assert noted["permissions"] == "android.permission.CAMERA, android.permission.INTERNET"


def test_an_archives_manifest_is_text() -> None:
    text = (
        b'<manifest xmlns:android="http://schemas.android.com/apk/res/android">'
        b'<uses-sdk android:minSdkVersion="24"/>'
        b'<uses-permission android:name="android.permission.CAMERA"/></manifest>'
    )
    parsed = parse_manifest(text)
    assert (parsed.permissions, parsed.min_sdk, parsed.target_sdk) == (
        ("android.permission.CAMERA",),
        24,
        None,
    )


@pytest.mark.parametrize("utf8", [False, True])
def test_both_kinds_of_strings_are_read(utf8: bool) -> None:
    parsed = parse_manifest(binary_manifest([("uses-permission", {"name": "a.B"})], utf8=utf8))
    assert parsed.permissions == ("a.B",)


OVERLAPPING = binary_manifest([("uses-permission", {"name": "a.B"})]).replace(
    struct.pack("<HHH", 20, 20, 1), struct.pack("<HHH", 20, 0, 0xFFFF)
)


@pytest.mark.parametrize(
    "data",
    [
        b"\3\0\x08\0",
        b"<manifest",
        b"<!DOCTYPE a><manifest/>",
        '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><manifest/>'.encode("utf-16"),
        OVERLAPPING,
        manifest()[:60],
    ],
)
def test_a_malformed_manifest_is_rejected(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_manifest(data)


FAR_SEGMENTS = elf(PAGE_BYTES).replace(struct.pack("<QQ", 0, 64), struct.pack("<QQ", 0, (1 << 64) - 64), 1)


@pytest.mark.parametrize("data", [b"", b"\x7fELF" + bytes(60), elf(PAGE_BYTES)[:80], FAR_SEGMENTS])
def test_a_malformed_library_is_rejected(data: bytes) -> None:
    with pytest.raises(ValueError):
        load_alignment(data)


def test_classes_are_read_from_a_dex_file() -> None:
    assert dex_classes(dex("La/B;")) == ["La/B;"]
    with pytest.raises(ValueError):
        dex_classes(dex("La/B;")[:120])


def test_a_file_that_is_no_app_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "app.apk"
    path.write_bytes(b"no zip")
    assert is_app(path)
    with raises_code("invalid-app", "app.apk"):
        verify_app(path)
    with raises_code("invalid-app", "AndroidManifest.xml"):
        verify_app(write_app(path, [("a", b"")]))


def test_a_pipe_and_a_path_that_cannot_be_are_one_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "app.apk")
    assert main(["verify", str(tmp_path / "app.apk")]) == 1
    assert main(["verify", str(tmp_path / f"{'x' * 300}.apk")]) == 1


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_that_android_does_not_support_is_not_expanded(tmp_path: Path, method: int) -> None:
    path = tmp_path / "app.apk"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("AndroidManifest.xml", bytes(1 << 20), compress_type=method)
    with raises_code("invalid-app", "AndroidManifest.xml"):
        verify_app(path)


def test_files_that_expand_to_more_than_the_limit_are_rejected(tmp_path: Path) -> None:
    path = write_app(tmp_path / "app.apk", usual_files())
    data = path.read_bytes()
    start = data.index(b"PK\1\2")
    declared = struct.pack("<I", 0xFFFFFFF0)  # of the first file in the directory
    path.write_bytes(data[: start + 24] + declared + data[start + 28 :])
    with raises_code("invalid-app", "too large"):
        verify_app(path)


def test_the_command_prints_the_checks_and_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_app(tmp_path / "app.apk", list({**dict(usual_files()), LIBRARY: elf(4096)}.items()))
    assert main(["verify", str(path)]) == 1
    assert "16 KB pages" in capsys.readouterr().err
    assert main(["verify", str(path), "--key", str(path)]) == 1
    assert main(["verify", str(path), "--plain", str(path)]) == 1
    write_app(path, usual_files())
    assert main(["verify", str(path)]) == 0
