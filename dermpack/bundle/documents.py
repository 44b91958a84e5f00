"""Render the documents of a bundle: README.md, MODEL_CARD.md, NOTICE and a bill of materials.

Every text among the values of a template is escaped when it is inserted, because names, labels and licences
come from others. The text of a licence begins with its SPDX name: "CC-BY-4.0; by A. Author".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose
from typing import Any

from dermpack import __version__
from dermpack.bundle.android_module import COMPILE_SDK, MIN_AGP, MIN_SDK, TEMPLATES
from dermpack.bundle.bundle_record import Bundle, BundleFormat
from dermpack.bundle.golden_vectors import MOST_LEVELS_APART, allowed_difference
from dermpack.bundle.metadata_constants import constant_name
from dermpack.bundle.reports import ScoredDataset, ThresholdScore, VariantScores, VariantTimes
from dermpack.bundle.variants import Variant
from dermpack.bundle.web.layout import shipped_policy
from dermpack.contract import MAX_MEANING_CHARACTERS, Contract, SourceKind
from dermpack.errors import InputError
from dermpack.evaluation.report import LABEL_COLUMNS, OVERALL
from dermpack.reporting.page import markdown_cell, render_template, to_one_line
from dermpack.storage.files import format_json

FORMATS = {  # of inputs and outputs, by role
    "picture": "RGB picture",
    "metadata": "row of patient metadata",
    "probabilities": "number per label",
    "evidence": "map of each label's evidence",
    "metadata_evidence": "share of the metadata in each label",
    "familiarity": "distance to the training pictures",
}
SENTENCE_ENDS = (".", "!", "?")
SPLITS = ("train", "validation", "test")  # in the order of their use
Meanings = Mapping[str, str]  # label → what it means, in words; labels without a description are left out
LIMITATION = "Research software, not a medical device: the output of the model is not a diagnosis."
CREATIVE_COMMONS = "https://creativecommons.org"
APACHE_ADDRESS = "https://www.apache.org/licenses/LICENSE-2.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenceTerms:
    """A known licence; MODEL_CARD.md.j2 has its conditions for those who embed the model."""

    spdx: str
    name: str
    address: str


KNOWN_LICENCES = (
    LicenceTerms(spdx="CC0-1.0", name="CC0 1.0", address=f"{CREATIVE_COMMONS}/publicdomain/zero/1.0/"),
    *(
        LicenceTerms(
            spdx=f"CC-{kind}-{version}",
            name=f"CC {kind} {version}",
            address=f"{CREATIVE_COMMONS}/licenses/{kind.lower()}/{version}/",
        )
        for kind, version in (
            *(("BY", "4.0"), ("BY-NC", "4.0"), ("BY-SA", "4.0")),
            *(("BY-NC-SA", "3.0"), ("BY-NC-SA", "4.0")),
        )
    ),
    LicenceTerms(spdx="Apache-2.0", name="Apache License 2.0", address=APACHE_ADDRESS),
    LicenceTerms(spdx="MIT", name="MIT License", address="https://opensource.org/license/mit"),
)
LICENCE_OF_NAME = {name: terms for terms in KNOWN_LICENCES for name in (terms.spdx, terms.name)}


def read_meanings(options: Sequence[str], labels: Sequence[str]) -> Meanings:
    """Parse descriptions of labels, LABEL=WORDS each: "akiec=actinic keratosis"."""
    meanings: dict[str, str] = {}
    for text in options:
        label, _, words = (part.strip() for part in text.partition("="))
        if not words.isprintable() or not 0 < len(words) <= MAX_MEANING_CHARACTERS:
            limit = f"at most {MAX_MEANING_CHARACTERS} characters of words"
            what = f"must be LABEL=WORDS in a single line, with {limit}"
            hint = "Write it like --describe mel=melanoma."
            raise InputError(f"--describe {text[:80]!r}", what, hint, code="invalid-option")
        if label not in labels:
            what, hint = "not a label of this model", f"Choose one of: {', '.join(labels)}."
            raise InputError(f"--describe {label[:80]}", what, hint, code="unknown-label")
        if label in meanings:
            what, hint = "the label is described twice", "Describe each label once."
            raise InputError(f"--describe {label}", what, hint, code="invalid-option")
        meanings[label] = words
    return meanings


def render_readme(
    bundle: Bundle,
    variants: Sequence[Variant],
    golden: Mapping[str, bytes],
    scores: Sequence[VariantScores] = (),
) -> bytes:
    """Render README.md for the developer of an app; every number in it comes from a contract."""
    contract = variants[0].contract
    values = {
        "bundle": bundle,
        "variants": variants,
        "contract": contract,
        "caution": _training_data(contract, scores).caution,
        "is_of_run": contract.parents.kind is SourceKind.RUN,
        "measured": _threshold_scores(variants[0], scores),
        "meanings": contract.meanings,
        "terms": find_licence(contract.license),
        "source": licence_source(contract.license),
        "licence_name": licence_name,
        "allowed_difference": allowed_difference,
        "most_levels_apart": MOST_LEVELS_APART,
        "constant": constant_name,
        "golden_bytes": sum(map(len, golden.values())),
        "working_runtimes": [result for result in contract.runtimes.tried if result.works],
        "compile_sdk": COMPILE_SDK,
        "min_agp": MIN_AGP,
        "min_sdk": MIN_SDK,
        "policy": shipped_policy(),
    }
    page = "README.web.md.j2" if bundle.format is BundleFormat.WEB else "README.md.j2"
    return render_template(TEMPLATES / page, values, escape=markdown_cell).encode()


def _threshold_scores(variant: Variant, scores: Sequence[VariantScores]) -> list[ThresholdScore]:
    """Return what the evaluations of a variant measured at the thresholds of its contract."""
    thresholds = {point.label: point.threshold for point in variant.contract.thresholds}
    return [
        point
        for score in scores
        if score.variant == variant.name
        for point in score.thresholds
        if point.label in thresholds and isclose(point.threshold, thresholds[point.label], rel_tol=1e-6)
    ]


def render_model_card(
    bundle: Bundle,
    variants: Sequence[Variant],
    scores: Sequence[VariantScores] = (),
    times: Sequence[VariantTimes] = (),
) -> bytes:
    """Render MODEL_CARD.md, one card for all variants: they share the data and the labels."""
    contract = variants[0].contract
    data = _training_data(contract, scores)
    values = {
        "bundle": bundle,
        "variants": variants,
        "contract": contract,
        "is_of_run": contract.parents.kind is SourceKind.RUN,
        "measured": {variant.name: _threshold_scores(variant, scores) for variant in variants},
        "meanings": contract.meanings,
        "terms": find_licence(contract.license),
        "source": licence_source(contract.license),
        "data": data,
        "splits": [split for split in SPLITS if any(data.counts.get(split, {}).values())],
        "counted_labels": list(dict.fromkeys(label for counts in data.counts.values() for label in counts)),
        "total_pictures": sum(sum(counts.values()) for counts in data.counts.values()),
        "scores": scores,
        "times": times,
        "overall": OVERALL,
        "label_columns": LABEL_COLUMNS,
    }
    return render_template(TEMPLATES / "MODEL_CARD.md.j2", values, escape=markdown_cell).encode()


def _training_data(contract: Contract, scores: Sequence[VariantScores]) -> ScoredDataset:
    """Return the data that the model was trained on: only an evaluation on this dataset describes it."""
    own_data = (score.data for score in scores if score.data.sha256 == contract.parents.dataset)
    data = next(own_data, ScoredDataset())
    # The documents continue after the caution, so it must end like a sentence.
    caution = data.caution.rstrip()
    if caution and not caution.endswith(SENTENCE_ENDS):
        caution += "."
    return replace(data, caution=caution)


def render_notice(bundle: Bundle, variants: Sequence[Variant]) -> bytes:
    """Render NOTICE: who owns the parts of a bundle."""
    values = {"bundle": bundle, "variants": variants, "licence_name": licence_name}
    values["dermpack_version"] = __version__
    return render_template(TEMPLATES / "NOTICE.j2", values, escape=to_one_line).encode()


def build_bill_of_materials(bundle: Bundle, variants: Sequence[Variant]) -> bytes:
    """Return CycloneDX 1.6 with a model card per variant.

    It contains no time and no serial number: the same variants give the same bytes.
    """
    group, name, version = bundle.runtime.split(":")
    # A purl has the scope of an npm package before its name, with "@" escaped.
    is_npm = group == "npm"
    runtime_url = f"pkg:npm/{name.replace('@', '%40')}" if is_npm else f"pkg:maven/{group}/{name}"
    runtime_url += f"@{version}"
    library = {"type": "library", "licenses": [{"license": {"id": "Apache-2.0"}}]}
    module = {**library, "bom-ref": bundle.slug, "name": bundle.name, "version": bundle.version}
    runtime = {**library, "bom-ref": runtime_url, "group": group, "name": name, "version": version}
    runtime["purl"] = runtime_url
    tool = {"type": "application", "name": "dermpack", "version": __version__}
    components = [*(_model(variant, is_main=variant is variants[0]) for variant in variants), runtime]
    references = [component["bom-ref"] for component in components]
    return format_json(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "version": 1,
            "metadata": {"tools": {"components": [tool]}, "component": module},
            "components": components,
            "dependencies": [{"ref": bundle.slug, "dependsOn": references}],
        }
    ).encode()


def _model(variant: Variant, *, is_main: bool) -> dict[str, Any]:
    contract, source = variant.contract, licence_source(variant.contract.license)
    inputs, outputs = contract.inputs.values(), contract.outputs.values()
    terms = find_licence(contract.license)
    named = {"name": licence_name(contract.license)}
    licence = {"id": terms.spdx, "url": terms.address} if terms else named
    metrics = [
        {"type": figure.metric, "value": f"{figure.of_file:.6g}", "slice": f"{accuracy.split} split"}
        for accuracy in contract.accuracy
        for figure in accuracy.figures
    ]
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model-{variant.name}",
        "name": contract.name,
        "version": contract.version,
        "scope": "required" if is_main else "optional",
        "hashes": [{"alg": "SHA-256", "content": contract.sha256}],
        "licenses": [{"license": licence}],
        **({"copyright": source} if source else {}),
        "modelCard": {
            "modelParameters": {
                "task": contract.task,
                "approach": {"type": "supervised"},
                "inputs": [{"format": f"{one.dtype.value} {FORMATS[one.role]}"} for one in inputs],
                "outputs": [{"format": f"{one.dtype.value} {FORMATS[one.role]}"} for one in outputs],
            },
            "quantitativeAnalysis": {"performanceMetrics": metrics},
            "considerations": {"useCases": [contract.intended_use], "technicalLimitations": [LIMITATION]},
        },
        "pedigree": {"notes": _describe_parents(contract)},
    }


def _describe_parents(contract: Contract) -> str:
    parents = contract.parents
    if parents.kind is SourceKind.RUN:
        return f"trained in run {parents.run} on dataset {parents.dataset}"
    return f"made from {contract.source} {parents.file}"


def find_licence(text: str) -> LicenceTerms | None:
    """Return the known licence that a text begins with: "CC-BY-4.0; by A. Author" → CC BY 4.0."""
    name = text.partition(";")[0].strip()
    return LICENCE_OF_NAME.get("CC0-1.0" if name == "CC0" else name)


def licence_source(text: str) -> str:
    """Return who owns the pictures: the text after a known name, or a whole unknown text."""
    return to_one_line(text.partition(";")[2] if find_licence(text) else text)


def licence_name(text: str) -> str:
    """Return the common name and the source in one line: "CC BY 4.0; by A. Author"."""
    terms = find_licence(text)
    parts = (terms.name if terms else "", licence_source(text))
    return "; ".join(filter(None, parts)) or "not stated"
