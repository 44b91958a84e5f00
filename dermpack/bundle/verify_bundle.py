"""Verify a bundle: its files, its labels, and its golden vectors on every installed interpreter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dermpack.bundle.bundle_record import BundleFormat
from dermpack.bundle.golden_vectors import (
    GOLDEN_FILE,
    MOST_LEVELS_APART,
    ExpectedOutput,
    GoldenVector,
    allowed_difference,
    allowed_mean_apart,
    can_be_near_tie,
    hash_fed_metadata,
    is_exact_picture,
    must_be_near_tie,
)
from dermpack.bundle.read_bundle import OpenedBundle
from dermpack.bundle.release_comparison import compare_with_release
from dermpack.bundle.variants import (
    MODEL_FILE,
    Variant,
    VariantOutput,
    feed_variant,
    interpret_outputs,
    run_variant,
)
from dermpack.bundle.web.checks import check_site
from dermpack.bundle.zip_archive import SUMS_FILE
from dermpack.contract import CONTRACT_FILE
from dermpack.errors import InputError, PictureError, count_noun
from dermpack.imaging.decoding import Pixels
from dermpack.imaging.picture_decoder import PictureDecoder
from dermpack.inference.interpreter_host import InterpreterHost, Kernels
from dermpack.inference.picture_feed import declared_tensor, dequantize
from dermpack.storage.files import sha256_of
from dermpack.verification.check_result import Check, CheckOutcome, Verification, check_from_problems
from dermpack.verification.interpreter_runs import KERNEL_NAMES, InterpreterRun
from dermpack.verification.output_agreement import NOT_WORKING, is_stated_to_work
from dermpack.verification.verify import Export, VerificationTools, verify_export

ROUNDING = 1e-8
SCALE_ROUNDING = 1e-6  # the scale of a contract is that of the file, in other digits
AUTHOR_UNKNOWN = "the author is unknown, because no --key was given"
ROUNDING_REASON = "because these kernels round differently from those that made the vectors"


def verify_bundle(opened: OpenedBundle, tools: VerificationTools) -> tuple[Verification, ...]:
    """Run the checks of the bundle, and then those of each variant as of any export."""
    # `read_bundle` raises an error for files that do not match.
    signed = "the signature matches the key" if opened.is_signed else AUTHOR_UNKNOWN
    files = check_from_problems(
        "files",
        [],
        success=f"{count_noun(len(opened.files), 'file matches', 'files match')} {SUMS_FILE}; {signed}",
    )
    listed = opened.asset("labels.txt").decode("utf-8", "replace").splitlines()
    different = [variant.name for variant in opened.variants if list(variant.contract.labels) != listed]
    problems = [f"labels.txt differs from the labels of {', '.join(different)}"] if different else []
    labels = check_from_problems(
        "labels", problems, success=f"{count_noun(len(listed), 'label')} in the same order"
    )
    release = compare_with_release(opened)
    checks = [files, release, labels]
    if opened.bundle.format is BundleFormat.WEB:
        checks += check_site(opened, is_known_code=release.outcome is CheckOutcome.HOLDS)
    checks += _check_golden(opened, tools)
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


def _check_golden(opened: OpenedBundle, tools: VerificationTools) -> Iterator[Check]:
    if opened.golden is None:
        yield Check(name="golden pixels", outcome=CheckOutcome.UNTRIED, detail="the bundle contains none")
        return
    # The golden pictures must be prepared to the golden pixels on this machine.
    vectors = opened.golden.vectors
    with PictureDecoder() as decoder:
        found = (_pixel_problem(opened, vector, decoder) for vector in vectors)
        problems = [problem for problem in found if problem]
    success = f"{count_noun(len(vectors), 'picture is', 'pictures are')} prepared to the expected pixels"
    yield check_from_problems("golden pixels", problems, success=success)
    yield check_golden_records(opened)
    for variant in opened.variants:
        runtimes = variant.contract.runtimes
        works_anywhere = any(result.works for result in runtimes.tried)  # otherwise nothing would be checked
        for kernels in (Kernels.XNNPACK, Kernels.BUILTIN):
            for host in tools.hosts.values():
                check = _check_outputs(opened, variant, host, kernels)
                run = InterpreterRun(
                    engine=host.engine, kernels=kernels, version=version(host.engine.package)
                )
                is_excluded = works_anywhere and is_stated_to_work(run, runtimes) is False
                if check.outcome is CheckOutcome.FAILS and is_excluded:
                    check = replace(check, outcome=CheckOutcome.NOTED, detail=check.detail + NOT_WORKING)
                yield check


def _pixel_problem(opened: OpenedBundle, vector: GoldenVector, decoder: PictureDecoder) -> str:
    """Return what is wrong with the pixels of one golden vector, or ""."""
    golden, variant = opened.require_golden(), opened.variants[0]
    if (golden.size, golden.policy) != (variant.contract.picture.width, variant.contract.picture.policy):
        return "golden.json is for a different input"
    picture, expected = opened.golden_file(vector.picture), opened.golden_file(vector.pixels)
    if (sha256_of(picture), sha256_of(expected)) != (vector.picture_sha256, vector.pixels_sha256):
        return f"{vector.picture} differs from the file that golden.json describes"
    (pixels,) = decoder.prepare_chunk([picture], golden.size, policy=variant.policy)
    if isinstance(pixels, PictureError):
        return f"{vector.picture}: {pixels.what}"
    if len(expected) != pixels.size:
        return f"{vector.pixels} has a different size"
    difference = np.abs(np.frombuffer(expected, np.uint8).astype(float) - pixels.ravel()).mean()
    # The limits are those of this program, not those that the bundle declares.
    if difference <= (0 if is_exact_picture(picture) else MOST_LEVELS_APART):
        return ""
    return f"{vector.picture} differs by {difference:.2f} levels from its expected pixels"


def check_golden_records(opened: OpenedBundle) -> Check:
    """Check that golden.json states what follows from its files, and the limits of this program."""
    success = f"{GOLDEN_FILE} follows from its files"
    return check_from_problems("golden records", [*_golden_record_problems(opened)], success=success)


def _golden_record_problems(opened: OpenedBundle) -> Iterator[str]:
    """Yield each statement of golden.json that does not follow from the pictures, pixels and outputs."""
    golden = opened.require_golden()
    if golden.most_levels_apart != MOST_LEVELS_APART:
        yield f"most_levels_apart is {golden.most_levels_apart}, not {MOST_LEVELS_APART}"
    for vector in golden.vectors:
        if vector.is_exact != is_exact_picture(opened.golden_file(vector.picture)):
            yield f"{vector.picture}: is_exact is {vector.is_exact}"
    for variant in opened.variants:
        most, _ = allowed_difference(variant)
        if golden.variants[variant.name].most_apart != most:
            yield f"{variant.name}: most_apart is {golden.variants[variant.name].most_apart}, not {most}"
        for vector in golden.vectors:
            if problem := _answer_problem(opened, variant, vector):
                yield f"{vector.picture}, {variant.name}: {problem}"


def _answer_problem(opened: OpenedBundle, variant: Variant, vector: GoldenVector) -> str:
    """Return which statement about the answer for one picture does not follow from its files, or ""."""
    expected = vector.expected[variant.name]
    pixels, answer = opened.golden_file(vector.pixels), opened.golden_file(expected.output)
    try:
        side = variant.contract.picture.width
        rows = vector.row(variant.columns) if variant.columns else None
        fed = feed_variant(variant, np.frombuffer(pixels, np.uint8).reshape(1, side, side, 3), rows)
        (found,) = interpret_outputs(variant, {variant.answer_name: answer}, count=1)
        if not len(found) == len(expected.probabilities) == len(variant.contract.labels):
            return "it has a different number of labels"
        apart = np.abs(found - expected.probabilities).max()
    except (InputError, ValueError) as error:
        return f"invalid input or output ({error})"
    if hash_fed_metadata(variant, fed) != expected.fed_metadata_sha256:
        return "the hash of the metadata differs"
    if problem := _other_outputs_problem(opened, variant, expected):
        return problem
    if (sha256_of(fed[variant.picture_name]), sha256_of(answer)) != (
        expected.fed_sha256,
        expected.output_sha256,
    ):
        return "the hash of the input or of the output differs"
    label = variant.contract.labels[int(found.argmax())]
    # In between, the kernels that packaging has tried decide.
    allowed = can_be_near_tie if expected.is_close else must_be_near_tie
    follows = label == expected.label and allowed(found, variant) == expected.is_close
    # This comparison is false for NaN, which is a problem.
    return "" if apart <= SCALE_ROUNDING and follows else "it does not follow from the output"


def _other_outputs_problem(opened: OpenedBundle, variant: Variant, expected: ExpectedOutput) -> str:
    """Return what is wrong with the outputs besides the probabilities, or ""."""
    names = set(variant.contract.outputs) - {variant.answer_name}
    if set(expected.more) != names:
        return "it names other outputs than the contract"
    for name, tensor in expected.more.items():
        data, record = opened.golden_file(tensor.output), variant.contract.outputs[name]
        if len(data) != prod(record.shape) * record.dtype.size_bytes:
            return f"{name} has another size"
        if sha256_of(data) != tensor.output_sha256:
            return f"the hash of {name} differs"
        allowed = allowed_mean_apart(variant.contract, name, data)
        if not abs(tensor.most_mean_apart - allowed) <= ROUNDING:  # true for NaN
            return f"most_mean_apart of {name} is {tensor.most_mean_apart:g}, not {allowed:g}"
    return ""


def _other_outputs_apart(
    opened: OpenedBundle, variant: Variant, expected: ExpectedOutput, found: VariantOutput
) -> str:
    """Return which output besides the probabilities is too far from the golden one, or ""."""
    if problem := _other_outputs_problem(opened, variant, expected):
        return problem
    for name, tensor in expected.more.items():
        declared = declared_tensor(variant.contract.outputs[name])
        golden, real = (
            dequantize(np.frombuffer(data, declared.dtype), declared)
            for data in (opened.golden_file(tensor.output), found.outputs[name])
        )
        apart = float(np.abs(golden - real).mean())
        if not apart <= tensor.most_mean_apart + ROUNDING:
            return f"{name} is {apart:.2g} apart on average ({tensor.most_mean_apart:.2g} allowed)"
    return ""


def _check_outputs(opened: OpenedBundle, variant: Variant, host: InterpreterHost, kernels: Kernels) -> Check:
    """Check that the golden pixels give the golden outputs: the same bytes, or similar ones."""
    name = f"golden answers of {variant.name} on {host.engine.package}, {KERNEL_NAMES[kernels]}"
    golden, labels = opened.require_golden(), variant.contract.labels
    vectors, side = golden.vectors, golden.size
    try:
        stacked = b"".join(opened.golden_file(vector.pixels) for vector in vectors)
        pixels: Pixels = np.frombuffer(stacked, np.uint8).reshape(-1, side, side, 3)
        columns = variant.columns
        rows = np.concatenate([vector.row(columns) for vector in vectors]) if columns else None
        answers = run_variant(host, variant, pixels, rows, kernels=kernels)
    except (InputError, ValueError) as error:
        what = error.what if isinstance(error, InputError) else "the golden pixels have a different size"
        return check_from_problems(name, [what], success="")
    pairs = list(zip([vector.expected[variant.name] for vector in vectors], answers, strict=True))
    if any(len(output.probabilities) != len(labels) for pair in pairs for output in pair):
        return check_from_problems(name, ["golden.json has a different number of labels"], success="")
    identical = sum(
        sha256_of(output.outputs[variant.answer_name]) == expected.output_sha256 for expected, output in pairs
    )
    differences = np.abs([output.probabilities - expected.probabilities for expected, output in pairs])
    # Near ties may have either label.
    other_labels = sum(
        labels[int(output.probabilities.argmax())] != expected.label and not expected.is_close
        for expected, output in pairs
    )
    others = [_other_outputs_apart(opened, variant, *pair) for pair in pairs]
    if problems := [problem for problem in others if problem]:
        return check_from_problems(name, problems[:1], success="")
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
