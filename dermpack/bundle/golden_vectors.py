"""Golden vectors: pictures, the bytes they become, and what each variant answers to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dermpack.bundle.golden_pictures import GoldenPicture
from dermpack.bundle.variant_outputs import RuntimeOutputs, VariantOutput, ask
from dermpack.bundle.variants import Variant
from dermpack.bundle.zip_archive import AGAIN
from dermpack.errors import TableError
from dermpack.imaging import Pixels, prepare
from dermpack.storage.codec import decode, encode
from dermpack.storage.files import json_text, sha256_of
from dermpack.verification.output_agreement import ALLOWANCES

GOLDEN_FILE = "golden.json"
SCHEMA = 1
DECIMALS = 9  # of a probability: the last bits are another machine's
MOST_LEVELS_APART = 2.0  # of 255, on average: what decoders of one JPEG differ by; a wrong turn is far more


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOutput:
    """What one variant answers to one picture."""

    fed_sha256: str  # of the bytes that the input takes
    output: str  # a file: the bytes that come out
    output_sha256: str
    label: str
    is_close: bool  # the second label is so near that other kernels may prefer it
    probabilities: tuple[float, ...]  # under the temperature, in the order of the labels


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenVector:
    """One picture; of an exact one every phone must make these pixels, of a JPEG nearly these."""

    picture: str
    picture_sha256: str
    is_exact: bool
    pixels: str  # a file: RGB, row by row
    pixels_sha256: str
    expected: Mapping[str, ExpectedOutput]  # by variant


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenAgreement:
    """What a variant was asked on, and how far from it another machine's probabilities may be."""

    runtime: str
    most_apart: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenVectors:
    """golden.json; files are named relative to it."""

    schema: int = SCHEMA
    size: int
    policy: str
    most_levels_apart: float = MOST_LEVELS_APART
    variants: Mapping[str, GoldenAgreement]
    vectors: tuple[GoldenVector, ...]

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ValueError(f"schema is {self.schema}, not {SCHEMA}")


def golden_files(pictures: Sequence[GoldenPicture], variants: Sequence[Variant]) -> dict[str, bytes]:
    """All files of the folder, golden.json among them; the variants are run for it."""
    size, policy = variants[0].contract.input.width, variants[0].policy
    pixels = np.stack([prepare(of.data, size, policy=policy) for of in pictures])
    answered = dict(zip([of.name for of in variants], ask(variants, pixels), strict=True))
    files = {of.name: of.data for of in pictures}
    vectors = []
    for at, picture in enumerate(pictures):
        answers = {of: answered[of.name].answers[at] for of in variants}
        vectors.append(_vector(picture, pixels[at], answers))
        files[vectors[-1].pixels] = pixels[at].tobytes()
        files |= {_output_name(picture, of): answer.output for of, answer in answers.items()}
    agreements = {of.name: _agreement(of, answered[of.name]) for of in variants}
    golden = GoldenVectors(size=size, policy=policy.value, variants=agreements, vectors=tuple(vectors))
    return {**files, GOLDEN_FILE: json_text(encode(golden)).encode()}


def golden_from(record: object, *, where: object) -> GoldenVectors:
    """What golden.json holds, hostile until checked."""
    try:
        return decode(GoldenVectors, record)
    except ValueError as error:
        what = f"invalid format ({error})"
        raise TableError(where, what, AGAIN, code="invalid-bundle") from error


def allowance_of(variant: Variant) -> tuple[float, float]:
    """How far probabilities may be apart: at most, and on average."""
    allowed = ALLOWANCES.get(variant.name, ALLOWANCES["int8"])
    return allowed.known, allowed.known_mean


def _vector(picture: GoldenPicture, pixels: Pixels, answers: Mapping[Variant, VariantOutput]) -> GoldenVector:
    stem = picture.name.replace(".", "-")
    return GoldenVector(
        picture=picture.name,
        picture_sha256=sha256_of(picture.data),
        is_exact=picture.is_exact,
        pixels=f"{stem}.rgb",
        pixels_sha256=sha256_of(pixels.tobytes()),
        expected={
            of.name: _expected(of, answer, _output_name(picture, of)) for of, answer in answers.items()
        },
    )


def _output_name(picture: GoldenPicture, variant: Variant) -> str:
    return f"{picture.name.replace('.', '-')}.{variant.name}.out"


def _expected(variant: Variant, answer: VariantOutput, output: str) -> ExpectedOutput:
    second, first = np.sort(answer.probabilities)[-2:]
    return ExpectedOutput(
        fed_sha256=sha256_of(answer.fed),
        output=output,
        output_sha256=sha256_of(answer.output),
        label=variant.contract.labels[int(answer.probabilities.argmax())],
        is_close=bool(first - second < 2 * allowance_of(variant)[1]),
        probabilities=tuple(round(float(value), DECIMALS) for value in answer.probabilities),
    )


def _agreement(variant: Variant, answered: RuntimeOutputs) -> GoldenAgreement:
    return GoldenAgreement(runtime=answered.runtime, most_apart=allowance_of(variant)[0])
