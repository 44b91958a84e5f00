"""Write the README.md of a bundle, for the developer of an app."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dermpack.bundle.bundle_record import Bundle, BundleFormat
from dermpack.bundle.golden_vectors import MOST_LEVELS_APART, allowance_of
from dermpack.bundle.label_meanings import Meanings, meaning_table
from dermpack.bundle.module_layout import COMPILE_SDK, MIN_AGP, MIN_SDK, part
from dermpack.bundle.texts.licence import licence_name
from dermpack.bundle.variants import Variant
from dermpack.contract import Contract, Input, Output
from dermpack.reporting.markdown import cell

WHATS = {
    BundleFormat.MODULE: "A Gradle library module with a classifier of pictures inside",
    BundleFormat.ASSETS: "The bare files of a classifier of pictures for Android",
    BundleFormat.AAR: "An Android archive with a classifier of pictures inside",
}
GOLDEN_OUT = {
    BundleFormat.MODULE: """to keep them out of release builds, move the folder `golden` from
      `src/main/assets/{slug}` to `src/debug/assets/{slug}`""",
    BundleFormat.ASSETS: "to keep them out of release builds, copy `golden` to `src/debug/assets/{slug}`",
    BundleFormat.AAR: "release builds carry them, too: take the module to leave them out",
}
CALLED = {
    "called_kotlin": "val called = result.called.map { it.label }\n",
    "called_java": "List<Result.Score> called = result.getCalled();\n",
}
MODULE_CONTENTS = {
    "build.gradle.kts": f"the module; minSdk {MIN_SDK}, the runtime pinned",
    "consumer-rules.pro": "what R8 must keep",
    "src/main/java": "plain Java 8, without lambdas and AndroidX",
}
AAR_CONTENTS = {
    "classes.jar": "the compiled classes",
    "proguard.txt": "what R8 must keep",
}
CONTENTS = {
    "model.tflite": "the model; TFLite metadata and labels inside",
    "model.json": "its contract: what to feed, what comes out, what was measured",
    "labels.txt": "a label a line",
    "golden": "pictures, the pixels they become, and what came out where this was made",
    "MODEL_CARD.md": "what it was trained on, how good it is, what it is not for",
    "LICENSE, NOTICE": "of the code and of the model",
    "bom.cdx.json": "bill of materials (CycloneDX)",
    "bundle.json, SHA256SUMS": "what the files are, and their hashes",
}


def guide_text(
    bundle: Bundle, variants: Sequence[Variant], golden: Mapping[str, bytes], meanings: Meanings
) -> bytes:
    """The whole file; every number in it comes from a contract."""
    contract = variants[0].contract
    facts = {"slug": bundle.slug, "runtime": bundle.runtime}
    build = {"compile_sdk": str(COMPILE_SDK), "min_agp": MIN_AGP}
    return part(
        "README.md",
        name=cell(bundle.name),
        version=cell(bundle.version),
        class_name=bundle.class_name,
        package=bundle.package,
        what=f"{WHATS[bundle.format]}: {len(contract.labels)} labels, one answer a picture.",
        licence=cell(licence_name(contract.license)),
        install=part(f"install.{bundle.format.value}.md", **facts, **build).decode().rstrip(),
        abstain=_abstain(contract),
        **_called(contract),
        levels=f"{MOST_LEVELS_APART:g}",
        allowed=", ".join(f"{allowance_of(of)[0]:g} ({of.name})" for of in variants),
        tensors="\n".join(_tensors(variants)),
        meanings="".join(f"{line}\n" for line in _meanings(contract, meanings)),
        golden_size=f"{sum(map(len, golden.values())) / 1e6:.1f} MB",
        golden_out=GOLDEN_OUT[bundle.format].format(slug=bundle.slug),
        contents="\n".join(_contents(bundle)),
        tested=_tested(contract),
        **facts,
    )


def _abstain(contract: Contract) -> str:
    if contract.abstention is None:
        return "never: this one always answers"
    return f"below a confidence of {contract.abstention.threshold:.3g}"


def _called(contract: Contract) -> dict[str, str]:
    """Where labels have thresholds of their own, the lines to copy must not pass them by."""
    if not contract.thresholds:
        return {
            "called": "is empty: no label of this model has a threshold of its own",
            **dict.fromkeys(CALLED, ""),
        }
    listed = ", ".join(f"{cell(point.label)} from {point.threshold:.3g} on" for point in contract.thresholds)
    told = (
        f"are labels that must not be missed ({listed}): **show each, whatever `answer` says**, sure or not"
    )
    return {"called": told, **CALLED}


def _meanings(contract: Contract, meanings: Meanings) -> Iterator[str]:
    if meanings:
        yield from ("", "Labels are for programs; show people what they mean:", "")
        yield from meaning_table(contract.labels, meanings)


def _tensors(variants: Sequence[Variant]) -> Iterator[str]:
    yield "| variant | file | in | bytes | out | bytes |"
    yield "|---|---|---|---:|---|---:|"
    for at, of in enumerate(variants):
        contract, folder = of.contract, f"{of.name}/" if at else ""
        numbers = 1 if contract.output.activation.value == "sigmoid" else len(contract.labels)
        cells = (
            of.name,
            f"`{folder}model.tflite`, {contract.size_bytes:,} bytes",
            _input(contract.input),
            f"{contract.input.size_bytes:,}",
            _output(contract.output, numbers),
            f"{numbers * contract.output.dtype.size_bytes:,}",
        )
        yield f"| {' | '.join(cells)} |"


def _input(of: Input) -> str:
    shape = f"{of.dtype.value} 1×{of.height}×{of.width}×{of.channels}, RGB"
    if of.scale is None:
        return f"{shape}, (pixel - {of.mean:g}) / {of.std:g}"
    return f"{shape}, scale {of.scale:.8g}, zero point {of.zero_point}"


def _output(of: Output, numbers: int) -> str:
    shape = f"{of.dtype.value} 1×{numbers}"
    return shape if of.scale is None else f"{shape}, scale {of.scale:.8g}, zero point {of.zero_point}"


def _contents(bundle: Bundle) -> Iterator[str]:
    yield "| file | what it is |"
    yield "|---|---|"
    extra = {BundleFormat.MODULE: MODULE_CONTENTS, BundleFormat.ASSETS: {}, BundleFormat.AAR: AAR_CONTENTS}[
        bundle.format
    ]
    for name, text in {**extra, **CONTENTS}.items():
        is_asset = name in ("model.tflite", "model.json", "labels.txt", "golden")
        yield f"| `{bundle.path(name) if is_asset else name}` | {text} |"


def _tested(contract: Contract) -> str:
    tried = [
        f"{of.runtime} {cell(of.version)} ({cell(of.delegate)})" for of in contract.runtimes.tried if of.works
    ]
    there = ", ".join(tried) or "no runtime"
    return f"The model ran on {there} before it was bundled. It was never run on a phone by us."
