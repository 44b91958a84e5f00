"""Build and read golden vectors: pictures, the pixels they become, and the outputs of each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dermpack.bundle.golden_pictures import GoldenPicture
from dermpack.bundle.variants import Variant, run_variants
from dermpack.bundle.zip_archive import AGAIN
from dermpack.errors import TableError
from dermpack.imaging import prepare
from dermpack.storage.codec import decode, encode
from dermpack.storage.files import format_json, sha256_of
from dermpack.verification.output_agreement import ALLOWANCES

GOLDEN_FILE, GOLDEN_FOLDER = "golden.json", "golden"
SCHEMA = 1
DECIMALS = 9  # of a probability: the last bits differ between machines
MOST_LEVELS_APART = 2.0  # of 255, on average: decoders of one JPEG differ by less, a wrong turn by far more


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOutput:
    """The output of one variant for one picture."""

    fed_sha256: str  # of the bytes of the input
    output: str  # a file with the bytes of the output
    output_sha256: str
    label: str
    is_close: bool  # the second label is so near that other kernels may prefer it
    probabilities: tuple[float, ...]  # with the temperature, in the order of the labels


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenVector:
    """One picture and its pixels, which every phone must make: exactly for a PNG, nearly for a JPEG."""

    picture: str
    picture_sha256: str
    is_exact: bool
    pixels: str  # a file: RGB, row by row
    pixels_sha256: str
    expected: Mapping[str, ExpectedOutput]  # by variant


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenAgreement:
    """The runtime that made the outputs of a variant, and the allowed difference on other machines."""

    runtime: str
    most_apart: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenVectors:
    """The content of golden.json; files are named relative to it."""

    schema: int = SCHEMA
    size: int
    policy: str
    most_levels_apart: float = MOST_LEVELS_APART
    variants: Mapping[str, GoldenAgreement]
    vectors: tuple[GoldenVector, ...]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema is {self.schema}, not {SCHEMA}")


def build_golden_files(pictures: Sequence[GoldenPicture], variants: Sequence[Variant]) -> dict[str, bytes]:
    """Run the variants on the pictures, and return all files of the golden folder with golden.json."""
    size, policy = variants[0].contract.input.width, variants[0].policy
    pixels = np.stack([prepare(picture.data, size, policy=policy) for picture in pictures])
    outputs = run_variants(variants, pixels)
    files = {picture.name: picture.data for picture in pictures}
    vectors = []
    for index, picture in enumerate(pictures):
        stem = picture.name.replace(".", "-")
        expected = {}
        for variant, run in zip(variants, outputs, strict=True):
            output_name, output = f"{stem}.{variant.name}.out", run.answers[index]
            files[output_name] = output.output
            second, first = np.sort(output.probabilities)[-2:]
            expected[variant.name] = ExpectedOutput(
                fed_sha256=sha256_of(output.fed),
                output=output_name,
                output_sha256=sha256_of(output.output),
                label=variant.contract.labels[int(output.probabilities.argmax())],
                is_close=bool(first - second < 2 * allowed_difference(variant)[1]),
                probabilities=tuple(round(float(value), DECIMALS) for value in output.probabilities),
            )
        raw = pixels[index].tobytes()
        files[f"{stem}.rgb"] = raw
        vector = GoldenVector(
            picture=picture.name,
            picture_sha256=sha256_of(picture.data),
            is_exact=picture.is_exact,
            pixels=f"{stem}.rgb",
            pixels_sha256=sha256_of(raw),
            expected=expected,
        )
        vectors.append(vector)
    agreements = {
        variant.name: GoldenAgreement(runtime=run.runtime, most_apart=allowed_difference(variant)[0])
        for variant, run in zip(variants, outputs, strict=True)
    }
    golden = GoldenVectors(size=size, policy=policy.value, variants=agreements, vectors=tuple(vectors))
    return {**files, GOLDEN_FILE: format_json(encode(golden)).encode()}


def parse_golden_vectors(record: object, *, where: object) -> GoldenVectors:
    """Check the content of golden.json, and raise TableError if it is malformed."""
    try:
        return decode(GoldenVectors, record)
    except ValueError as error:
        what = f"invalid format ({error})"
        raise TableError(where, what, AGAIN, code="invalid-bundle") from error


def allowed_difference(variant: Variant) -> tuple[float, float]:
    """Return how far probabilities may be apart on another machine: at most, and on average."""
    allowance = ALLOWANCES.get(variant.name, ALLOWANCES["int8"])
    return allowance.known, allowance.known_mean
