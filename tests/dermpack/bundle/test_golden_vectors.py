"""Golden vectors: pictures that tell whether a phone sees what Python sees."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dermpack.bundle.golden_pictures import GoldenPicture, generated, given
from dermpack.bundle.golden_vectors import GOLDEN_FILE, GoldenVectors, golden_files, golden_from
from dermpack.bundle.variants import read_variants
from dermpack.imaging import Policy, decode, prepare
from dermpack.imaging.containers.jpeg import read_jpeg
from dermpack.imaging.exif import orientation_of
from dermpack.storage.files import sha256_of
from tests.support.bundle_exports import write_export, write_exports
from tests.support.colour_model import LABELS, SIZE
from tests.support.errors import raises_code
from tests.support.hostile_pictures import encoded, scene

PICTURES = generated(SIZE)
TURNED = [of for of in PICTURES if of.name.startswith("turned-")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = write_exports(tmp_path_factory.mktemp("golden") / "exports")
    return golden_files(PICTURES, read_variants(folder, ("int8", "float32")))


@pytest.fixture(scope="module")
def golden(files: dict[str, bytes]) -> GoldenVectors:
    return golden_from(json.loads(files[GOLDEN_FILE]), where=GOLDEN_FILE)


def pixels_of(picture: GoldenPicture) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return prepare(picture.data, SIZE, policy=Policy.CENTRE_SQUARE).astype(float)


def test_png_and_jpeg_in_every_orientation_are_there() -> None:
    assert sum(of.is_exact for of in PICTURES) >= 5
    orientations = [orientation_of(read_jpeg(of.data, where="").exif)[0] for of in TURNED]
    assert orientations == list(range(1, 9))


def test_every_orientation_shows_the_same_scene() -> None:
    first = pixels_of(TURNED[0])
    assert all(np.abs(pixels_of(of) - first).mean() < 2 for of in TURNED)


def test_a_wrong_turn_is_far_from_the_right_one() -> None:
    seen = pixels_of(TURNED[0])
    mirrored = seen[:, ::-1]
    for wrong in (*(np.rot90(seen, of) for of in (1, 2, 3)), *(np.rot90(mirrored, of) for of in range(4))):
        assert np.abs(seen - wrong).mean() > 5


def test_the_large_jpeg_is_decoded_at_half_its_size() -> None:
    (large,) = [of for of in PICTURES if of.name == "large.jpg"]
    whole, reduced = decode(large.data).pixels, decode(large.data, at_least=2 * SIZE).pixels
    assert whole.shape[0] == 2 * reduced.shape[0]


def test_the_same_size_gives_the_same_bytes() -> None:
    assert generated(SIZE) == PICTURES


def test_every_file_is_named_with_its_hash(files: dict[str, bytes], golden: GoldenVectors) -> None:
    named = {GOLDEN_FILE: sha256_of(files[GOLDEN_FILE])}
    for vector in golden.vectors:
        named |= {vector.picture: vector.picture_sha256, vector.pixels: vector.pixels_sha256}
        named |= {of.output: of.output_sha256 for of in vector.expected.values()}
    assert named == {name: sha256_of(data) for name, data in files.items()}


def test_the_pixels_are_the_bytes_that_a_raw_input_takes(
    files: dict[str, bytes], golden: GoldenVectors
) -> None:
    for vector in golden.vectors:
        assert vector.expected["int8"].fed_sha256 == vector.pixels_sha256
        assert files[vector.pixels] == prepare(files[vector.picture], SIZE).tobytes()


def test_an_answer_is_an_output_and_what_it_means(files: dict[str, bytes], golden: GoldenVectors) -> None:
    for vector in golden.vectors:
        raw = np.frombuffer(files[vector.expected["int8"].output], np.uint8)
        expected = vector.expected["int8"]
        assert LABELS[int(raw.argmax())] == expected.label
        assert sum(expected.probabilities) == pytest.approx(1)
        softened = (raw / 256).clip(1 / 512) ** (1 / 1.25)
        assert np.allclose(expected.probabilities, softened / softened.sum(), atol=1e-8)


def test_pictures_that_the_user_names_are_taken_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "Anna Muster.PNG").write_bytes(encoded(scene(), "PNG"))
    (tmp_path / "x").write_bytes(encoded(scene(), "JPEG"))
    sixteen = encoded(scene()[..., 0].astype(np.uint16) * 257, "PNG")
    (tmp_path / "deep.png").write_bytes(sixteen)
    taken = given([tmp_path / "Anna Muster.PNG", tmp_path / "x", tmp_path / "deep.png"])
    assert [(of.name, of.is_exact) for of in taken] == [
        ("given-01.png", True),
        ("given-02.jpg", False),
        ("given-03.png", False),
    ]


@pytest.mark.parametrize("form", ["WEBP", "BMP"])
def test_a_picture_that_not_every_phone_opens_is_refused(tmp_path: Path, form: str) -> None:
    (tmp_path / "picture").write_bytes(encoded(scene(), form))
    with raises_code("picture-unsupported", tmp_path / "picture", "PNG", "JPEG"):
        given([tmp_path / "picture"])


def test_a_golden_file_of_another_kind_is_refused() -> None:
    with raises_code("invalid-bundle", GOLDEN_FILE, "schema is 2"):
        golden_from({"schema": 2, "size": 8, "policy": "x", "variants": {}, "vectors": []}, where=GOLDEN_FILE)


def test_variants_are_chosen_by_name(tmp_path: Path) -> None:
    folder = write_exports(tmp_path / "exports")
    assert [of.name for of in read_variants(folder, ("float32",))] == ["float32"]
    with raises_code("missing-option", folder, "float32, int8", "--variant"):
        read_variants(folder)
    with raises_code("invalid-option", folder, "int4", "float32, int8"):
        read_variants(folder, ("int4",))


def test_a_model_that_is_not_its_contracts_is_refused(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "model.tflite").write_bytes((folder / "model.tflite").read_bytes() + b"\0")
    with raises_code("contract-mismatch", folder / "model.tflite", "model.json"):
        read_variants(folder)
