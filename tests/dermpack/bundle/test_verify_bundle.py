"""Verification of bundles."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from dermpack import __version__
from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.bundle_record import BundleFormat
from dermpack.bundle.read_bundle import OpenedBundle, read_bundle
from dermpack.bundle.release_comparison import (
    compare_with_release,
    generalize_files,
    read_released_files,
    write_release_files,
)
from dermpack.bundle.variants import read_variants
from dermpack.bundle.verify_bundle import check_golden_records, verify_bundle
from dermpack.bundle.zip_archive import format_checksums, pack_files, unpack_files
from dermpack.contract import RuntimeResult, format_contract, read_contract, summarize_runtimes
from dermpack.dataset.manifest import Split
from dermpack.inference.interpreter_host import Kernels, installed_runtimes
from dermpack.storage.files import sha256_of
from dermpack.verification.check_result import Check, CheckOutcome, Verification
from dermpack.verification.interpreter_runs import open_sample_pictures
from dermpack.verification.verify import VerificationTools, open_hosts
from tests.support.bundle_exports import write_export, write_exports
from tests.support.errors import raises_code
from tests.support.hostile_pictures import encoded, scene

GOLDEN = "skin/src/debug/assets/skin/golden/"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checking")
    made = build_bundle(read_variants(write_export(folder / "export", "float32")), BundleRequest(name="skin"))
    (folder / "skin.zip").write_bytes(made.data)
    return folder / "skin.zip"


def verified(read: OpenedBundle) -> tuple[Verification, ...]:
    with open_sample_pictures(pictures=1, dataset=None, split=Split.TEST) as material, open_hosts() as hosts:
        return verify_bundle(read, VerificationTools(hosts=hosts, samples=material))


def changed(bundle: Path, tmp_path: Path, change: Mapping[str, bytes | None]) -> OpenedBundle:
    """Return a bundle with changed and, for None, removed files, and with matching checksums."""
    all_files = {**unpack_files(bundle.read_bytes(), where=""), **change}
    files = {name: content for name, content in all_files.items() if content is not None}
    below = {name.partition("/")[2]: content for name, content in files.items()}
    (tmp_path / "skin.zip").write_bytes(
        pack_files({**files, "skin/SHA256SUMS": format_checksums(below).encode()})
    )
    return read_bundle(tmp_path / "skin.zip")


def failed(verifications: tuple[Verification, ...]) -> list[Check]:
    return [check for verification in verifications for check in verification.failed]


def test_an_unchanged_bundle_passes(bundle: Path) -> None:
    found = verified(read_bundle(bundle))
    assert [verification.name for verification in found] == ["bundle skin", "float32"]
    names = [proof.name for proof in found[0].checks]
    assert names[:5] == ["files", "release files", "labels", "golden pixels", "golden records"]
    assert all(name.startswith("golden answers of float32 on ") for name in names[5:])
    assert not failed(found)


def test_pixels_of_another_picture_fail(bundle: Path, tmp_path: Path) -> None:
    files = unpack_files(bundle.read_bytes(), where="")
    golden = json.loads(files[f"{GOLDEN}golden.json"])
    first, second = golden["vectors"][:2]
    first["pixels"], first["pixels_sha256"] = second["pixels"], second["pixels_sha256"]
    change = {f"{GOLDEN}golden.json": json.dumps(golden).encode()}
    details = {check.name: check.detail for check in failed(verified(changed(bundle, tmp_path, change)))}
    assert "square.png" in details["golden pixels"]


def test_answers_of_another_model_fail(bundle: Path, tmp_path: Path) -> None:
    files = unpack_files(bundle.read_bytes(), where="")
    golden = json.loads(files[f"{GOLDEN}golden.json"])
    for vector in golden["vectors"]:
        vector["expected"]["float32"]["probabilities"] = [0.0, 0.0, 1.0]
    change = {f"{GOLDEN}golden.json": json.dumps(golden).encode()}
    names = {proof.name.partition(" on ")[0] for proof in failed(verified(changed(bundle, tmp_path, change)))}
    assert names == {"golden records", "golden answers of float32"}


@pytest.mark.parametrize(
    ("working", "own_kernels"), [({Kernels.XNNPACK}, CheckOutcome.NOTED), (set(), CheckOutcome.FAILS)]
)
def test_other_answers_are_noted_on_kernels_that_the_contract_states_not_to_work(
    tmp_path: Path, working: set[Kernels], own_kernels: CheckOutcome
) -> None:
    """Where it states that the file works nowhere, they fail on all."""
    export = write_export(tmp_path / "export", "float32")
    contract = read_contract(export / "model.json")
    tried = tuple(
        RuntimeResult(
            runtime=engine.package,
            version=metadata.version(engine.package),
            delegate=kernels.value,
            works=kernels in working,
            result="",
        )
        for engine in installed_runtimes()
        for kernels in Kernels
    )
    stated = replace(contract, runtimes=summarize_runtimes(tried))
    (export / "model.json").write_text(format_contract(stated), encoding="utf-8")
    made = build_bundle(read_variants(export), BundleRequest(name="skin"))
    (tmp_path / "skin.zip").write_bytes(made.data)
    golden = json.loads(unpack_files(made.data, where="")[f"{GOLDEN}golden.json"])
    for vector in golden["vectors"]:
        vector["expected"]["float32"]["probabilities"] = [0.0, 0.0, 1.0]
    change = {f"{GOLDEN}golden.json": json.dumps(golden).encode()}
    checks = [
        check for one in verified(changed(tmp_path / "skin.zip", tmp_path, change)) for check in one.checks
    ]
    outcomes = {
        (check.name.rpartition(", ")[2], check.outcome) for check in checks if "golden answers" in check.name
    }
    assert outcomes == {("XNNPACK", CheckOutcome.FAILS), ("own kernels", own_kernels)}


@pytest.mark.parametrize("name", ["evidence", "probabilities"])
def test_an_output_that_the_contract_does_not_have_fails(bundle: Path, tmp_path: Path, name: str) -> None:
    golden = json.loads(unpack_files(bundle.read_bytes(), where="")[f"{GOLDEN}golden.json"])
    expected = golden["vectors"][0]["expected"]["float32"]
    more = {"output": expected["output"], "output_sha256": expected["output_sha256"], "most_mean_apart": 1.0}
    expected["more"] = {name: more}
    change = {f"{GOLDEN}golden.json": json.dumps(golden).encode()}
    names = {proof.name.partition(" on ")[0] for proof in failed(verified(changed(bundle, tmp_path, change)))}
    assert names == {"golden records", "golden answers of float32"}


def test_labels_in_another_order_fail(bundle: Path, tmp_path: Path) -> None:
    change = {"skin/src/main/assets/skin/labels.txt": b"nv\nmel\nakiec\n"}
    (proof,) = failed(verified(changed(bundle, tmp_path, change)))
    assert proof.name == "labels"


def one(tmp_path: Path) -> tuple[Path, ...]:
    """Return a golden picture: with one, a bundle is built faster than with the generated ones."""
    (tmp_path / "golden.png").write_bytes(encoded(scene(), "PNG"))
    return (tmp_path / "golden.png",)


JAVA = "skin/src/main/java/dermpack/skin/"
FORGED = {
    "java": {f"{JAVA}Scorer.java": b"package dermpack.skin; // other code"},
    "java-of-another-package": {f"{JAVA}Scorer.java": b"package evil;"},
    "more-java": {f"{JAVA}Evil.java": b"package dermpack.skin;"},
    "gradle": {"skin/build.gradle.kts": b'dependencies { implementation("evil:evil:1") }'},
    "android-manifest": {"skin/src/main/AndroidManifest.xml": b"<manifest />"},
    "rules": {"skin/consumer-rules.pro": b""},
    "notice": {"skin/NOTICE": b"public domain"},
    "empty-notice": {"skin/NOTICE": b""},
    "licence": {"skin/LICENSE": b"public domain"},
    "native-library": {"skin/src/main/jniLibs/x86/libevil.so": b"\x7fELF"},
    "asset": {"skin/src/main/assets/skin/evil.txt": b"x"},
    "golden": {f"{GOLDEN}evil.png": b"x"},
    "large": {"skin/large.bin": bytes((1 << 20) + 1)},
    "placeholder": {f"{JAVA}{{class}}.java": b"package {package};"},
}


@pytest.mark.parametrize("name", FORGED)
def test_files_that_dermpack_does_not_write_fail_although_the_checksums_match(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    check = compare_with_release(changed(bundle, tmp_path, FORGED[name]))
    assert check.outcome is CheckOutcome.FAILS
    assert next(iter(FORGED[name])).partition("/")[2].rpartition("/")[2] in check.detail


@pytest.mark.parametrize(
    "name", ["NOTICE", "LICENSE", "build.gradle.kts", "src/main/java/dermpack/skin/Exif.java"]
)
def test_a_removed_file_fails_although_the_checksums_match(bundle: Path, tmp_path: Path, name: str) -> None:
    check = compare_with_release(changed(bundle, tmp_path, {f"skin/{name}": None}))
    assert check.outcome is CheckOutcome.FAILS
    assert name in check.detail


@pytest.mark.parametrize("content", [None, b"{}", b"no json", b'{"metadata": {"tools": {"components": []}}}'])
def test_a_bundle_that_names_no_version_fails(bundle: Path, tmp_path: Path, content: bytes | None) -> None:
    check = compare_with_release(changed(bundle, tmp_path, {"skin/bom.cdx.json": content}))
    assert check.outcome is CheckOutcome.FAILS
    assert "bom.cdx.json" in check.detail


@pytest.mark.parametrize("version", ["99.0", "0.0", "0.1.0 ", "0.1.0\n", "x" * 100_000])
def test_a_bundle_of_an_unknown_version_fails_unless_its_author_is_known(
    bundle: Path, tmp_path: Path, version: str
) -> None:
    files = unpack_files(bundle.read_bytes(), where="")
    bill = json.loads(files["skin/bom.cdx.json"])
    bill["metadata"]["tools"]["components"][0]["version"] = version
    change: dict[str, bytes | None] = {"skin/bom.cdx.json": json.dumps(bill).encode()}
    opened = changed(bundle, tmp_path, change)
    check = compare_with_release(opened)
    assert check.outcome is CheckOutcome.FAILS
    assert version[:64] in check.detail and len(check.detail) < 400
    assert compare_with_release(replace(opened, is_signed=True)).outcome is CheckOutcome.NOTED
    opened = changed(bundle, tmp_path, {**change, "skin/NOTICE": None})
    assert compare_with_release(replace(opened, is_signed=True)).outcome is CheckOutcome.FAILS


@pytest.mark.parametrize("form", [BundleFormat.MODULE, BundleFormat.ASSETS])
@pytest.mark.parametrize("name", ["model", "Éczéma of the hands, 2", "bundle classifier", "int8"])
def test_a_bundle_of_any_name_and_format_passes(tmp_path: Path, form: BundleFormat, name: str) -> None:
    variants = read_variants(write_exports(tmp_path / "exports"), ("int8", "float32"))
    made = build_bundle(
        variants, BundleRequest(format=form, name=name, version="1\u2603", golden=one(tmp_path))
    )
    (tmp_path / "b.zip").write_bytes(made.data)
    opened = read_bundle(tmp_path / "b.zip")
    assert compare_with_release(opened).outcome is CheckOutcome.HOLDS
    # The placeholders do not depend on the names.
    general = generalize_files(
        write_release_files(opened.bundle, opened.variants), opened.bundle, opened.variants
    )
    assert not [path for path in general if opened.bundle.class_name in path or opened.bundle.slug in path]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return an Android archive."""
    if shutil.which("javac") is None:
        pytest.skip("needs a JDK")
    folder = tmp_path_factory.mktemp("archive")
    request = BundleRequest(format=BundleFormat.AAR, name="skin", golden=one(folder))
    return build_bundle(read_variants(write_export(folder / "export")), request).data


