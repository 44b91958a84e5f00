"""Verification of bundles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.read_bundle import OpenedBundle, read_bundle
from dermpack.bundle.variants import read_variants
from dermpack.bundle.verify_bundle import verify_bundle
from dermpack.bundle.zip_archive import format_checksums, pack_files, unpack_files
from dermpack.dataset.manifest import Split
from dermpack.verification.check_result import Check, Verification
from dermpack.verification.interpreter_runs import open_sample_pictures
from dermpack.verification.verify import VerificationTools, open_hosts
from tests.support.bundle_exports import write_export

GOLDEN = "skin/src/main/assets/skin/golden/"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checking")
    made = build_bundle(read_variants(write_export(folder / "export", "float32")), BundleRequest(name="skin"))
    (folder / "skin.zip").write_bytes(made.data)
    return folder / "skin.zip"


def verified(read: OpenedBundle) -> tuple[Verification, ...]:
    with open_sample_pictures(pictures=1, dataset=None, split=Split.TEST) as material, open_hosts() as hosts:
        return verify_bundle(read, VerificationTools(hosts=hosts, samples=material))


def changed(bundle: Path, tmp_path: Path, change: dict[str, bytes]) -> OpenedBundle:
    """Return a bundle with changed files and matching checksums."""
    files = {**unpack_files(bundle.read_bytes(), where=""), **change}
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
    assert names[:3] == ["files", "labels", "golden pixels"]
    assert any(name.startswith("golden answers of float32 on ") for name in names[3:])
    assert not failed(found)


def test_pixels_of_another_picture_fail(bundle: Path, tmp_path: Path) -> None:
    files = unpack_files(bundle.read_bytes(), where="")
    golden = json.loads(files[f"{GOLDEN}golden.json"])
    first, second = golden["vectors"][:2]
    first["pixels"], first["pixels_sha256"] = second["pixels"], second["pixels_sha256"]
    change = {f"{GOLDEN}golden.json": json.dumps(golden).encode()}
    (proof, *_) = failed(verified(changed(bundle, tmp_path, change)))
    assert proof.name == "golden pixels"
    assert "square.png" in proof.detail


def test_answers_of_another_model_fail(bundle: Path, tmp_path: Path) -> None:
    files = unpack_files(bundle.read_bytes(), where="")
    golden = json.loads(files[f"{GOLDEN}golden.json"])
    for vector in golden["vectors"]:
        vector["expected"]["float32"]["probabilities"] = [0.0, 0.0, 1.0]
    change = {f"{GOLDEN}golden.json": json.dumps(golden).encode()}
    names = {proof.name.partition(" on ")[0] for proof in failed(verified(changed(bundle, tmp_path, change)))}
    assert names == {"golden answers of float32"}


def test_labels_in_another_order_fail(bundle: Path, tmp_path: Path) -> None:
    change = {"skin/src/main/assets/skin/labels.txt": b"nv\nmel\nakiec\n"}
    (proof,) = failed(verified(changed(bundle, tmp_path, change)))
    assert proof.name == "labels"
