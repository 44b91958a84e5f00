"""Golden vectors: pictures, pixels and outputs that a phone must reproduce."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermpack.bundle.golden_vectors import (
    GOLDEN_FILE,
    GoldenPicture,
    GoldenVectors,
    build_golden_files,
    can_be_near_tie,
    generate_golden_pictures,
    is_near_tie,
    parse_golden_vectors,
    read_golden_pictures,
)
from dermpack.bundle.variants import read_variants, run_variants, run_variants_elsewhere
from dermpack.imaging.containers import read_jpeg
from dermpack.imaging.decoding import decode, read_orientation
from dermpack.imaging.metadata_removal import MetadataPolicy
from dermpack.imaging.preprocessing import Policy, prepare
from dermpack.inference.interpreter_host import installed_runtimes
from dermpack.storage.files import sha256_of
from tests.support.bundle_exports import write_export, write_exports
from tests.support.colour_model import LABELS, SIZE
from tests.support.errors import raises_code
from tests.support.hostile_pictures import encoded, scene

PICTURES = generate_golden_pictures(SIZE)
TURNED = [picture for picture in PICTURES if picture.name.startswith("turned-")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = write_exports(tmp_path_factory.mktemp("golden") / "exports")
    return build_golden_files(PICTURES, read_variants(folder, ("int8", "float32")))


@pytest.fixture(scope="module")
def golden(files: dict[str, bytes]) -> GoldenVectors:
    return parse_golden_vectors(json.loads(files[GOLDEN_FILE]), where=GOLDEN_FILE)


def pixels_of(picture: GoldenPicture) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return prepare(picture.data, SIZE, policy=Policy.CENTRE_SQUARE).astype(float)


def test_there_are_png_and_jpeg_in_every_orientation() -> None:
    assert sum(picture.is_exact for picture in PICTURES) >= 5
    orientations = [read_orientation(read_jpeg(picture.data, where="").exif)[0] for picture in TURNED]
    assert orientations == list(range(1, 9))


def test_every_orientation_shows_the_same_scene() -> None:
    first = pixels_of(TURNED[0])
    assert all(np.abs(pixels_of(picture) - first).mean() < 2 for picture in TURNED)


def test_a_wrong_turn_differs_far_from_the_right_one() -> None:
    seen = pixels_of(TURNED[0])
    mirrored = seen[:, ::-1]
    for wrong in (
        *(np.rot90(seen, turns) for turns in (1, 2, 3)),
        *(np.rot90(mirrored, turns) for turns in range(4)),
    ):
        assert np.abs(seen - wrong).mean() > 5


def test_the_large_jpeg_is_decoded_at_half_its_size() -> None:
    (large,) = [picture for picture in PICTURES if picture.name == "large.jpg"]
    whole, reduced = decode(large.data).pixels, decode(large.data, at_least=2 * SIZE).pixels
    assert whole.shape[0] == 2 * reduced.shape[0]


def test_the_same_size_gives_the_same_bytes() -> None:
    assert generate_golden_pictures(SIZE) == PICTURES


def test_the_index_lists_every_file_with_its_hash(files: dict[str, bytes], golden: GoldenVectors) -> None:
    named = {GOLDEN_FILE: sha256_of(files[GOLDEN_FILE])}
    for vector in golden.vectors:
        named |= {vector.picture: vector.picture_sha256, vector.pixels: vector.pixels_sha256}
        named |= {output.output: output.output_sha256 for output in vector.expected.values()}
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


def test_pictures_of_the_user_are_unchanged(tmp_path: Path) -> None:
    (tmp_path / "Anna Muster.PNG").write_bytes(encoded(scene(), "PNG"))
    (tmp_path / "x").write_bytes(encoded(scene(), "JPEG"))
    sixteen = encoded(scene()[..., 0].astype(np.uint16) * 257, "PNG")
    (tmp_path / "deep.png").write_bytes(sixteen)
    taken = read_golden_pictures([tmp_path / "Anna Muster.PNG", tmp_path / "x", tmp_path / "deep.png"])
    assert [(picture.name, picture.is_exact) for picture in taken] == [
        ("given-01.png", True),
        ("given-02.jpg", False),
        ("given-03.png", False),
    ]


def test_metadata_of_the_users_pictures_is_removed_unless_it_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "Anna Muster"
    for form in ("PNG", "JPEG"):
        buffer = io.BytesIO()
        Image.fromarray(scene()).save(buffer, form, exif=exif)
        (tmp_path / form).write_bytes(buffer.getvalue())
    files = [tmp_path / "PNG", tmp_path / "JPEG"]
    for picture, file in zip(read_golden_pictures(files), files, strict=True):
        assert picture.had_metadata
        assert b"Muster" not in picture.data
        assert np.array_equal(decode(picture.data).pixels, decode(file.read_bytes()).pixels)
    for picture, file in zip(read_golden_pictures(files, metadata=MetadataPolicy.KEEP), files, strict=True):
        assert (picture.data, picture.had_metadata) == (file.read_bytes(), False)


@pytest.mark.parametrize("form", ["WEBP", "BMP"])
def test_a_picture_that_not_every_phone_opens_is_rejected(tmp_path: Path, form: str) -> None:
    (tmp_path / "picture").write_bytes(encoded(scene(), form))
    with raises_code("picture-unsupported", tmp_path / "picture", "PNG", "JPEG"):
        read_golden_pictures([tmp_path / "picture"])


def test_a_golden_file_with_another_schema_is_rejected() -> None:
    with raises_code("invalid-bundle", GOLDEN_FILE, "schema is 2"):
        parse_golden_vectors(
            {"schema": 2, "size": 8, "policy": "x", "variants": {}, "vectors": []}, where=GOLDEN_FILE
        )


@pytest.mark.parametrize(
    ("lead", "is_preferred", "expected"),
    [
        (0.05, False, True),  # less than twice the mean difference of kernels
        (0.12, False, False),
        (0.12, True, True),  # a kernel of this machine answers another label
        (0.60, True, False),  # more than kernels may differ: a wrong result, not a tie
    ],
)
def test_a_picture_is_a_near_tie_if_other_kernels_answer_another_label(
    tmp_path: Path, lead: float, is_preferred: bool, expected: bool
) -> None:
    (variant,) = read_variants(write_export(tmp_path / "export"))
    made = np.array([(1 + lead) / 2, (1 - lead) / 2, 0.0])
    others = [made, made[::-1] if is_preferred else made]
    assert is_near_tie(made, others, variant) is expected
    assert can_be_near_tie(made, variant) is (lead < 0.5)


def test_a_bundle_is_tried_on_all_kernels_but_the_first(tmp_path: Path) -> None:
    variants = read_variants(write_export(tmp_path / "export"))
    pixels = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)
    (elsewhere,) = run_variants_elsewhere(variants, pixels)
    assert len(elsewhere) == 2 * len(installed_runtimes()) - 1
    (first,) = run_variants(variants, pixels)
    for probabilities in elsewhere:
        expected = np.stack([output.probabilities for output in first])
        assert probabilities == pytest.approx(expected, abs=0.05)


def test_variants_are_chosen_by_name(tmp_path: Path) -> None:
    folder = write_exports(tmp_path / "exports")
    assert [variant.name for variant in read_variants(folder, ("float32",))] == ["float32"]
    with raises_code("missing-option", folder, "float32, int8", "--variant"):
        read_variants(folder)
    with raises_code("invalid-option", folder, "int4", "float32, int8"):
        read_variants(folder, ("int4",))


def test_a_model_that_does_not_match_its_contract_is_rejected(tmp_path: Path) -> None:
    folder = write_export(tmp_path / "export")
    (folder / "model.tflite").write_bytes((folder / "model.tflite").read_bytes() + b"\0")
    with raises_code("contract-mismatch", folder / "model.tflite", "model.json"):
        read_variants(folder)