@pytest.mark.java
def test_the_classes_of_an_archive_are_compared_where_the_same_compiler_is(
    archive: bytes, tmp_path: Path
) -> None:
    (tmp_path / "skin.zip").write_bytes(archive)
    assert compare_with_release(read_bundle(tmp_path / "skin.zip")).outcome is CheckOutcome.HOLDS
    files: dict[str, bytes] = {**unpack_files(archive, where=""), "classes.jar": b"other classes"}
    (tmp_path / "skin.zip").write_bytes(pack_files({**files, "SHA256SUMS": format_checksums(files).encode()}))
    check = compare_with_release(read_bundle(tmp_path / "skin.zip"))
    assert check.outcome is CheckOutcome.NOTED
    assert "classes.jar" in check.detail


@pytest.mark.java
def test_without_a_compiler_the_other_files_of_an_archive_are_compared(
    archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = unpack_files(archive, where="")
    monkeypatch.setenv("PATH", str(tmp_path))
    for change, outcome in (({}, CheckOutcome.NOTED), ({"proguard.txt": b"-dontwarn"}, CheckOutcome.FAILS)):
        altered: dict[str, bytes] = {**files, **change}
        sums = format_checksums(altered).encode()
        (tmp_path / "skin.zip").write_bytes(pack_files({**altered, "SHA256SUMS": sums}))
        assert compare_with_release(read_bundle(tmp_path / "skin.zip")).outcome is outcome


def test_a_runtime_that_is_no_coordinate_is_rejected(bundle: Path, tmp_path: Path) -> None:
    record = json.loads(unpack_files(bundle.read_bytes(), where="")["skin/bundle.json"])
    for runtime in ("", "x", "a:b", "a:b:c:d"):
        change = {"skin/bundle.json": json.dumps({**record, "runtime": runtime}).encode()}
        with raises_code("invalid-bundle", tmp_path / "skin.zip", "runtime"):
            changed(bundle, tmp_path, change)


def test_the_table_of_releases_lists_hashes_of_each_format() -> None:
    for version, formats in read_released_files().items():
        assert set(formats) >= {"module", "assets", "aar"}, version
        for hashes in formats.values():
            assert {"NOTICE", "LICENSE"} <= set(hashes)
            assert all(len(value) == 64 for value in hashes.values())


GOLDEN_FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "levels": lambda golden: golden.update(most_levels_apart=255.0),
    "difference": lambda golden: golden["variants"]["float32"].update(most_apart=1.0),
    "exact": lambda golden: golden["vectors"][0].update(is_exact=False),
    "input": lambda golden: golden["vectors"][0]["expected"]["float32"].update(fed_sha256="0" * 64),
    "output": lambda golden: golden["vectors"][0]["expected"]["float32"].update(output_sha256="0" * 64),
    "close": lambda golden: [
        vector["expected"]["float32"].update(is_close=not vector["expected"]["float32"]["is_close"])
        for vector in golden["vectors"]
    ],
    "label": lambda golden: golden["vectors"][0]["expected"]["float32"].update(label="nothing"),
    "fewer-probabilities": lambda golden: golden["vectors"][0]["expected"]["float32"].update(
        probabilities=[1.0]
    ),
    "probabilities": lambda golden: golden["vectors"][0]["expected"]["float32"].update(
        probabilities=[0.34, 0.33, 0.33]
    ),
}


