"""List the parts of a bundle as a CycloneDX bill of materials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dermpack import __version__
from dermpack.bundle.bundle_record import Bundle
from dermpack.bundle.licences import KNOWN_LICENCES, find_spdx_name, licence_name, licence_source
from dermpack.bundle.variants import Variant
from dermpack.storage.files import format_json

APACHE = [{"license": {"id": "Apache-2.0"}}]
LIMITATION = "Research software, not a medical device: the output of the model is not a diagnosis."


def build_bill_of_materials(bundle: Bundle, variants: Sequence[Variant]) -> bytes:
    """Return CycloneDX 1.6 with a model card per variant.

    It contains no time and no serial number: the same variants give the same bytes.
    """
    group, name, version = bundle.runtime.split(":")
    runtime_url = f"pkg:maven/{group}/{name}@{version}"
    runtime = {
        "type": "library",
        "bom-ref": runtime_url,
        "group": group,
        "name": name,
        "version": version,
        "purl": runtime_url,
        "licenses": APACHE,
    }
    module = {
        "type": "library",
        "bom-ref": bundle.slug,
        "name": bundle.name,
        "version": bundle.version,
        "licenses": APACHE,
    }
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
    spdx = find_spdx_name(contract.license)
    if spdx:
        licence = {"id": spdx, "url": KNOWN_LICENCES[spdx].address}
    else:
        licence = {"name": licence_name(contract.license)}
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
                "inputs": [{"format": f"{contract.input.dtype.value} RGB picture"}],
                "outputs": [{"format": f"{contract.output.dtype.value} number a label"}],
            },
            "quantitativeAnalysis": {"performanceMetrics": metrics},
            "considerations": {"useCases": [contract.intended_use], "technicalLimitations": [LIMITATION]},
        },
        "pedigree": {"notes": f"trained in run {contract.parents.run} on dataset {contract.parents.dataset}"},
    }
