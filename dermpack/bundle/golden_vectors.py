"""Build and read golden vectors: pictures, the pixels they become, and the outputs of each variant.

The pictures are generated or the user's own. They show whether an app prepares pictures as Python does.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

from dermpack.bundle.variants import Variant, VariantOutput, run_variants, run_variants_elsewhere
from dermpack.bundle.zip_archive import AGAIN
from dermpack.contract import Contract, FamiliarityOutput, MetadataColumn, NumericColumn
from dermpack.errors import InputError, TableError
from dermpack.imaging.decoding import ORIENTATION_TAG, TURNS, Pixels
from dermpack.imaging.metadata_removal import MetadataPolicy, apply_policy
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.imaging.preprocessing import Policy
from dermpack.inference.interpreter_host import Kernels, first_installed_runtime
from dermpack.inference.metadata_rows import Rows, encode_values
from dermpack.inference.picture_feed import Floats, declared_tensor, dequantize
from dermpack.storage.codec import decode, encode
from dermpack.storage.files import format_json, read_bytes, sha256_of
from dermpack.synthetic.scenes import render
from dermpack.verification.familiarity import allowed_share
from dermpack.verification.interpreter_runs import KERNEL_NAMES
from dermpack.verification.output_agreement import ALLOWANCES

GOLDEN_FILE = "golden.json"
SCHEMA = 1
DECIMALS = 9  # of a probability: the last bits differ between machines
MOST_LEVELS_APART = 2.0  # of 255, on average: decoders of one JPEG differ by less, a wrong turn by far more
PNG_SIGNATURE, JPEG_SIGNATURE = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
SUFFIXES = {PNG_SIGNATURE: ".png", JPEG_SIGNATURE: ".jpg"}
PNG_DEPTH_OFFSET = 24
MAX_EXACT_BITS = 8  # decoders differ in how they shorten deeper samples
MAX_GIVEN, MAX_GIVEN_BYTES = 64, 8 << 20
BLANK_EVERY = 4  # every fourth field of the metadata is blank
MEAN_SHARE = 0.1  # of the spread of an output: kernels differ by less, another tensor by far more
LEAST_SPREAD = 1e-3
CLASSES, SEED = 7, 0  # of the generated scenes: all kinds of lesions
QUALITY = 90  # JPEG
SHADE_ACROSS, SHADE_DOWN = 0.45, 0.25  # a shaded scene differs from all its turns and mirror images
# How to store an upright picture, so that its EXIF orientation turns it upright again.
# Orientations are their own inverse, except for the two quarter turns.
QUARTER_TURNS = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
STORED_AS: dict[int, Image.Transpose | None] = {1: None, **TURNS, **QUARTER_TURNS}


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenPicture:
    """A picture file; every decoder gives the same pixels for an exact one."""

    name: str
    data: bytes
    is_exact: bool
    had_metadata: bool = False  # which was removed

    @property
    def stem(self) -> str:
        """The start of the names of its other files: square.png → square-png."""
        return self.name.replace(".", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedTensor:
    """The bytes of an output besides the probabilities."""

    output: str  # a file with the bytes of the output
    output_sha256: str
    most_mean_apart: float  # how far the real values may be apart on other kernels, on average


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOutput:
    """The outputs of one variant for one picture."""

    fed_sha256: str  # of the bytes of the input for the picture
    fed_metadata_sha256: str = ""  # of the bytes of the patient metadata, if the model takes any
    output: str  # a file with the bytes of the probabilities
    output_sha256: str
    label: str
    is_close: bool  # a near tie: other kernels may prefer, or do prefer, another label
    probabilities: tuple[float, ...]  # with the temperature, in the order of the labels
    more: Mapping[str, ExpectedTensor] = field(default_factory=dict)  # the other outputs, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldenVector:
    """One picture and its pixels, which every phone must make: exactly for a PNG, nearly for a JPEG."""

    picture: str
    picture_sha256: str
    is_exact: bool
    pixels: str  # a file: RGB, row by row
    pixels_sha256: str
    expected: Mapping[str, ExpectedOutput]  # by variant
    metadata: Mapping[str, str] = field(default_factory=dict)  # the fields that are not blank

    def row(self, columns: Sequence[MetadataColumn]) -> Rows:
        """Return the row of the metadata, float32 [1, width]."""
        return encode_values(columns, self.metadata, where=self.picture)[np.newaxis]


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
    size, policy, columns = variants[0].contract.picture.width, variants[0].policy, variants[0].columns
    with PictureDecoder() as decoder:
        sources = [picture.data for picture in pictures]
        pixels = np.stack(list(decoder.prepare_all(sources, size, policy=policy)))
    known = [choose_golden_metadata(columns, index) for index in range(len(pictures))]
    metadata = np.stack([encode_values(columns, values, where=GOLDEN_FILE) for values in known])
    rows = metadata if columns else None
    outputs = run_variants(variants, pixels, rows)
    elsewhere = run_variants_elsewhere(variants, pixels, rows)
    files = {picture.name: picture.data for picture in pictures}
    vectors = []
    for index, picture in enumerate(pictures):
        expected = {}
        for variant, run, other_runs in zip(variants, outputs, elsewhere, strict=True):
            files |= _output_files(picture, variant, run[index])
            others = [probabilities[index] for probabilities in other_runs]
            expected[variant.name] = _describe_output(picture, variant, run[index], others)
        pixels_file, raw = f"{picture.stem}.rgb", pixels[index].tobytes()
        files[pixels_file] = raw
        vector = GoldenVector(
            picture=picture.name,
            picture_sha256=sha256_of(picture.data),
            is_exact=picture.is_exact,
            pixels=pixels_file,
            pixels_sha256=sha256_of(raw),
            expected=expected,
            metadata=known[index],
        )
        vectors.append(vector)
    golden = GoldenVectors(
        size=size, policy=policy.value, variants=_describe_agreements(variants), vectors=tuple(vectors)
    )
    return {**files, GOLDEN_FILE: format_json(encode(golden)).encode()}


def _output_files(picture: GoldenPicture, variant: Variant, output: VariantOutput) -> dict[str, bytes]:
    """Return the file of each output of a variant for a picture, that of the probabilities first."""
    names = [variant.answer_name, *(name for name in output.outputs if name != variant.answer_name)]
    return {_name_output_file(picture, variant, name): output.outputs[name] for name in names}


def _name_output_file(picture: GoldenPicture, variant: Variant, name: str) -> str:
    """Return the file name of an output; that of the probabilities contains no name of an output."""
    if name == variant.answer_name:
        return f"{picture.stem}.{variant.name}.out"
    return f"{picture.stem}.{variant.name}.{name}.out"


def _describe_output(
    picture: GoldenPicture, variant: Variant, output: VariantOutput, others: Sequence[Floats]
) -> ExpectedOutput:
    """Return the expected output of a variant for a picture; `others` are the answers of other kernels."""
    more = {}
    for name, data in output.outputs.items():
        if name != variant.answer_name:
            more[name] = ExpectedTensor(
                output=_name_output_file(picture, variant, name),
                output_sha256=sha256_of(data),
                most_mean_apart=allowed_mean_apart(variant.contract, name, data),
            )
    return ExpectedOutput(
        fed_sha256=sha256_of(output.fed[variant.picture_name]),
        fed_metadata_sha256=hash_fed_metadata(variant, output.fed),
        output=_name_output_file(picture, variant, variant.answer_name),
        output_sha256=sha256_of(output.outputs[variant.answer_name]),
        label=variant.contract.labels[int(output.probabilities.argmax())],
        is_close=is_near_tie(output.probabilities, others, variant),
        probabilities=tuple(round(float(value), DECIMALS) for value in output.probabilities),
        more=more,
    )


def _describe_agreements(variants: Sequence[Variant]) -> dict[str, GoldenAgreement]:
    """Return, by variant, the runtime on this machine and the allowed difference on others."""
    package = first_installed_runtime().package
    runtime = f"{package} {version(package)}, {KERNEL_NAMES[Kernels.XNNPACK]}"
    return {
        variant.name: GoldenAgreement(runtime=runtime, most_apart=allowed_difference(variant)[0])
        for variant in variants
    }


def choose_golden_metadata(columns: Sequence[MetadataColumn], index: int) -> dict[str, str]:
    """Return the fields of one golden vector: all blank in the first, then other values and blanks in each.

    A numeric field goes through its range in quarters, a category through all categories.
    """
    values = {}
    for number, column in enumerate(columns):
        if index == 0 or (index + number) % BLANK_EVERY == 0:
            continue
        if isinstance(column, NumericColumn):
            share = index % 5 / 4
            values[column.name] = repr(column.minimum + share * (column.maximum - column.minimum))
        else:
            values[column.name] = column.categories[index % len(column.categories)]
    return values


def hash_fed_metadata(variant: Variant, fed: Mapping[str, bytes]) -> str:
    """Return the hash of the bytes of the patient metadata, "" for a model that takes none."""
    return sha256_of(fed[variant.metadata_name]) if variant.metadata_name else ""


def allowed_mean_apart(contract: Contract, name: str, data: bytes) -> float:
    """Return how far the real values of an output may be apart on other kernels, on average.

    For a map, a share of its spread, at least of a step. A distance is a single number without a spread:
    it may differ by the share by which verification allows it to differ between interpreters.
    """
    record = contract.outputs[name]
    tensor = declared_tensor(record)
    real = dequantize(np.frombuffer(data, tensor.dtype), tensor)
    if isinstance(record, FamiliarityOutput):
        return round(allowed_share(contract) * float(np.abs(real).max()), DECIMALS)
    return round(MEAN_SHARE * max(float(np.ptp(real)), record.scale or LEAST_SPREAD), DECIMALS)


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


def is_near_tie(probabilities: Floats, others: Sequence[Floats], variant: Variant) -> bool:
    """Return whether another label than the most probable one is right, too.

    That is so if two labels are nearly as probable as each other, and if one of the other kernels, which gave
    `others` for the same picture, prefers another label within the difference that they may have.
    """
    if must_be_near_tie(probabilities, variant):
        return True
    label = probabilities.argmax()
    return can_be_near_tie(probabilities, variant) and any(other.argmax() != label for other in others)


def must_be_near_tie(probabilities: Floats, variant: Variant) -> bool:
    """Return whether other kernels prefer another label if they differ as much as they do on average."""
    _, mean = allowed_difference(variant)
    return bool(_lead(probabilities) < 2 * mean)


def can_be_near_tie(probabilities: Floats, variant: Variant) -> bool:
    """Return whether other kernels prefer another label if they differ as much as they may at most."""
    most, _ = allowed_difference(variant)
    return bool(_lead(probabilities) <= 2 * most)


def _lead(probabilities: Floats) -> float:
    """Return by how much the most probable label leads: 0.5, 0.3, 0.2 → 0.2."""
    second, first = np.sort(probabilities)[-2:]
    return float(first - second)


# --- Pictures ---


def generate_golden_pictures(size: int) -> tuple[GoldenPicture, ...]:
    """Generate pictures for a model with inputs of size × size pixels. They show no person.

    PNG: of exactly this size, wide, tall and smaller, with an orientation, transparent. JPEG: in each
    orientation, and so large that it is decoded at half its size.
    """
    wide, tall = (2 * size + 7, size + 3), (size // 2 + 1, size // 2 + 10)
    landscape = (size * 3 // 2, size + 1)
    large = (4 * size + 33, 4 * size + 8)
    # Transparent: opaque to the left, half transparent in the middle, invisible to the right.
    clear = _scene(8, landscape)
    alpha = np.linspace(255, 0, clear.width).round().astype(np.uint8)
    clear.putalpha(Image.fromarray(np.tile(alpha, (clear.height, 1))))
    # Enlarged: a smooth picture is a small file.
    enlarged = _scene(14, (large[0] // 4, large[1] // 4)).resize(large, Image.Resampling.BICUBIC)
    return (
        _encode("square.png", _scene(0, (size, size))),
        _encode("wide.png", _scene(3, wide)),
        _encode("tall.png", _scene(4, tall)),
        _encode("turned.png", _scene(7, landscape), orientation=6),
        _encode("clear.png", clear),
        *(_encode(f"turned-{turn}.jpg", _scene(12, landscape), orientation=turn) for turn in STORED_AS),
        _encode("large.jpg", enlarged),
    )


def read_golden_pictures(
    files: Sequence[Path], *, metadata: MetadataPolicy = MetadataPolicy.REMOVE
) -> tuple[GoldenPicture, ...]:
    """Read the user's own pictures; their new names contain nothing of the old ones."""
    if not 0 < len(files) <= MAX_GIVEN:
        what = f"from 1 to {MAX_GIVEN} are allowed"
        hint = f"Give at most {MAX_GIVEN} pictures."
        raise InputError(f"{len(files)} golden pictures", what, hint, code="invalid-option")
    with PictureDecoder() as decoder:
        # Raises a PictureError that names the first faulty file; the pixels are not used.
        for _ in decoder.prepare_all(files, 1, policy=Policy.WHOLE):
            pass
    return tuple(_read_picture(number, file, metadata) for number, file in enumerate(files, 1))


