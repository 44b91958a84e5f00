"""The Java of a bundle feeds and reads files of any layout, normalization and head like Python, on a JVM."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from dermpack.bundle.android_module import JAVAC_START
from dermpack.bundle.build_bundle import BundleRequest, build_bundle
from dermpack.bundle.bundle_record import BundleFormat, GoldenPlace
from dermpack.bundle.variants import read_variants
from dermpack.bundle.zip_archive import unpack_files
from dermpack.contract import ColorOrder
from dermpack.inference.foreign_model import DeclaredInput, InputRange, describe_model
from dermpack.verification.export_files import describe_kept_file, write_export_files
from tests.support.foreign_files import IMAGENET, LABELS, foreign_file
from tests.support.paths import REPOSITORY

JAVA = REPOSITORY / "dermpack" / "bundle" / "java"
pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.skipif(shutil.which("javac") is None, reason="no JDK (javac) is installed"),
]

# The options of `foreign_file`, and how a user declares its input.
CASES: dict[str, tuple[dict[str, Any], DeclaredInput]] = {
    "pytorch": (
        {"mean": IMAGENET[0], "std": IMAGENET[1], "layout": "NCHW", "head": "logits"},
        DeclaredInput(range=InputRange.IMAGENET),
    ),
    "caffe": (
        {"mean": (103.939, 116.779, 123.68), "std": (1.0,) * 3, "color": "BGR"},
        DeclaredInput(range=InputRange.CAFFE, color=ColorOrder.BGR),
    ),
    "bytes": ({"mean": (0.0,) * 3, "std": (1.0,) * 3}, DeclaredInput(range=InputRange.BYTES)),
    "planes of BGR": (
        {"mean": IMAGENET[0][::-1], "std": IMAGENET[1][::-1], "layout": "NCHW", "color": "BGR"},
        DeclaredInput(range=InputRange.IMAGENET, color=ColorOrder.BGR),
    ),
}


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped classes and the program that replays, compiled."""
    folder = tmp_path_factory.mktemp("classes")
    sources = [*JAVA.glob("pure/*.java"), *JAVA.glob("standin/Null*.java")]
    sources.append(REPOSITORY / "tests" / "support" / "ReplayCheck.java")
    subprocess.run(
        ["javac", *JAVAC_START, "-d", str(folder), *map(str, sources)], check=True, capture_output=True
    )
    return folder


@pytest.mark.parametrize("case", CASES)
def test_java_feeds_the_same_bytes_and_reads_the_same_probabilities(
    tmp_path: Path, classes: Path, case: str
) -> None:
    options, declared = CASES[case]
    data = foreign_file(**options)
    model = describe_model(tmp_path / "model.tflite", data, labels=LABELS, declared=declared)
    (tmp_path / "export").mkdir()
    write_export_files(tmp_path / "export", data, describe_kept_file(model))
    request = BundleRequest(name="skin", format=BundleFormat.ASSETS, golden_in=GoldenPlace.MAIN)
    made = build_bundle(read_variants(tmp_path / "export"), request)
    for name, content in unpack_files(made.data, where="skin.zip").items():
        path = tmp_path / "bundle" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (contract,) = (tmp_path / "bundle").rglob("model.json")
    command = ["java", "-cp", str(classes), "dermpack.bundle.ReplayCheck", str(contract.parent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) >= 20
    # Another decoder may open a JPEG differently; a PNG, and everything after the pixels, is the same.
    exact = [line for line in lines if ".jpg: pixels" not in line]
    assert all(line.startswith("PASS ") and "same bytes" in line for line in exact), done.stdout
