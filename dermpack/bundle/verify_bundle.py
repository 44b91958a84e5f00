"""Prove a bundle again: every byte, every variant, every golden vector on every runtime that is here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dermpack.bundle.build_bundle import GOLDEN_FOLDER
from dermpack.bundle.golden_vectors import GoldenVector, allowance_of
from dermpack.bundle.read_bundle import OpenedBundle
from dermpack.bundle.variant_outputs import RuntimeOutputs, ask_one
from dermpack.bundle.variants import MODEL_FILE, Variant
from dermpack.contract import CONTRACT_FILE
from dermpack.errors import InputError, PictureError
from dermpack.imaging import Pixels, prepare
from dermpack.inference import InterpreterHost, Kernels
from dermpack.storage.files import sha256_of
from dermpack.verification import Check, CheckOutcome, Export, Verification, VerificationTools, verify_export

ROUNDING = 1e-8
OTHERWISE = "because these kernels round differently from those that made the vectors"


def verify_bundle(read: OpenedBundle, means: VerificationTools) -> tuple[Verification, ...]:
    """The bundle's own proofs, and after them those of each variant, as of any export."""
    with _unpacked(read) as exports:
        return (_own(read, means), *(verify_export(export, means) for export in exports))


def _own(read: OpenedBundle, means: VerificationTools) -> Verification:
    proofs = [_files(read), _labels(read), _pixels(read)]
    for variant in read.variants:
        for kernels in (Kernels.XNNPACK, Kernels.BUILTIN):
            proofs += [_answers(read, variant, host, kernels) for host in means.hosts.values()]
    sums = read.files["SHA256SUMS"]
    return Verification(name=f"bundle {read.bundle.slug}", sha256=sha256_of(sums), proofs=tuple(proofs))


def _files(read: OpenedBundle) -> Check:
    signed = "the signature matches the key" if read.is_signed else "signature not checked"
    detail = f"{len(read.files)} files match SHA256SUMS; {signed}"
    return Check(name="files", outcome=CheckOutcome.HOLDS, detail=detail)


def _labels(read: OpenedBundle) -> Check:
    listed = read.asset("labels.txt").decode("utf-8", "replace").splitlines()
    wrong = [of.name for of in read.variants if list(of.contract.labels) != listed]
    outcome = CheckOutcome.FAILS if wrong else CheckOutcome.HOLDS
    told = (
        f"labels.txt differs from the labels of {', '.join(wrong)}"
        if wrong
        else f"{len(listed)} labels in the same order"
    )
    return Check(name="labels", outcome=outcome, detail=told)


def _pixels(read: OpenedBundle) -> Check:
    """Whether the pictures still become the pixels, here and now."""
    problems = [told for of in read.golden.vectors if (told := _problem(read, of))]
    outcome = CheckOutcome.FAILS if problems else CheckOutcome.HOLDS
    well = f"{len(read.golden.vectors)} pictures are prepared to the expected pixels"
    return Check(name="golden pixels", outcome=outcome, detail="; ".join(problems) or well)


def _problem(read: OpenedBundle, vector: GoldenVector) -> str:
    size, variant = read.golden.size, read.variants[0]
    if (size, read.golden.policy) != (variant.contract.input.width, variant.contract.input.policy):
        return "golden.json is for a different input"
    picture, wanted = _golden(read, vector.picture), _golden(read, vector.pixels)
    if (sha256_of(picture), sha256_of(wanted)) != (vector.picture_sha256, vector.pixels_sha256):
        return f"{vector.picture} differs from the file that golden.json describes"
    try:
        found = prepare(picture, size, policy=variant.policy)
    except PictureError as error:
        return f"{vector.picture}: {error.what}"
    if len(wanted) != found.size:
        return f"{vector.pixels} has a different size"
    apart = np.abs(np.frombuffer(wanted, np.uint8).astype(float) - found.ravel()).mean()
    most = 0 if vector.is_exact else read.golden.most_levels_apart
    return f"{vector.picture} differs by {apart:.2f} levels from its expected pixels" if apart > most else ""


def _answers(read: OpenedBundle, variant: Variant, host: InterpreterHost, kernels: Kernels) -> Check:
    """Whether the pixels still give the outputs: the same bytes, or as near as other kernels are."""
    how = "XNNPACK" if kernels is Kernels.XNNPACK else "own kernels"
    name = f"golden answers of {variant.name} on {host.engine.package}, {how}"
    side = read.golden.size
    try:
        stacked = b"".join(_golden(read, of.pixels) for of in read.golden.vectors)
        pixels: Pixels = np.frombuffer(stacked, np.uint8).reshape(-1, side, side, 3)
        answered = ask_one(host, variant, pixels, kernels=kernels)
    except (InputError, ValueError) as error:
        what = error.what if isinstance(error, InputError) else "the golden pixels have a different size"
        return Check(name=name, outcome=CheckOutcome.FAILS, detail=what)
    return _compared(name, read, variant, answered)


def _compared(name: str, read: OpenedBundle, variant: Variant, answered: RuntimeOutputs) -> Check:
    vectors = [of.expected[variant.name] for of in read.golden.vectors]
    pairs = list(zip(vectors, answered.answers, strict=True))
    same = sum(sha256_of(answer.output) == expected.output_sha256 for expected, answer in pairs)
    lengths = {len(of.probabilities) for pair in pairs for of in pair}
    if lengths != {len(variant.contract.labels)}:
        return Check(
            name=name, outcome=CheckOutcome.FAILS, detail="golden.json has a different number of labels"
        )
    apart = np.array([np.abs(np.array(of.probabilities) - answer.probabilities) for of, answer in pairs])
    labels = [variant.contract.labels[int(answer.probabilities.argmax())] for _, answer in pairs]
    other = sum(found != of.label and not of.is_close for of, found in zip(vectors, labels, strict=True))
    most, mean = allowance_of(variant)
    detail = (
        f"{same} of {len(pairs)} outputs are identical; "
        f"the largest difference is {apart.max():.2g} ({most:g} allowed)"
    )
    is_near = apart.max() <= most + ROUNDING and apart.mean() <= mean + ROUNDING  # false of what is no number
    if other or not is_near:
        return Check(name=name, outcome=CheckOutcome.FAILS, detail=f"{detail}; {other} labels differ")
    figures = {"same": same, "n": len(pairs)}
    if same == len(pairs):
        return Check(name=name, outcome=CheckOutcome.HOLDS, detail=detail, figures=figures)
    return Check(name=name, outcome=CheckOutcome.NOTED, detail=f"{detail}, {OTHERWISE}", figures=figures)


def _golden(read: OpenedBundle, name: str) -> bytes:
    return read.asset(f"{GOLDEN_FOLDER}/{name}")


@contextmanager
def _unpacked(read: OpenedBundle) -> Iterator[tuple[Export, ...]]:
    """Models and contracts alone, as exports, in a folder that ends with the block."""
    with TemporaryDirectory(prefix="dermpack-bundle-") as folder:
        exports = []
        for of in read.variants:
            place = Path(folder) / of.name
            place.mkdir()
            (place / MODEL_FILE).write_bytes(of.model)
            (place / CONTRACT_FILE).write_bytes(of.contract_bytes)
            exports.append(Export(name=of.name, model=place / MODEL_FILE, contract=place / CONTRACT_FILE))
        yield tuple(exports)