def _read_picture(number: int, file: Path, metadata: MetadataPolicy) -> GoldenPicture:
    hint = "Give a smaller picture, because the app will contain it."
    data = read_bytes(file, most=MAX_GIVEN_BYTES, hint=hint)
    suffix = next((suffix for signature, suffix in SUFFIXES.items() if data.startswith(signature)), None)
    if suffix is None:
        hint = "Give a PNG or JPEG file, which every phone can open."
        raise InputError(file, "neither PNG nor JPEG", hint, code="picture-unsupported")
    kept = apply_policy(data, metadata, where=str(file))
    return GoldenPicture(
        name=f"given-{number:02}{suffix}",
        data=kept.data,
        is_exact=is_exact_picture(kept.data),
        had_metadata=kept.had_metadata,
    )


def is_exact_picture(data: bytes) -> bool:
    """Return whether every decoder gives the same pixels: for a PNG whose samples need no shortening."""
    return data.startswith(PNG_SIGNATURE) and data[PNG_DEPTH_OFFSET] <= MAX_EXACT_BITS


def _scene(number: int, size: tuple[int, int]) -> Image.Image:
    """Return a generated picture that gets darker to the right and to the bottom."""
    width, height = size
    side = max(size)
    left, top = (side - width) // 2, (side - height) // 2
    scene = render(number, classes=CLASSES, size=side, seed=SEED)[top : top + height, left : left + width]
    across = np.linspace(1, 1 - SHADE_ACROSS, width)[None, :, None]
    down = np.linspace(1, 1 - SHADE_DOWN, height)[:, None, None]
    shaded: Pixels = np.rint(scene * across * down).astype(np.uint8)
    return Image.fromarray(shaded)


def _encode(name: str, upright: Image.Image, *, orientation: int = 1) -> GoldenPicture:
    """Return a PNG or JPEG, as the name ends, that is stored turned and has the orientation to undo this."""
    turn, exif, buffer = STORED_AS[orientation], Image.Exif(), io.BytesIO()
    exif[ORIENTATION_TAG] = orientation
    stored = upright.transpose(turn) if turn is not None else upright
    is_png = name.endswith(".png")
    if is_png:
        stored.save(buffer, "PNG", exif=exif, compress_level=9)
    else:
        stored.save(buffer, "JPEG", exif=exif, quality=QUALITY)
    return GoldenPicture(name=name, data=buffer.getvalue(), is_exact=is_png)
