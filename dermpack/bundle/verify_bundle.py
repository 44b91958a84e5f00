"""Verify a bundle: its files, its labels, and its golden vectors on every installed interpreter."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dermpack.bundle.golden_vectors import GOLDEN_FOLDER, GoldenVector, allowed_difference
from dermpack.bundle.read_bundle import OpenedBundle
from dermpack.bundle.variants import KERNEL_NAMES, MODEL_FILE, RuntimeOutputs, Variant, run_variant
from dermpack.bundle.zip_archive import SUMS_FILE
from dermpack.contract import CONTRACT_FILE
from dermpack.errors import InputError, PictureError
from dermpack.imaging import Pixels, prepare
from dermpack.inference import InterpreterHost, Kernels
from dermpack.storage.files import sha256_of
from dermpack.verification import Check, CheckOutcome, Export, Verification, VerificationTools, verify_export

ROUNDING = 1e-8
ROUNDING_REASON = "because these kernels round differently from those that made the vectors"


def verify_bundle(opened: OpenedBundle, tools: VerificationTools) -> tuple[Verification, ...]:
    """Run the checks of the bundle, and then those of each variant as of any export."""
    # `read_bundle` raises an error for files that do not match.
    signed = "the signature matches the key" if opened.is_signed else "signature not checked"
    detail = f"{len(opened.files)} files match {SUMS_FILE}; {signed}"
    files = Check(name="files", outcome=CheckOutcome.HOLDS, detail=detail)
    checks = [files, _check_labels(opened), _check_pixels(opened)]
    for variant in opened.variants:
        for kernels in (Kernels.XNNPACK, Kernels.BUILTIN):
            checks += [_check_outputs(opened, variant, host, kernels) for host in tools.hosts.values()]
    sha256 = sha256_of(opened.files[SUMS_FILE])
    own = Verification(name=f"bundle {opened.bundle.slug}", sha256=sha256, checks=tuple(checks))
    # The checks of an export need files: models and contracts are unpacked into a temporary folder.
    with TemporaryDirectory(prefix="dermpack-bundle-") as temporary:
        verifications = [own]
        for variant in opened.variants:
            folder = Path(temporary) / variant.name
            folder.mkdir()
            (folder / MODEL_FILE).write_bytes(variant.model)
            (folder / CONTRACT_FILE).write_bytes(variant.contract_bytes)
            export = Export(name=variant.name, model=folder / MODEL_FILE, contract=folder / CONTRACT_FILE)
            verifications.append(verify_export(export, tools))
    return tuple(verifications)


def _check_labels(opened: OpenedBundle) -> Check:
    listed = opened.asset("labels.txt").decode("utf-8", "replace").splitlines()
    different = [variant.name for variant in opened.variants if list(variant.contract.labels) != listed]
    if different:
        detail = f"labels.txt differs from the labels of {', '.join(different)}"
        return Check(name="labels", outcome=CheckOutcome.FAILS, detail=detail)
    return Check(name="labels", outcome=CheckOutcome.HOLDS, detail=f"{len(listed)} labels in the same order")


def _check_pixels(opened: OpenedBundle) -> Check:
    """Check that the golden pictures are prepared to the golden pixels on this machine."""
    problems = [problem for vector in opened.golden.vectors if (problem := _pixel_problem(opened, vector))]
    outcome = CheckOutcome.FAILS if problems else CheckOutcome.HOLDS
    success = f"{len(opened.golden.vectors)} pictures are prepared to the expected pixels"
    return Check(name="golden pixels", outcome=outcome, detail="; ".join(problems) or success)


def _pixel_problem(opened: OpenedBundle, vector: GoldenVector) -> str:
    """Return what is wrong with the pixels of one golden vector, or ""."""
    golden, variant = opened.golden, opened.variants[0]
    if (golden.size, golden.policy) != (variant.contract.input.width, variant.contract.input.policy):
        return "golden.json is for a different input"
    picture, expected = _golden_file(opened, vector.picture), _golden_file(opened, vector.pixels)
    if (sha256_of(picture), sha256_of(expected)) != (vector.picture_sha256, vector.pixels_sha256):
        return f"{vector.picture} differs from the file that golden.json describes"
    try:
        pixels = prepare(picture, golden.size, policy=variant.policy)
    except PictureError as error:
        return f"{vector.picture}: {error.what}"
    if len(expected) != pixels.size:
        return f"{vector.pixels} has a different size"
    difference = np.abs(np.frombuffer(expected, np.uint8).astype(float) - pixels.ravel()).mean()
    if difference <= (0 if vector.is_exact else golden.most_levels_apart):
        return ""
    return f"{vector.picture} differs by {difference:.2f} levels from its expected pixels"


def _check_outputs(opened: OpenedBundle, variant: Variant, host: InterpreterHost, kernels: Kernels) -> Check:
    """Check that the golden pixels give the golden outputs: the same bytes, or similar ones."""
    name = f"golden answers of {variant.name} on {host.engine.package}, {KERNEL_NAMES[kernels]}"
    side = opened.golden.size
    try:
        stacked = b"".join(_golden_file(opened, vector.pixels) for vector in opened.golden.vectors)
        pixels: Pixels = np.frombuffer(stacked, np.uint8).reshape(-1, side, side, 3)
        outputs = run_variant(host, variant, pixels, kernels=kernels)
    except (InputError, ValueError) as error:
        what = error.what if isinstance(error, InputError) else "the golden pixels have a different size"
        return Check(name=name, outcome=CheckOutcome.FAILS, detail=what)
    return _compare_outputs(name, opened, variant, outputs)


def _compare_outputs(name: str, opened: OpenedBundle, variant: Variant, outputs: RuntimeOutputs) -> Check:
    vectors, labels = opened.golden.vectors, variant.contract.labels
    pairs = list(zip([vector.expected[variant.name] for vector in vectors], outputs.answers, strict=True))
    if any(len(output.probabilities) != len(labels) for pair in pairs for output in pair):
        detail = "golden.json has a different number of labels"
        return Check(name=name, outcome=CheckOutcome.FAILS, detail=detail)
    identical = sum(sha256_of(output.output) == expected.output_sha256 for expected, output in pairs)
    differences = np.array(
        [np.abs(np.array(expected.probabilities) - output.probabilities) for expected, output in pairs]
    )
    # Near ties may have either label.
    other_labels = sum(
        labels[int(output.probabilities.argmax())] != expected.label and not expected.is_close
        for expected, output in pairs
    )
    most, mean = allowed_difference(variant)
    detail = (
        f"{identical} of {len(pairs)} outputs are identical; "
        f"the largest difference is {differences.max():.2g} ({most:g} allowed)"
    )
    # These comparisons are false for NaN, which fails the check.
    is_near = differences.max() <= most + ROUNDING and differences.mean() <= mean + ROUNDING
    if other_labels or not is_near:
        detail = f"{detail}; {other_labels} labels differ"
        return Check(name=name, outcome=CheckOutcome.FAILS, detail=detail)
    figures = {"same": identical, "n": len(pairs)}
    if identical == len(pairs):
        return Check(name=name, outcome=CheckOutcome.HOLDS, detail=detail, figures=figures)
    return Check(
        name=name, outcome=CheckOutcome.NOTED, detail=f"{detail}, {ROUNDING_REASON}", figures=figures
    )


def _golden_file(opened: OpenedBundle, name: str) -> bytes:
    return opened.asset(f"{GOLDEN_FOLDER}/{name}")
