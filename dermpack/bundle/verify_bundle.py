"""Verify a bundle: its files, its labels, and its golden vectors on every installed interpreter."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dermpack.bundle.golden_vectors import GOLDEN_FOLDER, GoldenVector, allowed_difference
from dermpack.bundle.read_bundle import OpenedBundle
from dermpack.bundle.variants import MODEL_FILE, Variant, run_variant
from dermpack.bundle.zip_archive import SUMS_FILE
from dermpack.contract import CONTRACT_FILE
from dermpack.errors import InputError, PictureError
from dermpack.imaging.decoding import Pixels
from dermpack.imaging.preprocessing import prepare
from dermpack.inference.interpreter_host import InterpreterHost, Kernels
from dermpack.storage.files import sha256_of
from dermpack.verification.check_result import Check, CheckOutcome, Verification, check_from_problems
from dermpack.verification.interpreter_runs import KERNEL_NAMES
from dermpack.verification.verify import Export, VerificationTools, verify_export

ROUNDING = 1e-8
ROUNDING_REASON = "because these kernels round differently from those that made the vectors"


def verify_bundle(opened: OpenedBundle, tools: VerificationTools) -> tuple[Verification, ...]:
    """Run the checks of the bundle, and then those of each variant as of any export."""
    # `read_bundle` raises an error for files that do not match.
    signed = "the signature matches the key" if opened.is_signed else "signature not checked"
    files = check_from_problems("files", [], success=f"{len(opened.files)} files match {SUMS_FILE}; {signed}")
    listed = opened.asset("labels.txt").decode("utf-8", "replace").splitlines()
    different = [variant.name for variant in opened.variants if list(variant.contract.labels) != listed]
    problems = [f"labels.txt differs from the labels of {', '.join(different)}"] if different else []
    labels = check_from_problems("labels", problems, success=f"{len(listed)} labels in the same order")
    # The golden pictures must be prepared to the golden pixels on this machine.
    vectors = opened.golden.vectors
    problems = [problem for vector in vectors if (problem := _pixel_problem(opened, vector))]
    success = f"{len(vectors)} pictures are prepared to the expected pixels"
    checks = [files, labels, check_from_problems("golden pixels", problems, success=success)]
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
    vectors, labels, side = opened.golden.vectors, variant.contract.labels, opened.golden.size
    try:
        stacked = b"".join(_golden_file(opened, vector.pixels) for vector in vectors)
        pixels: Pixels = np.frombuffer(stacked, np.uint8).reshape(-1, side, side, 3)
        answers = run_variant(host, variant, pixels, kernels=kernels)
    except (InputError, ValueError) as error:
        what = error.what if isinstance(error, InputError) else "the golden pixels have a different size"
        return check_from_problems(name, [what], success="")
    pairs = list(zip([vector.expected[variant.name] for vector in vectors], answers, strict=True))
    if any(len(output.probabilities) != len(labels) for pair in pairs for output in pair):
        return check_from_problems(name, ["golden.json has a different number of labels"], success="")
    identical = sum(sha256_of(output.output) == expected.output_sha256 for expected, output in pairs)
    differences = np.abs([output.probabilities - expected.probabilities for expected, output in pairs])
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
        return check_from_problems(name, [detail, f"{other_labels} labels differ"], success="")
    outcome, figures = CheckOutcome.HOLDS, {"same": identical, "n": len(pairs)}
    if identical < len(pairs):
        outcome, detail = CheckOutcome.NOTED, f"{detail}, {ROUNDING_REASON}"
    return Check(name=name, outcome=outcome, detail=detail, figures=figures)


def _golden_file(opened: OpenedBundle, name: str) -> bytes:
    return opened.asset(f"{GOLDEN_FOLDER}/{name}")