@pytest.mark.parametrize("name", GOLDEN_FORGERIES)
def test_a_golden_record_that_does_not_follow_from_its_files_fails(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    golden = json.loads(unpack_files(bundle.read_bytes(), where="")[f"{GOLDEN}golden.json"])
    GOLDEN_FORGERIES[name](golden)
    change = {f"{GOLDEN}golden.json": json.dumps(golden).encode()}
    assert check_golden_records(changed(bundle, tmp_path, change)).outcome is CheckOutcome.FAILS


def test_an_output_file_that_is_replaced_with_its_hash_fails(bundle: Path, tmp_path: Path) -> None:
    files = unpack_files(bundle.read_bytes(), where="")
    golden = json.loads(files[f"{GOLDEN}golden.json"])
    expected = golden["vectors"][0]["expected"]["float32"]
    for content in (b"", b"x", bytes(4), bytes(16), bytes(len(files[GOLDEN + expected["output"]]))):
        expected["output_sha256"] = sha256_of(content)
        change: dict[str, bytes | None] = {
            f"{GOLDEN}golden.json": json.dumps(golden).encode(),
            GOLDEN + expected["output"]: content,
        }
        assert check_golden_records(changed(bundle, tmp_path, change)).outcome is CheckOutcome.FAILS


def test_the_version_in_the_bill_of_materials_is_ours(bundle: Path) -> None:
    bill = json.loads(unpack_files(bundle.read_bytes(), where="")["skin/bom.cdx.json"])
    assert bill["metadata"]["tools"]["components"][0]["version"] == __version__
